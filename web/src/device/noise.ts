/** `wavepaint.fill.noise` in TypeScript, number for number: noise from a hash of where each sample lies. */

import type { Size } from "../geometry";
import { type Plane, allocatePlane } from "./planes";

const MEAN = 2 * 255;
/** Of the sum of four bytes. */
const SCALE = Math.fround(1 / Math.sqrt((4 * (256 ** 2 - 1)) / 12));

/** A function from an index to 32 bits, evenly distributed; the lower 32 bits of the whole numbers of `seed` count. */
export function hashes(seed: readonly number[]): (index: number) => number {
  const key = seed.reduce((bits, number) => mix(bits ^ (number % 2 ** 32)), 0);
  return (index) => mix(key ^ index) >>> 0;
}

/** Numbers of mean 0 and variance 1 for one of the planes that share a seed. */
export function normals(seed: readonly number[], plane: number, size: Size): Plane {
  const noise = allocatePlane(size);
  const key = hashes(seed)(plane);
  for (let y = 0, i = 0; y < size.height; y++) {
    const row = mix(key ^ y);
    for (let x = 0; x < size.width; x++, i++) {
      const each = mix(row ^ x);
      const sum = (each & 255) + ((each >>> 8) & 255) + ((each >>> 16) & 255) + (each >>> 24);
      noise.data[i] = (sum - MEAN) * SCALE;
    }
  }
  return noise;
}

/** Spread every bit over all bits. */
function mix(bits: number): number {
  bits = Math.imul(bits ^ (bits >>> 16), 0x7feb352d);
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b);
  return bits ^ (bits >>> 16);
}
