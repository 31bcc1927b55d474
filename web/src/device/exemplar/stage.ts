/** `wavepaint.fill.stage` in TypeScript: one level, rounds of search and vote. */

import { type Box, type Size, area, boxBetween } from "../../geometry";
import { hashes } from "../noise";
import { boxMaximum, boxMeans, boxSums, depthOf, dilate, each, indicesOf, rint } from "./areas";
import { type Matching, type Source, sourceOf, vote } from "./blend";
import { Field, usesOf } from "./field";
import { DEEPEST, type Level, sourcesOf } from "./levels";
import { SourceTree } from "./nearest";
import { EXEMPLAR_OPTIONS } from "./options";
import {
  DETAIL,
  type Descriptions,
  type Planes,
  Quantiser,
  RADIUS,
  type Raw,
  SIDE,
  describe,
  detailEnergy,
  squaredDistance,
} from "./patches";

const ROUNDS = [2, 3, 4];
const MOST_ROUNDS = 5;
export const ALL_PAIRS = 12_000_000;
export const REPEATED = 4;
const SHARPNESS = 6;
const WINDOW = 2;
const RING = 12;
const TEXTURE_GAIN = 1.2;
const NEARNESS = 1.25;
const NARROW = 8;
const LEAST_COST = 1e-4 * SIDE ** 2 * 255 ** 2;
const SMALL_ENERGY = 0.02 * 255 ** 2;

/** Called after each round with the share of a level that is done; what it throws stops the work. */
export type Step = (share: number) => Promise<void>;

/** Samples and texture of the window around the targets while its hole is filled. */
interface Estimate {
  readonly planes: Planes;
  readonly texture: Planes;
}

/** A level with what is fixed about its hole. */
export class Stage {
  /** Centres of the patches that touch the hole. */
  readonly touched: Uint8Array;
  readonly targets: Int32Array;
  /** Samples that may be copied, or null where sources hold no others. */
  readonly known: Uint8Array | null;
  private readonly sources: Uint8Array;
  private readonly sourceIndices: Int32Array;
  private readonly depths: Uint8Array;
  private readonly nearness: Float64Array;
  private readonly quantiser: Quantiser;
  private readonly offered: Descriptions;
  /** The box of all targets and what their patches hold; the level's own in it, and where the targets lie in it. */
  private readonly window: Box;
  private readonly own: Level;
  private readonly places: Int32Array;
  /** What the patches copy: samples and texture. */
  private readonly source: Source;
  /** Samples and texture that are not known, and have a vote. */
  private readonly unknown: Uint8Array;
  private readonly belief: Float64Array;
  private readonly evidence: Float64Array;

  constructor(
    readonly level: Level,
    private readonly seed: number,
  ) {
    this.touched = dilate(level.hole, level, RADIUS);
    this.targets = indicesOf(this.touched);
    const { sources, whole } = sourcesOf(level);
    this.sources = sources;
    this.sourceIndices = indicesOf(sources);
    this.known = whole ? null : level.hole.map((mark, i) => (mark | level.excluded[i]) ^ 1);
    this.depths = depthOf(level.hole, level, DEEPEST);
    this.nearness = each(new Float64Array(this.targets.length), (i) =>
      Math.max(NEARNESS ** -this.depths[this.targets[i]], 1e-3),
    );
    const raw = describe(level.planes, level.texture, level);
    this.quantiser = Quantiser.fitting(raw, this.sourceIndices);
    this.offered = this.quantiser.quantise(raw);
    this.window = this.windowOfTargets();
    this.own = cut(level, this.window);
    this.places = this.targets.map((at) => this.placeOf(at));
    this.source = sourceOf([...level.planes, ...level.texture], this.known, level);
    this.unknown = level.hole.map((mark, i) => mark | ((level.rough[i] ^ 1) & this.touched[i]));
    this.belief = this.beliefInGuide();
    this.evidence = this.evidenceOfDetail();
  }

