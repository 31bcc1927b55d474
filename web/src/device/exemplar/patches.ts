/** `wavepaint.fill.patches` in TypeScript: 7x7 patches, described by small integers, the same as Python's. */

import { type Size, area } from "../../geometry";
import { each, rint } from "./areas";

export const RADIUS = 3;
export const SIDE = 2 * RADIUS + 1;
export const UNIT = 16;
export const WHITE = 255 * UNIT;
const TEXTURE_WEIGHT = 1.5;
/** Places of the description that do not say how bright a patch is, but how it varies. */
export const DETAIL = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15];
const TABLE_SCALE = 2 ** 6;
/** DCT-II of seven taps, frequencies 0 to 3, in whole numbers. */
const TABLE = [0, 1, 2, 3].map((order) =>
  Int32Array.from({ length: SIDE }, (_, tap) =>
    rint(Math.cos((Math.PI * (tap + 0.5) * order) / SIDE) * Math.sqrt((order ? 2 : 1) / SIDE) * TABLE_SCALE),
  ),
);
/** Frequencies of luminance, by rows and then by columns, and of the two opponent colours. */
const LUMINANCE = [0, 1, 2, 3].flatMap((row) =>
  [0, 1, 2, 3].filter((column) => row + column < 4).map((column) => [row, column] as const),
);
const CHROMA = [
  [0, 0],
  [0, 1],
  [1, 0],
] as const;
const PAIRS = [LUMINANCE, CHROMA, CHROMA];
export const LENGTH = LUMINANCE.length + 2 * CHROMA.length + 2;
const DCT_SCALE = 1 / (UNIT * TABLE_SCALE ** 2);
/** From raw integers to an orthonormal description in steps of 8 bits. */
const SCALES = [
  ...LUMINANCE.map(() => DCT_SCALE / Math.sqrt(3)),
  ...CHROMA.map(() => DCT_SCALE / Math.sqrt(2)),
  ...CHROMA.map(() => DCT_SCALE / Math.sqrt(6)),
  (TEXTURE_WEIGHT * SIDE) / UNIT,
  (TEXTURE_WEIGHT * SIDE) / UNIT,
];
const LONGEST_SOURCE = 1300;
const LONGEST_QUERY = 2600;
const FINEST = 8;

/** Red, green and blue, or horizontal and vertical roughness, as whole numbers. */
export type Planes = readonly Int32Array[];
/** `LENGTH` numbers for every sample, one array for each place of the description. */
export type Raw = readonly (Int32Array | Float64Array)[];
/** `LENGTH` small integers for every sample, those of a sample side by side. */
export type Descriptions = Int16Array;

/** From raw descriptions to small integers, whose sums of squares stay below 2^24. */
export class Quantiser {
  private constructor(
    /** Integers for each step of 8 bits. */
    readonly scale: number,
    /** Raw description that becomes zero. */
    private readonly centre: Float64Array,
  ) {}

  /** As fine as the patches at `used` allow. */
  static fitting(raw: Raw, used: Int32Array): Quantiser {
    const centre = Float64Array.from(raw, (values) => {
      let least = Infinity;
      let most = -Infinity;
      for (let i = 0; i < used.length; i++) {
        const value = values[used[i]];
        if (value < least) least = value;
        if (value > most) most = value;
      }
      return rint((least + most) / 2);
    });
    const squares = new Float64Array(used.length);
    raw.forEach((values, place) => {
      for (let i = 0; i < used.length; i++) {
        const value = (values[used[i]] - centre[place]) * SCALES[place];
        squares[i] += value * value;
      }
    });
    const longest = Math.sqrt(squares.reduce((most, value) => Math.max(most, value), 0));
    return new Quantiser(Math.min(FINEST, (LONGEST_SOURCE - LENGTH) / Math.max(longest, 1e-6)), centre);
  }

  quantise(raw: Raw): Descriptions {
    const count = raw[0].length;
    const small = new Int16Array(count * LENGTH);
    const lengths = new Float64Array(count);
    raw.forEach((values, place) => {
      const [middle, scale] = [this.centre[place], SCALES[place] * this.scale];
      for (let i = 0, to = place; i < count; i++, to += LENGTH) {
        const value = Math.min(Math.max(rint((values[i] - middle) * scale), -LONGEST_QUERY), LONGEST_QUERY);
        small[to] = value;
        lengths[i] += value * value;
      }
    });
    for (let i = 0; i < count; i++) {
      const length = Math.sqrt(lengths[i]);
      if (length <= LONGEST_QUERY - LENGTH) continue;
      const shrink = (LONGEST_QUERY - LENGTH) / length;
      for (let at = i * LENGTH; at < (i + 1) * LENGTH; at++) small[at] = rint(small[at] * shrink);
    }
    return small;
  }
}

