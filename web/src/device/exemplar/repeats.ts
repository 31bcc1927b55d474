/** `wavepaint.fill.repeats` in TypeScript: textures that repeat exactly are continued so, and need no search. */

import { type Size, area } from "../../geometry";
import { hashes } from "../noise";
import { dilate, each, indicesOf } from "./areas";
import type { Matching } from "./blend";
import { type Level, sourcesOf } from "./levels";
import { RADIUS } from "./patches";

const FEWEST_KNOWN = 100;
const FIRST_COMPARED = 8;
const MOST_COMPARISONS = 2 ** 19;

/** From a sample to the one that it copies, and how many samples around the hole are known there. */
interface Offset {
  readonly down: number;
  readonly right: number;
  known: number;
}

/**
 * Copies that agree with all known samples in the patches that touch the hole; null unless every patch has one. An
 * offset must agree wherever it leads to known samples, and do so for at least half of those around the hole.
 */
export function findRepeats(level: Level): Matching | null {
  const { hole, excluded, planes } = level;
  const near = dilate(hole, level, 2 * RADIUS);
  const around = indicesOf(near).filter((at) => !hole[at]);
  const { sources, whole } = sourcesOf(level);
  if (around.length < FEWEST_KNOWN || near.some((mark, i) => mark && excluded[i]) || !whole) return null;

  const [red, green, blue] = planes;
  const colours = each(new Float64Array(area(level)), (i) =>
    hole[i] || excluded[i] ? -1 : red[i] + 4096 * (green[i] + 4096 * blue[i]),
  );
  const offsets = agreeingOffsets(colours, shuffled(around), level);
  const targets = indicesOf(dilate(hole, level, RADIUS));
  const matches = new Int32Array(targets.length);
  for (let i = 0; i < targets.length; i++) {
    const offset = offsets.find((offset) => sources[moved(targets[i], offset, level)]);
    if (!offset) return null;
    matches[i] = moved(targets[i], offset, level);
  }
  return { targets, matches, weights: new Float64Array(targets.length).fill(1) };
}

/** Offsets at which the samples around the hole repeat, those first that lead to the most known ones. */
function agreeingOffsets(colours: Float64Array, around: readonly number[], size: Size): Offset[] {
  let offsets = offsetsFrom(rarest(around, colours), colours, size);
  for (let [start, end] = [0, FIRST_COMPARED]; start < around.length && offsets.length; [start, end] = [end, 2 * end]) {
    const part = around.slice(start, end);
    if (start) offsets = thinned(offsets, end - start);
    offsets = offsets.filter((offset) =>
      part.every((at) => {
        const to = moved(at, offset, size);
        if (to < 0 || colours[to] < 0) return true;
        offset.known++;
        return colours[to] === colours[at];
      }),
    );
  }
  return offsets.filter(({ known }) => 2 * known >= around.length).sort((a, b) => b.known - a.known);
}

/** As many offsets as can be compared at some samples; not every n-th, which could miss those of a regular pattern. */
function thinned<T>(offsets: readonly T[], samples: number): T[] {
  const hash = hashes([]);
  return offsets.filter((_, i) => hash(i) * (offsets.length * samples) < 2 ** 32 * MOST_COMPARISONS);
}

/** Offsets to the other samples of the same colour. */
function offsetsFrom(from: number, colours: Float64Array, { width }: Size): Offset[] {
  const same: number[] = [];
  colours.forEach((colour, to) => colour === colours[from] && to !== from && same.push(to));
  return thinned(same, FIRST_COMPARED).map((to) => ({
    down: Math.floor(to / width) - Math.floor(from / width),
    right: (to % width) - (from % width),
    known: 0,
  }));
}

/** Where an offset leads from a sample, -1 outside. */
function moved(from: number, { down, right }: Offset, { width, height }: Size): number {
  const [row, column] = [Math.floor(from / width) + down, (from % width) + right];
  return row < 0 || row >= height || column < 0 || column >= width ? -1 : row * width + column;
}

/** Samples in an order that is always the same. */
function shuffled(samples: Int32Array): number[] {
  const hash = hashes([]);
  return Array.from(samples, (at, i) => ({ at, order: hash(i) }))
    .sort((a, b) => a.order - b.order)
    .map(({ at }) => at);
}

/** The first of some samples whose colour is the rarest among them. */
function rarest(samples: readonly number[], colours: Float64Array): number {
  const counts = new Map<number, number>();
  for (const at of samples) counts.set(colours[at], (counts.get(colours[at]) ?? 0) + 1);
  const countOf = (at: number): number => counts.get(colours[at]) ?? 0;
  return samples.reduce((first, at) => (countOf(at) < countOf(first) ? at : first));
}
