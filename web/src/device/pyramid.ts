/** `wavepaint.fill.pyramid` in TypeScript: down a level with what is known, and up again with what was filled there. */

import { type Box, area } from "../geometry";
import { neighbours } from "./haar_fill";
import { type Mask, type Pixels, rangeOf } from "./planes";

const TINY = Math.fround(1e-6);

export interface FloatPixels extends Pixels {
  readonly data: Float32Array;
}

/**
 * The image at half resolution, from its known samples alone: their means in every 2x2 cell, and a mask of the cells
 * of which less than half is known. Where that would leave nothing known, a single known sample is enough.
 */
export function halveKnown(pixels: Pixels, hole: Mask): { reduced: FloatPixels; unknown: Mask } {
  const { width, height, channels, data } = pixels;
  const size = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) };
  const reduced = new Float32Array(area(size) * channels);
  const weights = new Float32Array(area(size));
  const range = rangeOf(pixels);
  for (let y = 0, cell = 0; y < size.height; y++) {
    const rows = [2 * y * width, Math.min(2 * y + 1, height - 1) * width];
    for (let x = 0; x < size.width; x++, cell++) {
      const columns = [2 * x, Math.min(2 * x + 1, width - 1)];
      let count = 0;
      for (const row of rows) {
        for (const column of columns) {
          const at = row + column;
          if (hole.data[at]) continue;
          count++;
          for (let c = 0; c < channels; c++) reduced[cell * channels + c] += data[at * channels + c] / range;
        }
      }
      weights[cell] = count / 4;
      const divisor = 4 * Math.max(count / 4, TINY);
      for (let c = 0; c < channels; c++) {
        reduced[cell * channels + c] = Math.min(Math.max(reduced[cell * channels + c] / divisor, 0), 1);
      }
    }
  }
  const unknown = Uint8Array.from(weights, (weight) => Number(weight < 0.5));
  return {
    reduced: { ...size, channels, data: reduced },
    unknown: {
      ...size,
      data: unknown.includes(0) ? unknown : Uint8Array.from(weights, (weight) => Number(weight === 0)),
    },
  };
}

/** A part (in pixels of the result) of the image at twice the resolution: bilinear, sample centres aligned. */
export function enlarge({ width, height, channels, data }: FloatPixels, box: Box): FloatPixels {
  const out = new Float32Array(area(box) * channels);
  for (let y = 0, to = 0; y < box.height; y++) {
    const [near, far] = neighbours(box.top + y, height).map((row) => row * width);
    for (let x = 0; x < box.width; x++) {
      const [close, off] = neighbours(box.left + x, width);
      for (let c = 0; c < channels; c++, to++) {
        const inner = 0.75 * data[(near + close) * channels + c] + 0.25 * data[(far + close) * channels + c];
        const outer = 0.75 * data[(near + off) * channels + c] + 0.25 * data[(far + off) * channels + c];
        out[to] = 0.75 * inner + 0.25 * outer;
      }
    }
  }
  return { width: box.width, height: box.height, channels, data: out };
}