/** The raw description of the patch around every sample; patches at the border see it repeated outwards. */
export function describe(planes: Planes, texture: Planes | null, size: Size): Int32Array[] {
  const [red, green, blue] = planes.map((plane) => padded(plane, size));
  const opponents = [
    red.map((value, i) => value + green[i] + blue[i]),
    red.map((value, i) => value - blue[i]),
    red.map((value, i) => value - 2 * green[i] + blue[i]),
  ];
  const raw: Int32Array[] = [];
  PAIRS.forEach((pairs, channel) => {
    const rows = [0, 1, 2, 3].map((order) =>
      pairs.some(([row]) => row === order) ? transformDown(opponents[channel], TABLE[order], size) : null,
    );
    for (const [row, column] of pairs) raw.push(transformAcross(rows[row] as Int32Array, TABLE[column], size));
  });
  return [...raw, ...(texture ?? [new Int32Array(area(size)), new Int32Array(area(size))])];
}

function padded(plane: Int32Array, { width, height }: Size): Int32Array {
  const pitch = width + 2 * RADIUS;
  const wide = new Int32Array(pitch * (height + 2 * RADIUS));
  for (let y = 0; y < height + 2 * RADIUS; y++) {
    const from = Math.min(Math.max(y - RADIUS, 0), height - 1) * width;
    const to = y * pitch;
    wide.set(plane.subarray(from, from + width), to + RADIUS);
    wide.fill(plane[from], to, to + RADIUS);
    wide.fill(plane[from + width - 1], to + RADIUS + width, to + pitch);
  }
  return wide;
}

/** A frequency of every window of `SIDE` rows: of a padded plane, which becomes as high as the image. */
function transformDown(plane: Int32Array, table: Int32Array, { width, height }: Size): Int32Array {
  const pitch = width + 2 * RADIUS;
  return windows(plane, table, pitch * height, pitch);
}

function transformAcross(plane: Int32Array, table: Int32Array, { width, height }: Size): Int32Array {
  const all = windows(plane, table, plane.length - 2 * RADIUS, 1);
  const pitch = width + 2 * RADIUS;
  const across = new Int32Array(width * height);
  for (let y = 0; y < height; y++) across.set(all.subarray(y * pitch, y * pitch + width), y * width);
  return across;
}

function windows(plane: Int32Array, table: Int32Array, count: number, step: number): Int32Array {
  const [a, b, c, d, e, f, g] = table;
  const sums = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    sums[i] =
      Math.imul(a, plane[i]) +
      Math.imul(b, plane[i + step]) +
      Math.imul(c, plane[i + 2 * step]) +
      Math.imul(d, plane[i + 3 * step]) +
      Math.imul(e, plane[i + 4 * step]) +
      Math.imul(f, plane[i + 5 * step]) +
      Math.imul(g, plane[i + 6 * step]);
  }
  return sums;
}

/** Absolute horizontal and vertical differences of the mean of the channels. */
export function textureOf([red, green, blue]: Planes, { width, height }: Size): Int32Array[] {
  const grey = red.map((value, i) => value + green[i] + blue[i]);
  const [across, down] = [new Int32Array(grey.length), new Int32Array(grey.length)];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (x < width - 1) across[i] = Math.floor(Math.abs(grey[i + 1] - grey[i]) / 3);
      if (y < height - 1) down[i] = Math.floor(Math.abs(grey[i + width] - grey[i]) / 3);
    }
  }
  return [across, down];
}

/** Energy of the luminance detail of every description. */
export function detailEnergy(described: Descriptions): Float64Array {
  return each(new Float64Array(described.length / LENGTH), (i) => {
    let energy = 0;
    for (let at = i * LENGTH + 1; at < i * LENGTH + 10; at++) energy += described[at] * described[at];
    return energy;
  });
}

/** Squared distance of two descriptions. */
export function squaredDistance(a: Descriptions, i: number, b: Descriptions, j: number): number {
  let sum = 0;
  for (let place = 0, p = i * LENGTH, q = j * LENGTH; place < LENGTH; place++, p++, q++) {
    const difference = a[p] - b[q];
    sum = (sum + Math.imul(difference, difference)) | 0;
  }
  return sum;
}
