/** The masks and windows of `wavepaint.fill.patches`: sums, means and maxima over squares, depths, connected pieces. */

import type { Size } from "../../geometry";

/** Sums over the square of `radius` around every sample; nothing lies outside. Exact for whole numbers. */
export function boxSums(values: ArrayLike<number>, { width, height }: Size, radius: number): Float64Array {
  const rows = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = y * width;
    let sum = 0;
    for (let x = 0; x < Math.min(radius, width); x++) sum += values[start + x];
    for (let x = 0; x < width; x++) {
      if (x + radius < width) sum += values[start + x + radius];
      if (x > radius) sum -= values[start + x - radius - 1];
      rows[start + x] = sum;
    }
  }
  const sums = new Float64Array(width * height);
  const column = new Float64Array(width);
  for (let y = -radius; y < height; y++) {
    const [enters, leaves] = [(y + radius) * width, (y - radius - 1) * width];
    for (let x = 0; x < width; x++) {
      if (y + radius < height) column[x] += rows[enters + x];
      if (leaves >= 0) column[x] -= rows[leaves + x];
    }
    if (y >= 0) sums.set(column, y * width);
  }
  return sums;
}

/** Every sample within `radius` rows and columns of a marked one. */
export function dilate(mask: Uint8Array, size: Size, radius: number): Uint8Array {
  const sums = boxSums(mask, size, radius);
  return each(new Uint8Array(sums.length), (i) => (sums[i] > 0 ? 1 : 0));
}

/** Means of the marked samples over the square of `radius` around every sample; 0 where none is marked. */
export function boxMeans(values: ArrayLike<number>, where: Uint8Array, size: Size, radius: number): Float64Array {
  const marked = each(new Float64Array(where.length), (i) => (where[i] ? values[i] : 0));
  const means = boxSums(marked, size, radius);
  const counts = boxSums(where, size, radius);
  for (let i = 0; i < means.length; i++) means[i] /= Math.max(counts[i], 1);
  return means;
}

/** Largest value over the square of `radius` around every sample; values are not negative. */
export function boxMaximum(values: Uint8Array, { width, height }: Size, radius: number): Uint8Array {
  const along = (from: Uint8Array, length: number, step: number, across: number, stride: number): Uint8Array => {
    const maxima = new Uint8Array(from.length);
    for (let line = 0; line < across; line++) {
      for (let i = 0; i < length; i++) {
        let most = 0;
        const behind = Math.min(i + radius + 1, length);
        for (let j = Math.max(i - radius, 0); j < behind; j++) most = Math.max(most, from[line * stride + j * step]);
        maxima[line * stride + i * step] = most;
      }
    }
    return maxima;
  };
  return along(along(values, width, 1, height, width), height, width, width, 1);
}

/**
 * Distance of hole samples to the nearest known one, in steps of a near-octagonal erosion, `most` at the most. What lies
 * outside the image counts as hole.
 */
export function depthOf(hole: Uint8Array, { width, height }: Size, most: number): Uint8Array {
  const pitch = width + 2;
  const marks = new Uint8Array(pitch * (height + 2)).fill(1);
  for (let y = 0; y < height; y++) marks.set(hole.subarray(y * width, (y + 1) * width), (y + 1) * pitch + 1);
  const depths = new Uint8Array(hole.length);
  let left = indicesOf(hole);
  for (let step = 0; step < most && left.length; step++) {
    const known = left.filter((at) => {
      depths[at]++;
      const p = at + pitch + 1 + 2 * Math.floor(at / width);
      const straight = marks[p - 1] & marks[p + 1] & marks[p - pitch] & marks[p + pitch];
      if (step % 2 === 0) return !straight;
      return !(straight & marks[p - pitch - 1] & marks[p - pitch + 1] & marks[p + pitch - 1] & marks[p + pitch + 1]);
    });
    for (const at of known) marks[at + pitch + 1 + 2 * Math.floor(at / width)] = 0;
    left = left.filter((at) => marks[at + pitch + 1 + 2 * Math.floor(at / width)]);
  }
  return depths;
}

/** Connected pieces (four neighbours) of a mask: numbers from 1 on, in order of their first sample; 0 outside. */
export function labelsOf(mask: Uint8Array, { width, height }: Size): Int32Array {
  const labels = new Int32Array(mask.length);
  const waiting: number[] = [];
  let count = 0;
  for (let first = 0; first < mask.length; first++) {
    if (!mask[first] || labels[first]) continue;
    labels[first] = ++count;
    waiting.push(first);
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const x = at % width;
      const visit = (next: number, exists: boolean): void => {
        if (!exists || !mask[next] || labels[next]) return;
        labels[next] = count;
        waiting.push(next);
      };
      visit(at - 1, x > 0);
      visit(at + 1, x < width - 1);
      visit(at - width, at >= width);
      visit(at + width, at < width * (height - 1));
    }
  }
  return labels;
}

/** Indices of the marked samples. */
export function indicesOf(mask: Uint8Array): Int32Array {
  let count = 0;
  for (let i = 0; i < mask.length; i++) count += mask[i];
  const indices = new Int32Array(count);
  for (let i = 0, to = 0; i < mask.length; i++) if (mask[i]) indices[to++] = i;
  return indices;
}

/** Set every number of an array; `from` and `map` take many times as long. */
export function each<T extends Uint8Array | Int32Array | Float32Array | Float64Array>(
  array: T,
  value: (index: number) => number,
): T {
  for (let i = 0; i < array.length; i++) array[i] = value(i);
  return array;
}

/** The nearest whole number, halves to the even one, as NumPy rounds; for values below 2^51. */
export const rint = (value: number): number => value + 6755399441055744 - 6755399441055744;
