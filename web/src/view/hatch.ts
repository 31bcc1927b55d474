/** How marks look: striped in colours so different that one of them stands out on any image. */

import { FILLED, PENDING } from "../image/marks";
import type { Samples } from "../image/raster";

/** Colours with their widths in CSS pixels. */
type Stripes = readonly (readonly [colour: string, width: number])[];

export const HOLE_STRIPES: Stripes = [
  ["rgb(244 63 94 / 60%)", 6],
  ["rgb(255 255 255 / 75%)", 1.5],
  ["rgb(20 20 20 / 65%)", 1.5],
];
export const AVOID_STRIPES: Stripes = [
  ["rgb(250 204 21 / 60%)", 4],
  ["rgb(20 20 20 / 60%)", 4],
];
/** How much of a pending hole's opacity one has that is filled, where those are shown at all. */
const FILLED_ALPHA = 110;

/** A pattern of diagonal stripes in device pixels; `falling` to the right, or rising. */
export function hatch(stripes: Stripes, ratio: number, falling: boolean): CanvasPattern | null {
  const period = stripes.reduce((sum, [, width]) => sum + width, 0);
  const side = Math.round(period * ratio * Math.SQRT2);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  if (!context) return null;
  if (falling) context.transform(-1, 0, 0, 1, side, 0);
  // The second time for the corner at the lower right.
  for (const turn of [0, 1]) {
    let from = turn * side;
    for (const [colour, width] of stripes) {
      const to = from + (width / period) * side;
      context.fillStyle = colour;
      context.beginPath();
      context.moveTo(from, 0);
      context.lineTo(to, 0);
      context.lineTo(to - 2 * side, 2 * side);
      context.lineTo(from - 2 * side, 2 * side);
      context.fill();
      from = to;
    }
  }
  return context.createPattern(canvas, "repeat");
}

/** One tile's marks as opaque pixels; holes that have been filled, if they are shown, as half transparent ones. */
export function markPixels(states: Samples, showFilled: boolean): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(4 * states.length);
  for (let pixel = 0; pixel < states.length; pixel++) {
    if (states[pixel] === PENDING) pixels[4 * pixel + 3] = 255;
    else if (showFilled && states[pixel] === FILLED) pixels[4 * pixel + 3] = FILLED_ALPHA;
  }
  return pixels;
}