  /** Find matches, from those of the next coarser level or from the guide. */
  async solve(coarser: Stage | null, inherited: Matching | null, step: Step): Promise<Matching> {
    const { targets, offered, sourceIndices } = this;
    const start = !coarser || !inherited;
    let matches = start ? targets : this.inherit(coarser, inherited.matches);
    let estimate = start ? this.begin() : this.centres(matches);
    const rounds = start ? MOST_ROUNDS : (ROUNDS[this.level.number] ?? MOST_ROUNDS);
    const pairs = targets.length * sourceIndices.length;
    const tree = start || pairs < ALL_PAIRS ? new SourceTree(offered, sourceIndices, this.bias()) : null;
    let before: { queries: Descriptions; matches: Int32Array } | null = null;
    let [unit, weights] = [0, new Float64Array()];
    for (let turn = 0; turn < rounds; turn++) {
      const queries = this.queries(estimate);
      let costs: Float32Array;
      if (tree && (turn === 0 || pairs < ALL_PAIRS * REPEATED)) {
        matches = tree.nearest(queries, before);
        before = { queries, matches };
        costs = this.costsOf(matches, queries);
      } else {
        if (turn === 0) unit = this.unit(this.costsOf(matches, queries), 0.5);
        ({ matches, cost: costs } = this.improve(matches, queries, unit, turn === 0));
      }
      unit = this.unit(costs, 0.75);
      weights = each(
        new Float64Array(costs.length),
        (i) => Math.max(Math.exp(-costs[i] / (2 * unit)), 1e-4) * this.nearness[i],
      );
      if (turn < rounds - 1) estimate = this.voted({ targets, matches, weights });
      await step((turn + 1) / rounds);
    }
    return { targets, matches, weights: weights.map((weight) => weight ** SHARPNESS) };
  }

  /**
   * How badly the copies of each target fit each other, relative to the detail there and around. Every sample is the
   * centre of its own match for that: votes would smooth, and favour smooth candidates.
   */
  misfit({ matches }: Matching): Float64Array {
    const { planes, texture } = this.centres(matches);
    const described = this.quantiser.quantise(this.raw(planes, texture));
    const energies = detailEnergy(this.offered);
    const around = this.around(energies);
    return each(new Float64Array(matches.length), (i) => {
      const seam = squaredDistance(described, i, this.offered, matches[i]);
      return seam / (energies[matches[i]] + around[i] + SMALL_ENERGY * this.quantiser.scale ** 2);
    });
  }

  /** The hole filled by the guide, what is not known of the texture by its mean. */
  private begin(): Estimate {
    const { hole, guide, rough } = this.own;
    const known = this.level.rough;
    const count = known.reduce((sum, mark) => sum + mark, 0);
    const texture = this.own.texture.map((plane, c) => {
      const sum = this.level.texture[c].reduce((total, value, i) => total + known[i] * value, 0);
      return count ? plane.map((value, i) => (rough[i] ? value : rint(sum / count))) : plane;
    });
    return {
      planes: this.own.planes.map((plane, c) => plane.map((value, i) => (hole[i] ? guide[c][i] : value))),
      texture,
    };
  }

  /** Every sample being the centre of its own match. */
  private centres(matches: Int32Array): Estimate {
    const { planes, texture } = this.level;
    const estimate = this.copy();
    for (let i = 0; i < matches.length; i++) {
      const place = this.places[i];
      if (this.own.hole[place]) for (let c = 0; c < 3; c++) estimate.planes[c][place] = planes[c][matches[i]];
      if (!this.own.rough[place]) for (let c = 0; c < 2; c++) estimate.texture[c][place] = texture[c][matches[i]];
    }
    return estimate;
  }

