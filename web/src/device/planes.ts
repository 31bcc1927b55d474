/** What the computations of `wavepaint` work on: the counterparts of its NumPy arrays. */

import type { Box, Size } from "../geometry";
import type { Channels } from "../image/raster";

/** One byte per pixel, 1 = hole. */
export interface Mask extends Size {
  readonly data: Uint8Array;
}

/** One number per pixel. */
export interface Plane extends Size {
  readonly data: Float32Array;
}

/** Interleaved samples: integers as a `Raster` holds them, or floats in [0, 1]. */
export interface Pixels extends Size {
  readonly channels: Channels;
  readonly data: Uint8Array | Uint16Array | Float32Array;
}

export const right = (box: Box): number => box.left + box.width;
export const bottom = (box: Box): number => box.top + box.height;

/** The same pixels counted from the corner of `other`. */
export const relativeTo = (box: Box, other: Box): Box => ({
  ...box,
  left: box.left - other.left,
  top: box.top - other.top,
});

/** Colour channels: alpha is the last of 2 or 4. */
export const coloursOf = ({ channels }: Pixels): 1 | 3 => (channels < 3 ? 1 : 3);

/** The largest value of a sample. */
export const rangeOf = ({ data }: Pixels): number =>
  data instanceof Uint8Array ? 255 : data instanceof Uint16Array ? 65535 : 1;

export const allocatePlane = ({ width, height }: Size): Plane => ({
  width,
  height,
  data: new Float32Array(width * height),
});

/** A value in [0, 1], or beyond it and to be clipped, as a sample; halves are rounded up. */
export function fromUnit(value: number, range: number): number {
  const clipped = Math.min(Math.max(value, 0), 1);
  return range === 1 ? clipped : Math.floor(Math.fround(clipped * range) + 0.5);
}

/** A copy of one channel as floats in [0, 1]. */
export function channelOf(pixels: Pixels, channel: number): Plane {
  const plane = allocatePlane(pixels);
  const { channels, data } = pixels;
  const range = rangeOf(pixels);
  for (let i = 0, from = channel; i < plane.data.length; i++, from += channels) plane.data[i] = data[from] / range;
  return plane;
}

export function cropMask(mask: Mask, box: Box): Mask {
  const data = new Uint8Array(box.width * box.height);
  for (let row = 0; row < box.height; row++) {
    const start = (box.top + row) * mask.width + box.left;
    data.set(mask.data.subarray(start, start + box.width), row * box.width);
  }
  return { width: box.width, height: box.height, data };
}

export function cropPixels(pixels: Pixels, box: Box): Pixels {
  const { channels } = pixels;
  const data = allocate(pixels, box.width * box.height * channels);
  const cropped = { width: box.width, height: box.height, channels, data };
  paste(cropped, box, pixels, { left: 0, top: 0, width: pixels.width, height: pixels.height });
  return cropped;
}

/** Copy what `source`, which lies at `from`, has of the pixels of `target`, which lies at `at`. */
export function paste(target: Pixels, at: Box, source: Pixels, from: Box): void {
  const { channels } = target;
  const left = Math.max(at.left, from.left);
  const stop = Math.min(right(at), right(from));
  if (stop <= left) return;
  for (let y = Math.max(at.top, from.top); y < Math.min(bottom(at), bottom(from)); y++) {
    const start = ((y - from.top) * source.width + left - from.left) * channels;
    const row = source.data.subarray(start, start + (stop - left) * channels);
    target.data.set(row, ((y - at.top) * target.width + left - at.left) * channels);
  }
}

export function allocate({ data }: Pixels, length: number): Pixels["data"] {
  if (data instanceof Uint8Array) return new Uint8Array(length);
  return data instanceof Uint16Array ? new Uint16Array(length) : new Float32Array(length);
}

/** Pad below and to the right by reflection; where an axis is too short for it, by repeating the edge. */
export function padInto(target: Float32Array, size: Size, source: Plane | Mask): void {
  const from = (position: number, length: number, padded: number): number => {
    if (position < length) return position;
    return padded - length < length ? 2 * (length - 1) - position : length - 1;
  };
  const columns = Array.from({ length: size.width }, (_, x) => from(x, source.width, size.width));
  for (let y = 0, i = 0; y < size.height; y++) {
    const row = from(y, source.height, size.height) * source.width;
    for (let x = 0; x < size.width; x++, i++) target[i] = source.data[row + columns[x]];
  }
}
