import { type Box, clamp } from "../geometry";
import { KEEP, PENDING } from "./marks";
import type { EditedImage } from "./edited_image";
import { depthOf, hasAlpha } from "./raster";
import { TILE } from "./sheet";

/**
 * 8-bit RGBA of a part of an image as it stands, its longer side `side` pixels long; what is to be filled is red.
 * Samples are picked, not averaged.
 */
export function thumbnail(image: EditedImage, box: Box, side: number): ImageData {
  const scale = Math.max(box.width, box.height) / side;
  const width = Math.max(1, Math.round(box.width / scale));
  const height = Math.max(1, Math.round(box.height / scale));
  const pixels = new ImageData(width, height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 4) {
      const column = clamp(Math.floor(box.left + (x + 0.5) * scale), 0, image.size.width - 1);
      const row = clamp(Math.floor(box.top + (y + 0.5) * scale), 0, image.size.height - 1);
      readPixel(image, column, row, pixels.data, to);
    }
  }
  return pixels;
}

function readPixel(image: EditedImage, x: number, y: number, out: Uint8ClampedArray, to: number): void {
  const { source, fills } = image;
  const { channels, width } = source;
  const tile = fills.tile(fills.indexAt(x, y));
  const data = tile ?? source.data;
  const at = (tile ? (y % TILE) * TILE + (x % TILE) : y * width + x) * channels;
  const shift = depthOf(source) - 8;
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  out[to] = data[at] >> shift;
  out[to + 1] = data[at + green] >> shift;
  out[to + 2] = data[at + blue] >> shift;
  out[to + 3] = hasAlpha(source) ? data[at + channels - 1] >> shift : 255;
  if (image.holeAt(x, y) !== PENDING) return;
  out.set([(out[to] + 3 * 244) >> 2, (out[to + 1] + 3 * 63) >> 2, (out[to + 2] + 3 * 94) >> 2, 255], to);
}

/** The pixels that are a hole in some tiles; null for none. With a margin of a quarter, inside the image. */
export function boundsOfHoles(image: EditedImage, tiles: readonly number[]): Box | null {
  const { width, height } = image.size;
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (const index of tiles) {
    const tile = image.holes.tile(index);
    const origin = image.holes.origin(index);
    for (let at = 0; tile && at < tile.length; at++) {
      if (tile[at] === KEEP) continue;
      const [x, y] = [origin.left + (at % TILE), origin.top + Math.floor(at / TILE)];
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    }
  }
  if (right <= left) return null;
  const margin = Math.ceil(Math.max(right - left, bottom - top) / 4);
  [left, top] = [Math.max(0, left - margin), Math.max(0, top - margin)];
  [right, bottom] = [Math.min(width, right + margin), Math.min(height, bottom + margin)];
  return { left, top, width: right - left, height: bottom - top };
}