  /** Every sample being what the patches over it say, but with more texture. */
  private voted(matching: Matching): Estimate {
    const { samples, means } = vote(this.source, matching, this.unknown, WINDOW);
    const { channels } = this.source;
    const estimate = this.copy();
    for (let i = 0; i < samples.length; i++) {
      const place = this.placeOf(samples[i]);
      if (this.own.hole[place]) for (let c = 0; c < 3; c++) estimate.planes[c][place] = rint(means[channels * i + c]);
      if (this.own.rough[place]) continue;
      for (let c = 0; c < 2; c++) estimate.texture[c][place] = rint(TEXTURE_GAIN * rint(means[channels * i + 3 + c]));
    }
    return estimate;
  }

  private copy(): Estimate {
    const { planes, texture } = this.own;
    return { planes: planes.map((plane) => plane.slice()), texture: texture.map((plane) => plane.slice()) };
  }

  /** Offsets of the coarser level, doubled; where they lead to no source, some source. */
  private inherit(coarser: Stage, inherited: Int32Array): Int32Array {
    const { width, height } = this.level;
    const below = coarser.level;
    const match = each(new Int32Array(area(below)), (i) => i);
    coarser.targets.forEach((at, i) => (match[at] = inherited[i]));
    const within = (value: number, length: number): number =>
      Math.min(Math.min(Math.max(value, RADIUS), Math.max(length - 1 - RADIUS, RADIUS)), length - 1);
    return this.targets.map((at) => {
      const [row, column] = [Math.floor(at / width), at % width];
      const cell = Math.min(row >> 1, below.height - 1) * below.width + Math.min(column >> 1, below.width - 1);
      const from = Math.floor(match[cell] / below.width);
      const there =
        within(2 * from + (row % 2), height) * width +
        within(2 * (match[cell] - from * below.width) + (column % 2), width);
      if (this.sources[there]) return there;
      const scattered = (Math.imul(at, 2654435761) + this.seed) >>> 0;
      return this.sourceIndices[scattered % this.sourceIndices.length];
    });
  }

  /** Raw descriptions of the targets. */
  private raw(planes: Planes, texture: Planes | null): Int32Array[] {
    const { places } = this;
    return describe(planes, texture, this.own).map((values) =>
      each(new Int32Array(places.length), (i) => values[places[i]]),
    );
  }

  private windowOfTargets(): Box {
    const { width, height } = this.level;
    let left = width;
    let right = 0;
    for (const at of this.targets) {
      left = Math.min(left, at % width);
      right = Math.max(right, at % width);
    }
    const top = Math.floor(this.targets[0] / width);
    const bottom = Math.floor(this.targets[this.targets.length - 1] / width);
    return boxBetween(
      Math.max(left - RADIUS, 0),
      Math.max(top - RADIUS, 0),
      Math.min(right + RADIUS + 1, width),
      Math.min(bottom + RADIUS + 1, height),
    );
  }

  /** Where a sample of the level lies in the window. */
  private placeOf(at: number): number {
    const { left, top, width } = this.window;
    const row = Math.floor(at / this.level.width);
    return (row - top) * width + at - row * this.level.width - left;
  }

  /** Descriptions of the targets as they are, with the guide's as far as it is believed. */
  private queries({ planes, texture }: Estimate): Descriptions {
    const { belief, evidence } = this;
    const towards = planes.map((plane, c) => {
      const guide = this.own.guide[c];
      return each(new Int32Array(plane.length), (i) => (belief[i] ? rint(belief[i] * (guide[i] - plane[i])) : 0));
    });
    const difference = this.raw(towards, null);
    const raw: Raw = this.raw(planes, texture).map((values, place) => {
      const further = difference[place];
      const believed = DETAIL.includes(place) ? evidence : null;
      return each(new Float64Array(values.length), (i) => values[i] + further[i] * (believed ? believed[i] : 1));
    });
    return this.quantiser.quantise(raw);
  }

  /**
   * Belief in the guide: less with every sample of depth; on the finest level only where the hole is narrow, as in wide
   * ones the guide is so blurred that its tones would move edges.
   */
  private beliefInGuide(): Float64Array {
    const { number } = this.level;
    const nearby = part(number ? this.depths : boxMaximum(this.depths, this.level, RING), this.level, this.window);
    return each(new Float64Array(nearby.length), (i) => {
      if (!this.own.hole[i]) return 0;
      if (!number) return Math.exp(-((nearby[i] / NARROW) ** 2));
      return Math.max(Math.exp(-(((nearby[i] * 2 ** number) / EXEMPLAR_OPTIONS.trust) ** 2)), EXEMPLAR_OPTIONS.floor);
    });
  }

