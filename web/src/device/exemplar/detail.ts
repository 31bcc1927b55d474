/** `wavepaint.fill.detail` in TypeScript: the network's fill in, the same fill with samples copied from the image out. */

import { type Box, area } from "../../geometry";
import type { DetailOptions } from "../options";
import { type Mask, type Pixels, coloursOf, cropMask, cropPixels, relativeTo } from "../planes";
import { complete } from "./complete";
import { fillFlat } from "./flat";
import { type Piece, findPieces } from "./pieces";

/** Pixels that completing takes as long as the network takes for one pixel of its crops, nearly. */
const PIXELS_FOR_ONE = 2;

/** How much work completing a hole is, in pixels of the network's crops. */
export const detailWork = (hole: Mask): number =>
  findPieces(hole).reduce((sum, { crop }) => sum + area(crop), 0) / PIXELS_FOR_ONE;

/**
 * Complete a hole from the image's own samples, in place: it is filled by the network, which is the guide. `step` is
 * called with the work done, as of `detailWork`; what it throws stops the work.
 */
export async function addDetail(
  filled: Pixels,
  hole: Mask,
  { seed, exclude }: DetailOptions,
  step: (done: number) => Promise<void>,
): Promise<void> {
  let done = 0;
  for (const piece of findPieces(hole)) {
    const work = area(piece.crop) / PIXELS_FOR_ONE;
    await completePiece(filled, hole, piece, exclude, seed, (share) => step(done + share * work));
    done += work;
  }
}

async function completePiece(
  filled: Pixels,
  hole: Mask,
  piece: Piece,
  exclude: Mask | null,
  seed: number,
  step: (share: number) => Promise<void>,
): Promise<void> {
  const { crop, box } = piece;
  const samples = cropPixels(filled, crop);
  const unknown = cropMask(hole, crop).data;
  const own = within(piece.hole, relativeTo(box, crop), crop);
  const plain = { ...samples, data: samples.data.slice() };
  const flat = fillFlat(plain, unknown);
  const allFlat = own.every((mark, i) => !mark || flat[i]);
  if (!allFlat) {
    const avoided = exclude && cropMask(exclude, crop).data;
    const { channels, data } = samples;
    const unfit = unknown.map((mark, i) => {
      // What is transparent as a whole has no colour to copy.
      const transparent = channels > coloursOf(samples) && data[i * channels + channels - 1] === 0;
      return Number((mark && !own[i]) || avoided?.[i] || transparent);
    });
    await complete(samples, own, unfit, seed, step);
  }
  const { channels, data } = allFlat ? plain : samples;
  own.forEach((mark, i) => {
    if (!mark) return;
    const at = (crop.top + Math.floor(i / crop.width)) * filled.width + crop.left + (i % crop.width);
    filled.data.set(data.subarray(i * channels, (i + 1) * channels), at * channels);
  });
}

/** The marks of a part of a window, in the window. */
function within(marks: Uint8Array, part: Box, window: Box): Uint8Array {
  const all = new Uint8Array(area(window));
  for (let y = 0; y < part.height; y++) {
    const row = marks.subarray(y * part.width, (y + 1) * part.width);
    all.set(row, (part.top + y) * window.width + part.left);
  }
  return all;
}
