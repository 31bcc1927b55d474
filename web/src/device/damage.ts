/** `wavepaint.find` in TypeScript: an image, tile by tile, through the network that finds damage. */

import { DAMAGE_KINDS, type Finding } from "../fill/finder";
import type { Raster } from "../image/raster";
import { type Box, type Size, area, intersection } from "../geometry";
import { boxSums, dilate } from "./exemplar/areas";
import { channelOf, coloursOf, cropPixels } from "./planes";

export const THRESHOLDS = { scratches: 0.971, dust: 0.94, stamps: 0.968 } as const;
const SPREAD = 4;
const FAINTER = 1;
const REACH = 4;
const TURNS = 20;
const CROWDED = 800;
const CROWD = { scratches: 4, dust: 4, stamps: 3.5 } as const;
const CELL = 32;
const AROUND = 9;
export const CORE = 1216;
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

/** From probabilities to damage: clear damage, and fainter damage beside it or among much. */
export function damageOf(planes: readonly Float32Array[], size: Size, finding: Finding): Uint8Array {
  const damage = new Uint8Array(area(size));
  const [near, around] = [new Cells(size, REACH), new Cells(size, CELL)];
  DAMAGE_KINDS.forEach((kind, index) => {
    if (!finding.kinds.includes(kind)) return;
    const threshold = THRESHOLDS[kind];
    const middle = Math.log(threshold / (1 - threshold)) + SPREAD * (0.5 - finding.sensitivity);
    const atLeast = (lower: readonly [number, number], crowded: Uint8Array): Uint8Array => {
      const from = lower.map((logits) => Math.fround(1 / (1 + Math.exp(logits - middle))));
      return crowded.map((much, at) => Number(planes[index][at] >= from[much]));
    };
    const find = (crowded: Uint8Array): Uint8Array => {
      const more = CROWD[kind];
      return clearAndNear(atLeast([0, more], crowded), atLeast([FAINTER, FAINTER + more], crowded), near);
    };
    let found = find(new Uint8Array(area(size)));
    const sums = boxSums(around.counts(found), around.size, AROUND);
    const crowded = around.spread(Uint8Array.from(sums, (sum) => Number(sum >= CROWDED)));
    if (crowded.includes(1)) found = find(crowded);
    found.forEach((marked, at) => (damage[at] |= marked));
  });
  return damage;
}

/** Clear damage, and fainter damage in cells that lead to it. */
function clearAndNear(clear: Uint8Array, faint: Uint8Array, cells: Cells): Uint8Array {
  if (!clear.includes(1)) return clear;
  const [start, others] = [clear, faint].map((mask) =>
    Uint8Array.from(cells.counts(mask), (count) => Math.min(count, 1)),
  );
  let reached = start;
  for (let turn = 0, grew = true; turn < TURNS && grew; turn++) {
    const before = reached;
    reached = dilate(reached, cells.size, 1).map((next, at) => next & others[at]);
    grew = reached.some((marked, at) => marked !== before[at]);
  }
  const close = cells.spread(reached);
  return faint.map((marked, at) => marked & close[at]);
}

/** An image in cells of `side` pixels a side. */
class Cells {
  readonly size: Size;

  constructor(
    private readonly image: Size,
    private readonly side: number,
  ) {
    this.size = { width: Math.ceil(image.width / side), height: Math.ceil(image.height / side) };
  }

  /** How many samples of each cell are marked. */
  counts(mask: Uint8Array): Uint32Array {
    const counts = new Uint32Array(area(this.size));
    mask.forEach((marked, at) => (counts[this.cellAt(at)] += marked));
    return counts;
  }

  /** From cells to their samples. */
  spread(cells: Uint8Array): Uint8Array {
    return new Uint8Array(area(this.image)).map((_, at) => cells[this.cellAt(at)]);
  }

  private cellAt(at: number): number {
    const [x, y] = [at % this.image.width, Math.floor(at / this.image.width)];
    return Math.floor(y / this.side) * this.size.width + Math.floor(x / this.side);
  }
}
