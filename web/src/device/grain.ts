/** `wavepaint.fill.grain` in TypeScript: what a network smooths away in a hole, the image's own noise, is put back. */

import { type Size, area } from "../geometry";
import { type Mask, type Plane, allocatePlane } from "./planes";
import { normals } from "./noise";

const SCALES = 2;
const MIN_BLOCKS = 64;
const FAINTEST = 1 / 255;
const STRONGEST = 12 / 255;
const MEDIAN_OF_NORMAL = 0.6745;
/** Orthonormal: luminance, red against blue, green against both. */
const OPPONENT = [
  [1 / 3 ** 0.5, 1 / 3 ** 0.5, 1 / 3 ** 0.5],
  [1 / 2 ** 0.5, 0, -1 / 2 ** 0.5],
  [1 / 6 ** 0.5, -2 / 6 ** 0.5, 1 / 6 ** 0.5],
];

/** Standard deviations: of each component, at each scale. */
export type Grain = readonly (readonly number[])[];

/** The noise of the blocks of 1 or 3 planes that lie as a whole where `where` is `mark`. */
export function grainOf(planes: readonly Plane[], where: Mask, mark: 0 | 1): Grain {
  let marks: Mask = { ...where, data: where.data.map((value) => Number(value === mark)) };
  let components = toComponents(planes);
  const deviations = components.map(() => new Array<number>(SCALES).fill(0));
  for (let scale = 0; scale < SCALES; scale++) {
    marks = wholeBlocks(marks);
    const count = marks.data.reduce((sum, value) => sum + value, 0);
    const bands = components.map(haar);
    if (count < MIN_BLOCKS) break;
    bands.forEach(({ diagonal }, c) => (deviations[c][scale] = medianWhere(diagonal, marks, count) / MEDIAN_OF_NORMAL));
    components = bands.map(({ average }) => average);
  }
  return deviations;
}

/** What has to be added to samples with the grain `inside` to make it that of `around`; null for nothing. */
export function missingGrain(around: Grain, inside: Grain | null): Grain | null {
  const capped = around.map((deviations) => deviations.map((deviation) => Math.min(deviation, STRONGEST)));
  if (Math.fround(Math.max(...capped.flat())) < Math.fround(FAINTEST)) return null;
  const missing = capped.map((deviations, c) =>
    deviations.map((deviation, scale) => Math.sqrt(Math.max(deviation ** 2 - (inside?.[c][scale] ?? 0) ** 2, 0))),
  );
  return missing.flat().some((deviation) => deviation > 0) ? missing : null;
}

/** Draw noise of the given deviations, a plane for each; the same seed draws the same noise. */
export function drawGrain(deviations: Grain, { width, height }: Size, seed: readonly number[]): Plane[] {
  const blocks = (side: number): number => Math.ceil(side / 2 ** SCALES);
  let coarse = deviations.map(() => allocatePlane({ width: blocks(width), height: blocks(height) }));
  for (let scale = SCALES - 1; scale >= 0; scale--) {
    const bands = [0, 1, 2].map((band) =>
      coarse.map((plane, c) => scaled(normals([...seed, scale, band], c, plane), deviations[c][scale])),
    );
    coarse = coarse.map((plane, c) => inverseHaar(plane, bands[0][c], bands[1][c], bands[2][c]));
  }
  const cropped = coarse.map((plane) => topLeft(plane, { width, height }));
  return toComponents(cropped, true);
}

const scaled = (plane: Plane, factor: number): Plane => ({ ...plane, data: plane.data.map((value) => value * factor) });

function toComponents(planes: readonly Plane[], inverse = false): Plane[] {
  if (planes.length === 1) return [...planes];
  return OPPONENT.map((row, i) => {
    const [r, g, b] = inverse ? OPPONENT.map((column) => column[i]) : row;
    const [red, green, blue] = planes;
    return { ...red, data: red.data.map((value, at) => r * value + g * green.data[at] + b * blue.data[at]) };
  });
}

/** Marks of the whole 2x2 blocks of which all four samples are marked. */
function wholeBlocks({ width, height, data }: Mask): Mask {
  const size = { width: width >> 1, height: height >> 1 };
  const marks = new Uint8Array(area(size));
  for (let y = 0, i = 0; y < size.height; y++) {
    for (let x = 0, at = 2 * y * width; x < size.width; x++, i++, at += 2) {
      marks[i] = data[at] & data[at + 1] & data[at + width] & data[at + width + 1];
    }
  }
  return { ...size, data: marks };
}

/** The low band and the diagonal band of every whole 2x2 block. */
function haar({ width, height, data }: Plane): { average: Plane; diagonal: Plane } {
  const size = { width: width >> 1, height: height >> 1 };
  const [average, diagonal] = [allocatePlane(size), allocatePlane(size)];
  for (let y = 0, i = 0; y < size.height; y++) {
    for (let x = 0, at = 2 * y * width; x < size.width; x++, i++, at += 2) {
      const [a, b, c, d] = [data[at], data[at + 1], data[at + width], data[at + width + 1]];
      average.data[i] = 0.5 * (a + b + c + d);
      diagonal.data[i] = 0.5 * (a - b - c + d);
    }
  }
  return { average, diagonal };
}

function inverseHaar(ll: Plane, lh: Plane, hl: Plane, hh: Plane): Plane {
  const plane = allocatePlane({ width: 2 * ll.width, height: 2 * ll.height });
  for (let y = 0, i = 0; y < ll.height; y++) {
    for (let x = 0, at = 2 * y * plane.width; x < ll.width; x++, i++, at += 2) {
      const [low, rows, columns, both] = [ll.data[i], lh.data[i], hl.data[i], hh.data[i]];
      plane.data[at] = 0.5 * (low + rows + columns + both);
      plane.data[at + 1] = 0.5 * (low + rows - columns - both);
      plane.data[at + plane.width] = 0.5 * (low - rows + columns - both);
      plane.data[at + plane.width + 1] = 0.5 * (low - rows - columns + both);
    }
  }
  return plane;
}

/** The median of the absolute values at the marks, of which there are `count`. */
function medianWhere({ data }: Plane, marks: Mask, count: number): number {
  const values = new Float32Array(count);
  for (let i = 0, to = 0; i < data.length; i++) if (marks.data[i]) values[to++] = Math.abs(data[i]);
  values.sort();
  return (values[(count - 1) >> 1] + values[count >> 1]) / 2;
}

function topLeft(plane: Plane, size: Size): Plane {
  const part = allocatePlane(size);
  for (let y = 0; y < size.height; y++) {
    part.data.set(plane.data.subarray(y * plane.width, y * plane.width + size.width), y * size.width);
  }
  return part;
}
