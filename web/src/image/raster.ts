import type { Box, Size } from "../geometry";

export type Samples = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
export type Channels = 1 | 2 | 3 | 4;

/**
 * Samples as they stand in the file: interleaved rows, alpha not premultiplied, no colour management.
 * `channels`: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. 8-bit samples are a `Uint8Array`, 16-bit ones a `Uint16Array`.
 */
export interface Raster extends Size {
  readonly channels: Channels;
  readonly data: Samples;
}

export const depthOf = (raster: Raster): 8 | 16 => (raster.data instanceof Uint8Array ? 8 : 16);

export const hasAlpha = (raster: Raster): boolean => raster.channels === 2 || raster.channels === 4;

export const allocateLike = (samples: Samples, length: number): Samples =>
  samples instanceof Uint8Array ? new Uint8Array(length) : new Uint16Array(length);

/** A copy of one box, which lies inside the raster. */
export function crop(raster: Raster, box: Box): Raster {
  const { channels } = raster;
  const data = allocateLike(raster.data, box.width * box.height * channels);
  for (let row = 0; row < box.height; row++) {
    const start = ((box.top + row) * raster.width + box.left) * channels;
    data.set(raster.data.subarray(start, start + box.width * channels), row * box.width * channels);
  }
  return { width: box.width, height: box.height, channels, data };
}

/** Why `other` cannot stand in for `raster`, in words; null when size, channels and depth agree. */
export function mismatch(raster: Raster, other: Raster): string | null {
  if (raster.width !== other.width || raster.height !== other.height) {
    return `it is ${other.width} × ${other.height} pixels instead of ${raster.width} × ${raster.height}`;
  }
  if (raster.channels !== other.channels) return `it has ${other.channels} channels instead of ${raster.channels}`;
  if (depthOf(raster) !== depthOf(other)) return `it has ${depthOf(other)} bits instead of ${depthOf(raster)}`;
  return null;
}

/** Samples averaged per output pixel and axis when a raster is reduced for display: enough to avoid aliasing. */
const TAPS = 4;

/**
 * One box as 8-bit RGBA for display, each `step` x `step` pixels averaged into one: ceil(width / step) to a row.
 * The box may reach beyond the raster's right and bottom edges; what lies there is left out of the average.
 */
export function toRgba(raster: Raster, box: Box, step: number): Uint8ClampedArray<ArrayBuffer> {
  const { width, height, channels, data } = raster;
  const columns = Math.ceil(box.width / step);
  const rows = Math.ceil(box.height / step);
  const out = new Uint8ClampedArray(columns * rows * 4);
  const shift = depthOf(raster) - 8;
  const stride = Math.max(1, step / TAPS);
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  const alpha = hasAlpha(raster) ? channels - 1 : -1;
  let target = 0;
  for (let y = box.top; y < box.top + rows * step; y += step) {
    const bottom = Math.min(y + step, height);
    for (let x = box.left; x < box.left + columns * step; x += step) {
      const right = Math.min(x + step, width);
      let sumRed = 0;
      let sumGreen = 0;
      let sumBlue = 0;
      let sumAlpha = 0;
      let count = 0;
      for (let row = y; row < bottom; row += stride) {
        for (let column = x; column < right; column += stride) {
          const source = (row * width + column) * channels;
          sumRed += data[source];
          sumGreen += data[source + green];
          sumBlue += data[source + blue];
          sumAlpha += alpha < 0 ? 0 : data[source + alpha];
          count++;
        }
      }
      const scale = 1 / ((count || 1) * (1 << shift));
      out[target] = sumRed * scale;
      out[target + 1] = sumGreen * scale;
      out[target + 2] = sumBlue * scale;
      out[target + 3] = alpha < 0 ? 255 : sumAlpha * scale;
      target += 4;
    }
  }
  return out;
}
