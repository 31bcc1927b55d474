/** `wavepaint.find` in TypeScript: an image, tile by tile, through the network that finds damage. */

import { DAMAGE_KINDS, type Finding } from "../fill/finder";
import type { Raster } from "../image/raster";
import { type Box, type Size, area, intersection } from "../geometry";
import { dilate } from "./exemplar/areas";
import { channelOf, coloursOf, cropPixels, padInto } from "./planes";

const THRESHOLDS = { scratches: 0.9975, dust: 0.974, stamps: 0.991 } as const;
const SPREAD = 8;
const FAINTER = { scratches: 4, dust: 1, stamps: 4 } as const;
const REACH = 4;
const TURNS = 20;
const CORE = 960;
const MARGIN = 96;

/** A loaded detector. */
export interface Detector {
  /** Height and width of every crop must be multiples of it. */
  readonly multiple: number;
  /** Three planes in [0, 1] to three of probabilities, in the order of `DAMAGE_KINDS`. */
  run(image: Float32Array, size: Size): Promise<Float32Array>;
}

/** A tile of an image, and the box around it that the network sees. */
export interface Tile {
  readonly core: Box;
  readonly crop: Box;
}

export function tilesOf(size: Size): Tile[] {
  const whole = { left: 0, top: 0, ...size };
  const tiles: Tile[] = [];
  for (let top = 0; top < size.height; top += CORE) {
    for (let left = 0; left < size.width; left += CORE) {
      const side = CORE + 2 * MARGIN;
      const core = intersection({ left, top, width: CORE, height: CORE }, whole);
      const crop = intersection({ left: left - MARGIN, top: top - MARGIN, width: side, height: side }, whole);
      if (core && crop) tiles.push({ core, crop });
    }
  }
  return tiles;
}

/** The damage of an image: one byte per pixel, 1 = damage. `step` is called before each tile with the share done. */
export async function findDamage(
  image: Raster,
  finding: Finding,
  detector: Detector,
  step: (share: number) => Promise<void>,
): Promise<Uint8Array<ArrayBuffer>> {
  const found = new Uint8Array(area(image));
  const tiles = tilesOf(image);
  for (const [number, { core, crop }] of tiles.entries()) {
    await step(number / tiles.length);
    const damage = damageOf(await probabilities(image, crop, detector), crop, finding);
    for (let y = core.top; y < core.top + core.height; y++) {
      const from = (y - crop.top) * crop.width + core.left - crop.left;
      found.set(damage.subarray(from, from + core.width), y * image.width + core.left);
    }
  }
  return found;
}

/** Three planes of the size of a crop. */
async function probabilities(image: Raster, crop: Box, { multiple, run }: Detector): Promise<Float32Array[]> {
  const samples = cropPixels(image, crop);
  const colours = coloursOf(samples);
  const width = Math.ceil(crop.width / multiple) * multiple;
  const height = Math.ceil(crop.height / multiple) * multiple;
  const padded = new Float32Array(3 * width * height);
  for (let c = 0; c < 3; c++) {
    const target = padded.subarray(c * width * height, (c + 1) * width * height);
    padInto(target, { width, height }, channelOf(samples, colours === 3 ? c : 0));
  }
  const answer = await run(padded, { width, height });
  return DAMAGE_KINDS.map((_, c) => {
    const plane = new Float32Array(area(crop));
    for (let y = 0; y < crop.height; y++) {
      const from = (c * height + y) * width;
      plane.set(answer.subarray(from, from + crop.width), y * crop.width);
    }
    return plane;
  });
}

/** From probabilities to damage: clear damage, and fainter damage beside it. */
export function damageOf(planes: readonly Float32Array[], size: Size, finding: Finding): Uint8Array {
  const damage = new Uint8Array(area(size));
  DAMAGE_KINDS.forEach((kind, index) => {
    if (!finding.kinds.includes(kind)) return;
    const threshold = THRESHOLDS[kind];
    const middle = Math.log(threshold / (1 - threshold)) + SPREAD * (0.5 - finding.sensitivity);
    const [clearFrom, faintFrom] = [0, FAINTER[kind]].map((weaker) => 1 / (1 + Math.exp(weaker - middle)));
    const plane = planes[index];
    let clear = Uint8Array.from(plane, (value) => Number(value >= clearFrom));
    let grew = clear.includes(1);
    for (let turn = 0; turn < TURNS && grew; turn++) {
      const before = clear;
      clear = dilate(clear, size, REACH).map((near, at) => near & Number(plane[at] >= faintFrom));
      grew = clear.some((marked, at) => marked !== before[at]);
    }
    clear.forEach((marked, at) => (damage[at] |= marked));
  });
  return damage;
}
