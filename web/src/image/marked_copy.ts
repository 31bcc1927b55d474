/**
 * A mask that is a copy of the image itself, with the hole painted over or erased to transparency: the rules of
 * `wavepaint.image.marked_copy`. `tests/vectors/masks` holds what both must give.
 */

import { type Raster, hasAlpha } from "./raster";

/** Samples that differ by no more, in steps of 8 bits, may be the same before and after lossy compression. */
export const NEAR = 24;
/** Of the pixels that are neither black nor white: a mask with fewer of them is no copy of the image. */
export const MIN_MIDDLE_SHARE = 1 / 200;
const FAINT = 4;
const NOISE_LIMITS = [40, 72];
const MARGIN = 3;

/** Whether a pixel is neither black nor white, by the least and the largest of its colours in 8 bits. */
export const isMiddle = (darkest: number, brightest: number): boolean => brightest > NEAR && darkest < 255 - NEAR;

export interface Comparison {
  /** Whether most of the mask equals the image, and not only because both are black, or both white. */
  readonly isCopy: boolean;
  /** The largest difference that lossy compression has left outside the hole; 0 if the copy is exact. */
  readonly tolerance: number;
  /** Of the image's pixels that are neither black nor white. */
  readonly imageMiddle: number;
  /** The largest difference of each pixel, in steps of 8 bits. */
  readonly differences: Uint8Array<ArrayBuffer>;
}

/** Compare a mask with an image of the same size. */
export function compare(mask: Raster, image: Raster): Comparison {
  const [own, other] = [reader(mask), reader(image)];
  const pixels = mask.width * mask.height;
  const differences = new Uint8Array(pixels);
  const counts = new Array<number>(256).fill(0);
  let [middle, sameMiddle, imageMiddle] = [0, 0, 0];
  for (let pixel = 0; pixel < pixels; pixel++) {
    own.read(pixel);
    other.read(pixel);
    const difference = differenceOf(own, other);
    differences[pixel] = difference;
    counts[difference]++;
    if (own.isMiddle()) {
      middle++;
      if (difference <= NEAR) sameMiddle++;
    }
    if (other.isMiddle()) imageMiddle++;
  }
  const same = sum(counts.slice(0, NEAR + 1));
  const isCopy =
    2 * same > pixels && 4 * sameMiddle > middle && sameMiddle >= Math.max(1, (pixels * MIN_MIDDLE_SHARE) / 4);
  return { isCopy, tolerance: toleranceOf(counts, pixels), imageMiddle, differences };
}

/** Where a marked copy differs from the image: one byte per pixel, 1 = hole. */
export function marksOf({ width, height }: Raster, { differences, tolerance }: Comparison): Uint8Array<ArrayBuffer> {
  const marks = differences.map((difference) => Number(difference > tolerance));
  // Single pixels are noise, and compression has smeared what was painted.
  return tolerance ? grown(majority(marks, width, height), width, height) : marks;
}

/** Compression changes many samples a little, a brush few of them much. */
function toleranceOf(counts: readonly number[], pixels: number): number {
  if (4 * sum(counts.slice(1, FAINT + 1)) <= sum(counts.slice(FAINT + 1))) return 0;
  let median = 0;
  for (let below = counts[0]; below < Math.floor((pixels + 1) / 2); below += counts[median]) median++;
  const [least, most] = NOISE_LIMITS;
  return Math.min(Math.max(8 * median + 24, least), most);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** One pixel at a time in 8 bits. */
interface Reader {
  readonly colours: Uint8Array;
  alpha: number;
  read(pixel: number): void;
  isMiddle(): boolean;
}

function reader(raster: Raster): Reader {
  const { channels, data } = raster;
  const shift = data instanceof Uint8Array ? 0 : 8;
  const count = hasAlpha(raster) ? channels - 1 : channels;
  const colours = new Uint8Array(count);
  return {
    colours,
    alpha: 255,
    read(pixel) {
      for (let c = 0; c < count; c++) colours[c] = data[pixel * channels + c] >> shift;
      if (count < channels) this.alpha = data[pixel * channels + count] >> shift;
    },
    isMiddle() {
      return this.alpha >= 128 && isMiddle(Math.min(...colours), Math.max(...colours));
    },
  };
}

/** The largest difference of any colour where both are visible, or of alpha. */
function differenceOf(own: Reader, other: Reader): number {
  let largest = Math.abs(own.alpha - other.alpha);
  // Colours that nobody sees are whatever a program leaves there.
  if (own.alpha < 128 || other.alpha < 128) return largest;
  const count = Math.max(own.colours.length, other.colours.length);
  for (let c = 0; c < count; c++) {
    const distance = Math.abs(own.colours[c % own.colours.length] - other.colours[c % other.colours.length]);
    if (distance > largest) largest = distance;
  }
  return largest;
}

/** 1 where at least 5 of the 3x3 pixels around are; outside lies nothing. */
function majority(marks: Uint8Array, width: number, height: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(marks.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      let count = 0;
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          count += marks[row * width + column];
        }
      }
      out[at] = Number(count >= 5);
    }
  }
  return out;
}

/** 1 within a square of `MARGIN` pixels on every side. */
function grown(marks: Uint8Array<ArrayBuffer>, width: number, height: number): Uint8Array<ArrayBuffer> {
  const spread = (from: Uint8Array, step: number, isInside: (x: number, y: number) => boolean) => {
    const to = from.slice();
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) if (from[at] && isInside(x, y)) to[at + step] = 1;
    }
    return to;
  };
  let out = marks;
  for (let turn = 0; turn < MARGIN; turn++) {
    const [down, up] = [spread(out, width, (_, y) => y < height - 1), spread(out, -width, (_, y) => y > 0)];
    const rows = down.map((mark, i) => mark | up[i]);
    const [after, before] = [spread(rows, 1, (x) => x < width - 1), spread(rows, -1, (x) => x > 0)];
    out = after.map((mark, i) => mark | before[i]);
  }
  return out;
}
