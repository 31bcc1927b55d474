/** `wavepaint.find` in TypeScript: an image, tile by tile, through the network that finds damage. */

import { DAMAGE_KINDS, type Finding } from "../fill/finder";
import type { Raster } from "../image/raster";
import { type Box, type Size, area, intersection } from "../geometry";
import { boxSums } from "./exemplar/areas";
import { channelOf, coloursOf, cropPixels } from "./planes";

export const THRESHOLDS = { scratches: 0.971, dust: 0.94, stamps: 0.924 } as const;
const SPREAD = 4;
export const DROP_PER_DOUBLING = 1.5;
export const MIN_CELLS = 18;
const MAX_DROP = 4.5;
const NEAR_PER_FALSE = 10;
const CELL = 4;
const PATCH = 32;
const AROUND = 9;
export const CORE = 1536;
export const MARGIN = 64;

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
  const [across, down] = [sideOf(size.width), sideOf(size.height)];
  const tiles: Tile[] = [];
  for (let top = 0; top < size.height; top += down) {
    for (let left = 0; left < size.width; left += across) {
      const core = intersection({ left, top, width: across, height: down }, whole);
      const seen = { left: left - MARGIN, top: top - MARGIN, width: across + 2 * MARGIN, height: down + 2 * MARGIN };
      const crop = intersection(seen, whole);
      if (core && crop) tiles.push({ core, crop });
    }
  }
  return tiles;
}

/** Side of as few tiles as can be, and about equal ones: whole patches. */
function sideOf(length: number): number {
  const count = Math.ceil(length / CORE);
  return Math.ceil(length / (count * PATCH)) * PATCH;
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
  for (let c = 0, i = 0; c < 3; c++) {
    const { data } = channelOf(samples, colours === 3 ? c : 0);
    for (let y = 0; y < height; y++) {
      // Repeated, not mirrored: the dark rim of many scans would look like a scratch.
      const row = Math.min(y, crop.height - 1) * crop.width;
      for (let x = 0; x < width; x++, i++) padded[i] = data[row + Math.min(x, crop.width - 1)];
    }
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

/** From probabilities to damage: clear damage, and fainter damage among much. */
export function damageOf(planes: readonly Float32Array[], size: Size, finding: Finding): Uint8Array {
  const damage = new Uint8Array(area(size));
  DAMAGE_KINDS.forEach((kind, index) => {
    if (!finding.kinds.includes(kind)) return;
    const threshold = THRESHOLDS[kind];
    const middle = Math.log(threshold / (1 - threshold)) + SPREAD * (0.5 - finding.sensitivity);
    markDamage(planes[index], size, middle, damage);
  });
  return damage;
}

/** Mark the damage of a kind; where there is little of it, from the logit `middle` on. */
function markDamage(plane: Float32Array, size: Size, middle: number, damage: Uint8Array): void {
  const cells = new Cells(size, CELL);
  const patches = new Cells(cells.size, PATCH / CELL);
  const peaks = new Float32Array(area(cells.size));
  plane.forEach((probability, at) => {
    const cell = cells.of(at);
    if (probability > peaks[cell]) peaks[cell] = probability;
  });
  /** How many cells around each patch are damage, with a threshold for each patch. */
  const around = (threshold: Float64Array): Float64Array => {
    const lowest = Float32Array.from(threshold, probabilityOf);
    const counts = new Uint32Array(area(patches.size));
    peaks.forEach((peak, at) => {
      const patch = patches.of(at);
      if (peak >= lowest[patch]) counts[patch]++;
    });
    return boxSums(counts, patches.size, AROUND);
  };
  const lone = new Float64Array(area(patches.size)).fill(middle);
  const clear = around(lone);
  const near = around(lone.map((logit) => logit - MAX_DROP));
  /** The threshold of each patch: the prior of the image instead of the training's. */
  const lowered = (counts: Float64Array): Float64Array =>
    counts.map((count, at) => {
      const doublings = Math.log2(Math.max(count - (near[at] - clear[at]) / NEAR_PER_FALSE, 1) / MIN_CELLS);
      return middle - Math.min(Math.max(DROP_PER_DOUBLING * doublings, 0), MAX_DROP);
    });
  const threshold = lowered(around(lowered(clear)));
  const lowest = Float32Array.from(threshold, probabilityOf);
  plane.forEach((probability, at) => {
    if (probability >= lowest[patches.of(cells.of(at))]) damage[at] = 1;
  });
}

function probabilityOf(logit: number): number {
  return Math.fround(1 / (1 + Math.exp(-logit)));
}

/** A grid in cells of `side` a side. */
class Cells {
  readonly size: Size;

  constructor(
    private readonly grid: Size,
    private readonly side: number,
  ) {
    this.size = { width: Math.ceil(grid.width / side), height: Math.ceil(grid.height / side) };
  }

  /** The cell of an element of the grid. */
  of(at: number): number {
    const [x, y] = [at % this.grid.width, Math.floor(at / this.grid.width)];
    return Math.floor(y / this.side) * this.size.width + Math.floor(x / this.side);
  }
}
