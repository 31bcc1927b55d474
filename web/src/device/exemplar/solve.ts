/** `wavepaint.fill.exemplar` in TypeScript: where every sample of a hole is to be copied from, coarse to fine. */

import { type Size, area } from "../../geometry";
import { halveKnown } from "../pyramid";
import type { Pixels } from "../planes";
import { dilate, each, labelsOf } from "./areas";
import type { Matching } from "./blend";
import { type Level, buildLevels, cellMarks, firstLevel } from "./levels";
import { EXEMPLAR_OPTIONS } from "./options";
import { RADIUS } from "./patches";
import { findRepeats } from "./repeats";
import { ALL_PAIRS, REPEATED, Stage, type Step } from "./stage";

/** Products of targets and sources up to which a level serves as the start of a further candidate. */
const MOST_PAIRS = 5 * REPEATED * ALL_PAIRS;
const SHALLOW = 12;

/** Where the samples of a hole come from. */
export interface Solution {
  /** Halvings of the image, to the level that was searched; 0 unless the hole is very large. */
  readonly halvings: number;
  /** The hole on that level. */
  readonly searched: Uint8Array;
  readonly size: Size;
  readonly matching: Matching;
  /** The samples of that level that may be copied, or null where no patch holds others. */
  readonly known: Uint8Array | null;
}

/**
 * `samples`: grey or RGB, what they hold in the hole is ignored; `guide`: likewise, what the hole roughly looks like;
 * `excluded`: 1 = not to copy from.
 */
export async function solve(
  samples: Pixels,
  hole: Uint8Array,
  guide: Pixels,
  excluded: Uint8Array,
  seed: number,
  step: Step,
): Promise<Solution> {
  const first = finest(samples, hole, guide, excluded);
  const repeats = findRepeats(first);
  if (repeats) {
    await step(1);
    return { halvings: first.number, searched: first.hole, size: first, matching: repeats, known: null };
  }
  const levels = buildLevels(first, Math.min(...EXEMPLAR_OPTIONS.starts));
  // Every level has four times the samples of the next coarser one.
  const within = (done: number): Step => {
    const [before, behind] = [done ? 0.25 ** (levels.length - done) : 0, 0.25 ** (levels.length - done - 1)];
    return (share) => step(before + share * (behind - before));
  };
  let { stage, matching, done } = await bestStart(levels, seed, within);
  for (const level of levels.slice(0, levels.length - done).reverse()) {
    const finer = new Stage(level, seed);
    matching = await finer.solve(stage, matching, within(done++));
    stage = finer;
  }
  const { level, known } = stage;
  return { halvings: level.number, searched: level.hole, size: level, matching, known };
}

/** The finest level that is searched: its hole has at most `EXEMPLAR_OPTIONS.searched` samples. */
function finest(samples: Pixels, hole: Uint8Array, guide: Pixels, excluded: Uint8Array): Level {
  let number = 0;
  for (; hole.reduce((sum, mark) => sum + mark, 0) > EXEMPLAR_OPTIONS.searched; number++) {
    const size = { width: samples.width, height: samples.height };
    guide = halveKnown(guide, { ...size, data: new Uint8Array(area(size)) }).reduced;
    excluded = cellMarks(excluded, size);
    const { reduced, unknown } = halveKnown(samples, { ...size, data: hole });
    [samples, hole] = [reduced, unknown.data];
  }
  return firstLevel(samples, hole, guide, excluded, number);
}

/** The best candidate of every connected hole, on the finest level at which one starts; how many levels are done. */
async function bestStart(
  levels: readonly Level[],
  seed: number,
  within: (done: number) => Step,
): Promise<{ stage: Stage; matching: Matching; done: number }> {
  const starts = startsOf(levels);
  const common = Math.min(...starts);
  const stages = levels.slice(common).map((level) => new Stage(level, seed));
  const best = stages[0];
  const candidates: Matching[] = [];
  for (const start of starts) {
    let [coarser, matching]: [Stage | null, Matching | null] = [null, null];
    for (const stage of stages.slice(0, start + 1 - common).reverse()) {
      matching = await stage.solve(coarser, matching, () => within(0)(0));
      coarser = stage;
    }
    candidates.push(matching as Matching);
  }
  const matching = candidates.length > 1 ? bestOfEach(best, candidates) : candidates[0];
  await within(stages.length - 1)(1);
  return { stage: best, matching, done: stages.length };
}

/** For each connected hole the candidate whose copies fit each other best. */
function bestOfEach(stage: Stage, candidates: readonly Matching[]): Matching {
  const labels = labelsOf(stage.touched, stage.level);
  const { targets } = stage;
  const scores = candidates.map((candidate) => {
    const sums = new Float64Array(labels.reduce((most, label) => Math.max(most, label), 0) + 1);
    stage.misfit(candidate).forEach((misfit, i) => (sums[labels[targets[i]]] += misfit));
    return sums;
  });
  const choice = targets.map((at) => {
    const own = scores.map((sums) => sums[labels[at]]);
    return own.indexOf(Math.min(...own));
  });
  return {
    targets,
    matches: choice.map((chosen, i) => candidates[chosen].matches[i]),
    weights: each(new Float64Array(choice.length), (i) => candidates[choice[i]].weights[i]),
  };
}

/** The levels at which candidates start, without those where comparing all pairs takes too long. */
function startsOf(levels: readonly Level[]): number[] {
  const starts: number[] = [];
  const depths = EXEMPLAR_OPTIONS.starts;
  for (const depth of levels[0].deepest > SHALLOW ? depths : depths.slice(0, 1)) {
    const first = levels.findIndex(({ deepest }) => deepest <= depth);
    const start = first < 0 ? levels.length - 1 : first;
    const level = levels[start];
    const touched = dilate(level.hole, level, RADIUS).reduce((sum, mark) => sum + mark, 0);
    const pairs = touched * (area(level) - touched);
    if (!starts.includes(start) && (!starts.length || (start > 0 && pairs < MOST_PAIRS))) starts.push(start);
  }
  return starts;
}
