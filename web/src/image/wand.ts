/** Marks by colour: the magic wand. */

import { type Point, clamp } from "../geometry";
import type { EditedImage } from "./edited_image";
import { type Raster, depthOf } from "./raster";

/**
 * The pixels whose colour is within `tolerance` (steps of 8 bits, the largest of any channel) of that at a point: those
 * connected with it, or with `everywhere` all of the image. One byte per pixel, 1 = marked.
 */
export function matchColour(
  image: EditedImage,
  point: Point,
  tolerance: number,
  everywhere: boolean,
): Uint8Array<ArrayBuffer> {
  const raster = image.fills.written().length ? image.current() : image.source;
  const x = clamp(Math.floor(point.x), 0, raster.width - 1);
  const y = clamp(Math.floor(point.y), 0, raster.height - 1);
  const matches = matcher(raster, y * raster.width + x, tolerance);
  return everywhere ? allThat(raster, matches) : connectedWith(raster, x, y, matches);
}

function matcher({ data, channels, ...raster }: Raster, seed: number, tolerance: number): (pixel: number) => boolean {
  const limit = tolerance * (depthOf({ data, channels, ...raster }) === 8 ? 1 : 257);
  const colour = data.slice(seed * channels, (seed + 1) * channels);
  return (pixel) => {
    const at = pixel * channels;
    for (let c = 0; c < channels; c++) if (Math.abs(data[at + c] - colour[c]) > limit) return false;
    return true;
  };
}

function allThat({ width, height }: Raster, matches: (pixel: number) => boolean): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(width * height);
  for (let pixel = 0; pixel < out.length; pixel++) if (matches(pixel)) out[pixel] = 1;
  return out;
}

/** Row by row: a run is marked as a whole, and the rows above and below it are searched for further runs. */
function connectedWith(
  { width, height }: Raster,
  x: number,
  y: number,
  matches: (pixel: number) => boolean,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(width * height);
  const open = (pixel: number): boolean => out[pixel] === 0 && matches(pixel);
  const seeds = [y * width + x];
  for (let seed = seeds.pop(); seed !== undefined; seed = seeds.pop()) {
    if (!open(seed)) continue;
    const start = seed - (seed % width);
    let [left, right] = [seed, seed + 1];
    while (left > start && open(left - 1)) left--;
    while (right < start + width && open(right)) right++;
    out.fill(1, left, right);
    for (const row of [start - width, start + width]) {
      if (row < 0 || row >= width * height) continue;
      for (let pixel = row + left - start; pixel < row + right - start; pixel++) {
        // The first pixel of each run is enough.
        if (open(pixel) && (pixel === row + left - start || !open(pixel - 1))) seeds.push(pixel);
      }
    }
  }
  return out;
}
