/** `wavepaint.fill.levels` in TypeScript: a window, its hole and its guide at ever lower resolution, as integers. */

import { type Size, area } from "../../geometry";
import { type Pixels, rangeOf } from "../planes";
import { boxMeans, depthOf, dilate, each, rint } from "./areas";
import { type Planes, RADIUS, WHITE, textureOf } from "./patches";

export const DEEPEST = 40;
const SHORTEST = 24;
const FEWEST_SOURCES = 30;

/** One resolution. */
export interface Level extends Size {
  /** Halvings. */
  readonly number: number;
  /** Red, green and blue, 0 to `WHITE`; 0 in the hole. */
  readonly planes: Planes;
  /** 1 = hole. */
  readonly hole: Uint8Array;
  readonly guide: Planes;
  /** Absolute differences; see `textureOf`. */
  readonly texture: Planes;
  /** Where `texture` is known. */
  readonly rough: Uint8Array;
  /** Not to copy from. */
  readonly excluded: Uint8Array;
  /** Depth of the deepest hole sample, at most `DEEPEST`. */
  readonly deepest: number;
}

/** Where patches may be copied from (their centres), and whether all their samples are known. */
export function sourcesOf(level: Level): { sources: Uint8Array; whole: boolean } {
  const { width, height, hole, excluded } = level;
  const unfit = hole.map((mark, i) => mark | excluded[i]);
  const whole = dilate(unfit, level, RADIUS).map((mark) => mark ^ 1);
  let count = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (Math.min(x, y, width - 1 - x, height - 1 - y) < RADIUS) whole[i] = 0;
      count += whole[i];
    }
  }
  if (count >= FEWEST_SOURCES) return { sources: whole, whole: true };
  return { sources: (unfit.includes(0) ? unfit : hole).map((mark) => mark ^ 1), whole: false };
}

/** The finest level that is searched, `number` halvings from the image. */
export function firstLevel(
  samples: Pixels,
  hole: Uint8Array,
  guide: Pixels,
  excluded: Uint8Array,
  number: number,
): Level {
  const size = { width: samples.width, height: samples.height };
  const planes = integers(samples);
  for (const plane of planes) hole.forEach((mark, i) => mark && (plane[i] = 0));
  const rough = dilate(hole, size, 1).map((mark) => mark ^ 1);
  const texture = textureOf(planes, size).map((plane) => {
    const means = boxMeans(plane, rough, size, RADIUS);
    return each(plane, (i) => rint(means[i]));
  });
  const guided = integers(guide).map((plane, c) => plane.map((value, i) => (hole[i] ? value : planes[c][i])));
  const deepest = deepestOf(hole, size);
  return { ...size, number, planes, hole, guide: guided, texture, rough, excluded, deepest };
}

/** Levels from the finest on, until no hole sample is deeper than `deepest`. */
export function buildLevels(finest: Level, deepest: number): Level[] {
  const levels = [finest];
  for (let last = finest; last.deepest > deepest && Math.min(last.width, last.height) > SHORTEST;) {
    last = halved(last);
    levels.push(last);
  }
  return levels;
}

/** The next level: means of the known samples of 2x2 cells; cells with less than half known are hole. */
function halved(level: Level): Level {
  const size = { width: Math.ceil(level.width / 2), height: Math.ceil(level.height / 2) };
  const known = level.hole.map((mark) => mark ^ 1);
  const counts = cellSums(known, level);
  const hole = each(new Uint8Array(counts.length), (i) => (counts[i] < 2 ? 1 : 0));
  if (!hole.includes(0)) each(hole, (i) => (counts[i] === 0 ? 1 : 0));
  const planes = level.planes.map((plane) => halvePlane(plane, known, counts, level));
  for (const plane of planes) hole.forEach((mark, i) => mark && (plane[i] = 0));
  const roughCounts = cellSums(level.rough, level);
  const all = new Uint8Array(area(level)).fill(1);
  const four = new Int32Array(area(size)).fill(4);
  return {
    ...size,
    number: level.number + 1,
    planes,
    hole,
    guide: level.guide.map((plane) => halvePlane(plane, all, four, level)),
    texture: level.texture.map((plane) => halvePlane(plane, level.rough, roughCounts, level)),
    rough: each(new Uint8Array(counts.length), (i) => (roughCounts[i] > 0 ? 1 : 0)),
    excluded: cellMarks(level.excluded, level),
    deepest: deepestOf(hole, size),
  };
}

/** Cells that hold a marked sample. */
export function cellMarks(marks: Uint8Array, size: Size): Uint8Array {
  const counts = cellSums(marks, size);
  return each(new Uint8Array(counts.length), (i) => (counts[i] > 0 ? 1 : 0));
}

function deepestOf(hole: Uint8Array, size: Size): number {
  return depthOf(hole, size, DEEPEST).reduce((most, depth) => Math.max(most, depth), 0);
}

/** Samples of any type and number of colours as working integers. */
function integers(samples: Pixels): Int32Array[] {
  const { channels, data } = samples;
  const range = rangeOf(samples);
  const planes = Array.from({ length: channels < 3 ? 1 : 3 }, (_, c) =>
    each(new Int32Array(area(samples)), (i) => {
      const value = Math.min(Math.max(Math.fround(data[i * channels + c] / range), 0), 1);
      return rint(Math.fround(value * WHITE));
    }),
  );
  return planes.length === 1 ? [planes[0], planes[0].slice(), planes[0].slice()] : planes;
}

/** Sums over 2x2 cells; an odd last row or column is counted twice. */
function cellSums(values: Int32Array | Uint8Array, { width, height }: Size): Int32Array {
  const columns = Math.ceil(width / 2);
  const sums = new Int32Array(columns * Math.ceil(height / 2));
  for (let y = 0, cell = 0; y < height; y += 2) {
    const [above, below] = [y * width, Math.min(y + 1, height - 1) * width];
    for (let x = 0; x < width; x += 2, cell++) {
      const next = Math.min(x + 1, width - 1);
      sums[cell] = values[above + x] + values[below + x] + values[above + next] + values[below + next];
    }
  }
  return sums;
}

/** Rounded mean of the known samples of every cell. */
function halvePlane(plane: Int32Array, known: Uint8Array, counts: Int32Array, size: Size): Int32Array {
  const masked = each(new Int32Array(plane.length), (i) => (known[i] ? plane[i] : 0));
  const sums = cellSums(masked, size);
  return each(sums, (i) => {
    const some = Math.max(counts[i], 1);
    return Math.floor((sums[i] + (some >> 1)) / some);
  });
}
