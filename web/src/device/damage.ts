/** `wavepaint.find` in TypeScript: an image, tile by tile, through the network that finds damage. */

import { DAMAGE_KINDS, type DamageKind, type Finding } from "../fill/finder";
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
/** Sides of tiles but the last are multiples of it: whole patches, and whole positions of the coarsest level. */
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

/** Side of as few tiles as can be, and about equal ones. */
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
  const evidence = DAMAGE_KINDS.map((kind) =>
    finding.kinds.includes(kind) ? new Evidence(image, middleOf(kind, finding.sensitivity)) : undefined,
  );
  const tiles = tilesOf(image);
  for (const [number, { core, crop }] of tiles.entries()) {
    await step(number / tiles.length);
    const planes = await probabilities(image, crop, detector);
    evidence.forEach((each, index) => each?.add(planes[index], crop, core));
  }
  const found = new Uint8Array(area(image));
  for (const each of evidence) each?.mark(found);
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
function middleOf(kind: DamageKind, sensitivity: number): number {
  const threshold = THRESHOLDS[kind];
  return Math.log(threshold / (1 - threshold)) + SPREAD * (0.5 - sensitivity);
}

/** What the network says of one kind in a whole image: all that has to be kept until there are thresholds. */
class Evidence {
  private readonly cells: Cells;
  private readonly patches: Cells;
  private readonly peaks: Float32Array;
  /** Samples that would be damage with the lowest threshold. */
  private readonly places: number[] = [];
  private readonly values: number[] = [];

  constructor(
    private readonly size: Size,
    private readonly middle: number,
  ) {
    this.cells = new Cells(size, CELL);
    this.patches = new Cells(this.cells.size, PATCH / CELL);
    this.peaks = new Float32Array(area(this.cells.size));
  }

  /** Take in what a plane of the size of `crop` has in `core`. */
  add(plane: Float32Array, crop: Box, core: Box): void {
    const least = probabilityOf(this.middle - MAX_DROP);
    for (let y = core.top; y < core.top + core.height; y++) {
      for (let x = core.left; x < core.left + core.width; x++) {
        const probability = plane[(y - crop.top) * crop.width + x - crop.left];
        const at = y * this.size.width + x;
        const cell = this.cells.of(at);
        if (probability > this.peaks[cell]) this.peaks[cell] = probability;
        if (probability >= least) {
          this.places.push(at);
          this.values.push(probability);
        }
      }
    }
  }

  /** Mark what is damage: clear samples everywhere, fainter ones among much. */
  mark(found: Uint8Array): void {
    const lowest = Float32Array.from(this.thresholds(), probabilityOf);
    this.places.forEach((at, index) => {
      if (this.values[index] >= lowest[this.patches.of(this.cells.of(at))]) found[at] = 1;
    });
  }

  /** Of each patch, as a logit: the prior of the image instead of the training's. */
  private thresholds(): Float64Array {
    const lone = new Float64Array(area(this.patches.size)).fill(this.middle);
    const clear = this.around(lone);
    const near = this.around(lone.map((logit) => logit - MAX_DROP));
    const lowered = (counts: Float64Array): Float64Array =>
      counts.map((count, at) => {
        const doublings = Math.log2(Math.max(count - (near[at] - clear[at]) / NEAR_PER_FALSE, 1) / MIN_CELLS);
        return this.middle - Math.min(Math.max(DROP_PER_DOUBLING * doublings, 0), MAX_DROP);
      });
    return lowered(this.around(lowered(clear)));
  }

  /** How many cells around each patch are damage, with a threshold for each patch. */
  private around(threshold: Float64Array): Float64Array {
    const lowest = Float32Array.from(threshold, probabilityOf);
    const counts = new Uint32Array(area(this.patches.size));
    this.peaks.forEach((peak, at) => {
      const patch = this.patches.of(at);
      if (peak >= lowest[patch]) counts[patch]++;
    });
    return boxSums(counts, this.patches.size, AROUND);
  }
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