  /** Belief in the guide's detail: none where its amplitude is a fifth of the surroundings' or less. */
  private evidenceOfDetail(): Float64Array {
    const { hole, guide, planes, texture } = this.own;
    const guided = planes.map((plane, c) => plane.map((value, i) => (hole[i] ? guide[c][i] : value)));
    const own = detailEnergy(this.quantiser.quantise(this.raw(guided, texture)));
    const around = this.around(detailEnergy(this.offered).map(rootOf));
    return each(own, (i) => Math.min(Math.max((1.25 * Math.sqrt(own[i])) / Math.max(around[i], 1e-6) - 0.25, 0), 1));
  }

  /** Means of whole numbers over the sources near each target, over all of them where none is near. */
  private around(values: Float64Array): Float64Array {
    const near = boxMeans(values, this.sources, this.level, RING);
    const counts = boxSums(this.sources, this.level, RING);
    const everywhere = this.sourceIndices.reduce((sum, at) => sum + values[at], 0) / this.sourceIndices.length;
    const { targets } = this;
    return each(new Float64Array(targets.length), (i) => (counts[targets[i]] ? near[targets[i]] : everywhere));
  }

  /** Whole numbers below 2^14 that make other sources attractive for every seed but 0. */
  private bias(): Int32Array | null {
    if (this.seed === 0) return null;
    const hash = hashes([this.seed]);
    return this.sourceIndices.map((_, i) => hash(i) >>> 18);
  }

  private costsOf(matches: Int32Array, queries: Descriptions): Float32Array {
    return each(new Float32Array(matches.length), (i) => squaredDistance(this.offered, matches[i], queries, i));
  }

  /** A quantile of squared distances, not below what can be seen. */
  private unit(costs: Float32Array, share: number): number {
    const place = Math.trunc(share * (costs.length - 1));
    return Math.max(costs.slice().sort()[place], LEAST_COST * this.quantiser.scale ** 2);
  }

  /** Search near the present matches: better ones, and their squared distances, charges included. */
  private improve(matches: Int32Array, queries: Descriptions, unit: number, first: boolean): Field {
    const uses = boxSums(usesOf(matches, this.level), this.level, 1);
    const charge = each(
      new Float32Array(uses.length),
      (i) => EXEMPLAR_OPTIONS.uniformity * unit * Math.max(uses[i] / 9 - 1, 0),
    );
    const terms = { coherence: EXEMPLAR_OPTIONS.coherence * unit, charge };
    const field = new Field(this.level, this.sources, this.targets, matches, queries, this.offered, terms);
    field.propagate([4, 2, 1]);
    for (const radius of first ? [4, 2, 1] : [1]) field.lookAround(radius);
    return field;
  }
}

const rootOf = (energy: number): number => Math.floor(Math.sqrt(energy));

/** A part of a level. */
function cut(level: Level, box: Box): Level {
  const planes = (all: Planes): Int32Array[] => all.map((plane) => part(plane, level, box));
  return {
    ...level,
    width: box.width,
    height: box.height,
    planes: planes(level.planes),
    guide: planes(level.guide),
    texture: planes(level.texture),
    hole: part(level.hole, level, box),
    rough: part(level.rough, level, box),
    excluded: part(level.excluded, level, box),
  };
}

function part<T extends Uint8Array | Int32Array>(all: T, { width }: Size, box: Box): T {
  const cropped = all.slice(0, area(box)) as T;
  for (let y = 0; y < box.height; y++) {
    const from = (box.top + y) * width + box.left;
    cropped.set(all.subarray(from, from + box.width), y * box.width);
  }
  return cropped;
}
