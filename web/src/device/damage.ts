/** `wavepaint.find` in TypeScript: an image, tile by tile, through the network that finds damage. */

import { DAMAGE_KINDS, type DamageKind, type Finding } from "../fill/finder";
import type { Raster } from "../image/raster";
import { type Box, type Size, area, intersection } from "../geometry";
import { boxSums } from "./exemplar/areas";
import { channelOf, coloursOf, cropPixels } from "./planes";

export const THRESHOLDS = { scratches: 0.94, dust: 0.859, stamps: 0.881 } as const;
const SPREAD = 4;
export const DROP_PER_DOUBLING = 1.5;
export const MIN_CELLS = 18;
const MAX_DROP = 4.5;
const LEVELS_PER_LOGIT = 254 / MAX_DROP;
const NEAR_PER_FALSE = 10;
const CELL = 4;
const PATCH = 32;
const AROUND = 9;
const CORE = 1216;
export const MARGIN = 64;
/** Sides of tiles but the last, and `MARGIN`, are multiples of it: what the network's coarsest level needs. */
const STEP = 64;

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

/** Side of a tile where a length is cut into as few tiles as can be, of about the same size. */
function sideOf(length: number): number {
  const count = Math.ceil(length / CORE);
  return Math.ceil(length / (count * STEP)) * STEP;
}

/** The damage of an image: one byte per pixel, 1 = damage. `step` is called before each tile with the share done. */
export async function findDamage(
  image: Raster,
  finding: Finding,
  detector: Detector,
  step: (share: number) => Promise<void>,
): Promise<Uint8Array<ArrayBuffer>> {
  const kinds = DAMAGE_KINDS.filter((kind) => finding.kinds.includes(kind));
  const levels = kinds.map(() => new Uint8Array(area(image)));
  const tiles = tilesOf(image);
  for (const [number, { core, crop }] of tiles.entries()) {
    await step(number / tiles.length);
    const planes = await probabilities(image, crop, detector);
    kinds.forEach((kind, index) => {
      const plane = planes[DAMAGE_KINDS.indexOf(kind)];
      const levelOf = levelsFrom(thresholdOf(kind, finding.sensitivity));
      for (let y = core.top; y < core.top + core.height; y++) {
        for (let x = core.left; x < core.left + core.width; x++) {
          levels[index][y * image.width + x] = levelOf(plane[(y - crop.top) * crop.width + x - crop.left]);
        }
      }
    });
  }
  const found = new Uint8Array(area(image));
  for (const each of levels) markDamage(each, image, found);
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

/** The logit from which on a lone sample is damage. */
function thresholdOf(kind: DamageKind, sensitivity: number): number {
  const threshold = THRESHOLDS[kind];
  return Math.log(threshold / (1 - threshold)) + SPREAD * (0.5 - sensitivity);
}

/** From probabilities to levels: 255 from the threshold on, 1 for `MAX_DROP` less, 0 for what is fainter. */
function levelsFrom(threshold: number): (probability: number) => number {
  const least = Math.fround(1 / (1 + Math.exp(MAX_DROP - threshold)));
  return (probability) => {
    if (probability < least) return 0;
    const value = Math.min(probability, 1 - 1e-9);
    const logit = Math.log(value / (1 - value));
    return Math.min(Math.max(Math.round(255 + (logit - threshold) * LEVELS_PER_LOGIT), 1), 255);
  };
}

/** Mark what is damage in a whole image: clear samples everywhere, fainter ones among much. */
function markDamage(levels: Uint8Array, size: Size, found: Uint8Array): void {
  const cells = new Cells(size, CELL);
  const patches = new Cells(cells.size, PATCH / CELL);
  const peaks = new Uint8Array(area(cells.size));
  levels.forEach((level, at) => {
    if (level === 0) return;
    const cell = cells.of(at);
    if (level > peaks[cell]) peaks[cell] = level;
  });

  /** How many cells around each patch are damage, with a least level for each patch. */
  const around = (least: Uint8Array): Float64Array => {
    const counts = new Uint32Array(area(patches.size));
    peaks.forEach((peak, at) => {
      const patch = patches.of(at);
      if (peak >= least[patch]) counts[patch]++;
    });
    return boxSums(counts, patches.size, AROUND);
  };

  const lone = new Uint8Array(area(patches.size)).fill(255);
  const clear = around(lone);
  const near = around(lone.map(() => 1));
  /** The least level in each patch: the prior of the image instead of the training's. */
  const lowered = (counts: Float64Array): Uint8Array =>
    Uint8Array.from(counts, (count, at) => {
      const doublings = Math.log2(Math.max(count - (near[at] - clear[at]) / NEAR_PER_FALSE, 1) / MIN_CELLS);
      const drop = Math.min(Math.max(DROP_PER_DOUBLING * doublings, 0), MAX_DROP);
      return Math.ceil(255 - drop * LEVELS_PER_LOGIT);
    });
  const least = lowered(around(lowered(clear)));
  levels.forEach((level, at) => {
    if (level > 0 && level >= least[patches.of(cells.of(at))]) found[at] = 1;
  });
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
