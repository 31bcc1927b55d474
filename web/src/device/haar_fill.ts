/** `wavepaint.fill.pyramid` in TypeScript: fills a plane smoothly from what surrounds its hole. */

import type { Size } from "../geometry";
import { type Mask, type Plane, allocatePlane } from "./planes";

const PYRAMID_LEVELS = 10;
const SWEEPS = 10;
const TINY = 1e-6;

/** The plane where it is known, a smooth guess in the hole; 0.5 where nothing is known. */
export function haarFill(plane: Plane, hole: Mask): Plane {
  const weight = allocatePlane(plane);
  const weighted = allocatePlane(plane);
  for (let i = 0; i < hole.data.length; i++) {
    if (hole.data[i]) continue;
    weight.data[i] = 1;
    weighted.data[i] = plane.data[i];
  }
  const scales = [{ weighted, weight }];
  for (let last = scales[0]; scales.length <= PYRAMID_LEVELS && Math.max(last.weight.width, last.weight.height) > 1;) {
    last = { weighted: halve(last.weighted), weight: halve(last.weight) };
    scales.push(last);
  }
  const coarsest = scales[scales.length - 1];
  let guess = allocatePlane(coarsest.weight);
  guess.data.fill((total(coarsest.weighted) + TINY / 2) / (total(coarsest.weight) + TINY));
  for (const scale of scales.reverse()) {
    if (scale !== coarsest) guess = double(guess, scale.weight);
    settle(guess, scale.weighted, scale.weight);
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      guess = neighbourMean(guess);
      settle(guess, scale.weighted, scale.weight);
    }
  }
  return guess;
}

/** 2x2 averages; an odd last row or column is averaged with itself. */
export function halve(plane: Plane): Plane {
  const half = allocatePlane({ width: Math.ceil(plane.width / 2), height: Math.ceil(plane.height / 2) });
  for (let y = 0, i = 0; y < half.height; y++) {
    const above = 2 * y * plane.width;
    const below = Math.min(2 * y + 1, plane.height - 1) * plane.width;
    for (let x = 0; x < half.width; x++, i++) {
      const [left, next] = [2 * x, Math.min(2 * x + 1, plane.width - 1)];
      half.data[i] =
        0.25 *
        (plane.data[above + left] + plane.data[below + left] + plane.data[above + next] + plane.data[below + next]);
    }
  }
  return half;
}

/** Bilinear up-sampling by two, sample centres aligned, cut to `size`. */
export function double(plane: Plane, size: Size): Plane {
  const doubled = allocatePlane(size);
  for (let y = 0, i = 0; y < size.height; y++) {
    const [near, far] = neighbours(y, plane.height).map((row) => row * plane.width);
    for (let x = 0; x < size.width; x++, i++) {
      const [close, off] = neighbours(x, plane.width);
      const inner = 0.75 * plane.data[near + close] + 0.25 * plane.data[far + close];
      const outer = 0.75 * plane.data[near + off] + 0.25 * plane.data[far + off];
      doubled.data[i] = 0.75 * inner + 0.25 * outer;
    }
  }
  return doubled;
}

/** The sample that a doubled position lies in, and the other one it is interpolated from. */
export function neighbours(position: number, length: number): [near: number, far: number] {
  const near = position >> 1;
  return [near, position & 1 ? Math.min(near + 1, length - 1) : Math.max(near - 1, 0)];
}

function settle(guess: Plane, weighted: Plane, weight: Plane): void {
  for (let i = 0; i < guess.data.length; i++) {
    guess.data[i] = weighted.data[i] + (1 - weight.data[i]) * guess.data[i];
  }
}

/** Mean of the four neighbours, the border repeated outwards. */
function neighbourMean({ width, height, data }: Plane): Plane {
  const mean = allocatePlane({ width, height });
  for (let y = 0, i = 0; y < height; y++) {
    const up = y > 0 ? width : 0;
    const down = y < height - 1 ? width : 0;
    for (let x = 0; x < width; x++, i++) {
      const left = x > 0 ? 1 : 0;
      const right = x < width - 1 ? 1 : 0;
      mean.data[i] = 0.25 * (data[i - up] + data[i + down] + data[i - left] + data[i + right]);
    }
  }
  return mean;
}

const total = (plane: Plane): number => plane.data.reduce((sum, value) => sum + value, 0);
