/**
 * Which crops of an image a mask needs, and in which order to fill them: `wavepaint.fill.regions` in TypeScript. That module
 * says why; the names are its own, and tests/parity holds the two together.
 */

import { type Box, type Size, area, boxBetween } from "../geometry";
import { type Mask, bottom, right } from "./planes";

export const CELL = 16;
const CONTEXT_SHARE = 0.5;
const MIN_CONTEXT = 64;
const MAX_CONTEXT = 192;
const MAX_HOLE = 640;
const SIZE_STEP = 64;
const SPLIT_GAIN = 0.75;
const DEEP = 28;
const SMALLEST = 16;
/** `wavepaint.fill.wide.WideSizes`. */
const WIDE_SIZES = { wide: 256, border: 32, feather: 16, longest: 2048, context: 1024 };

/** One crop for the network. */
export interface Region {
  /** What the network sees; it lies inside the image. */
  readonly crop: Box;
  /** The part of it whose hole samples are pasted back. */
  readonly holes: Box;
  /** `holes` of touching regions that are filled before this one, and known samples for it. */
  readonly known: readonly Box[];
}

/** A piece of a wide hole whose interior is filled from a reduced copy. */
export interface WideHole {
  /** The window that is reduced; it lies inside the image. */
  readonly crop: Box;
  /** The piece. */
  readonly box: Box;
  /** What the reduced copy contributes to each sample of `box`: 1 in the interior, 0 at the outer edge of the border band. */
  readonly share: Float32Array;
}

/** An occupied cell: row, column and number of hole samples. */
export type Cell = readonly [row: number, column: number, count: number];
interface Piece {
  readonly crop: Box;
  readonly holes: Box;
}

/** Where a hole is so wide that its interior is better filled from a reduced copy, in the order in which to fill it. */
export function findWide(mask: Mask): WideHole[] {
  const pieces = divided(wideCells(mask)).map((cells) => {
    const holes = within(cellBounds(cells), mask);
    const share = (CONTEXT_SHARE * countOf(cells)) / Math.max(holes.width, holes.height);
    const context = Math.trunc(Math.min(share, WIDE_SIZES.context));
    return { crop: cropAround(holes, context, mask), holes };
  });
  return inStages(fromOutsideIn(pieces, mask))
    .flat()
    .map(({ crop, holes }) => ({ crop, box: holes, share: shareOf(mask, holes) }));
}

/** Crops for the holes of a mask, in stages; the regions of one stage do not depend on each other. */
export function findRegions(mask: Mask): Region[][] {
  const pieces = split(occupiedCells(mask)).map((cells) => {
    const holes = tightBox(mask, cellBounds(cells));
    return { crop: cropAround(holes, contextOf(holes.height, holes.width, countOf(cells)), mask), holes };
  });
  return inStages(fromOutsideIn(pieces, mask));
}

/**
 * How many halvings a crop is filled at first, each result the guess of the next; at most `most`, which is what the
 * network has learned. What lies outside the crop counts as unknown: a hole meets the edge of its crop only where the
 * image ends, or the hole goes on.
 */
export function coarseLevelsOf(hole: Mask, most: number): number {
  const shorter = Math.min(hole.width, hole.height);
  const mayHave = (levels: number): boolean => levels <= most && shorter >> levels >= SMALLEST;
  if (!mayHave(1)) return 0;
  const known = sums({ ...hole, data: hole.data.map((unknown) => unknown ^ 1) });
  let levels = 0;
  while (mayHave(levels + 1) && isDeeper(known, DEEP << levels)) levels++;
  return levels;
}

/** Whether a sample has no known one nearer than `depth` rows and columns; `known` is a summed-area table. */
function isDeeper({ width, height, data }: Counts, depth: number): boolean {
  for (let y = 0; y < height - 1; y++) {
    const above = Math.max(y - depth + 1, 0) * width;
    const below = Math.min(y + depth, height - 1) * width;
    for (let x = 0; x < width - 1; x++) {
      const left = Math.max(x - depth + 1, 0);
      const behind = Math.min(x + depth, width - 1);
      if (data[below + behind] - data[above + behind] - data[below + left] + data[above + left] === 0) return true;
    }
  }
  return false;
}

/** What filling a crop costs: its pixels, those of its coarse levels included. */
export function workPixels(hole: Mask, most: number): number {
  let pixels = 0;
  for (let level = coarseLevelsOf(hole, most); level >= 0; level--) pixels += area(hole) / 4 ** level;
  return pixels;
}

/** What is left of a hole once the interiors of its wide pieces are known. */
export function withoutInteriors(mask: Mask, wide: readonly WideHole[]): Mask {
  if (wide.length === 0) return mask;
  const rest = { ...mask, data: mask.data.slice() };
  for (const piece of wide) clearInterior(rest, piece);
  return rest;
}

/** Mark the interior of a wide piece as known. */
export function clearInterior(mask: Mask, { box, share }: WideHole): void {
  for (let y = 0, i = 0; y < box.height; y++) {
    const start = (box.top + y) * mask.width + box.left;
    for (let x = 0; x < box.width; x++, i++) if (share[i] === 1) mask.data[start + x] = 0;
  }
}

export function occupiedCells({ width, height, data }: Mask): Cell[] {
  const columns = Math.ceil(width / CELL);
  const counts = new Uint16Array(columns);
  const cells: Cell[] = [];
  for (let top = 0; top < height; top += CELL) {
    const strip = data.subarray(top * width, Math.min(top + CELL, height) * width);
    if (!strip.includes(1)) continue;
    counts.fill(0);
    for (let i = 0, x = 0; i < strip.length; i++) {
      counts[x >> 4] += strip[i];
      if (++x === width) x = 0;
    }
    counts.forEach((count, column) => {
      if (count) cells.push([top / CELL, column, count]);
    });
  }
  return cells;
}

/** The cells under all squares of `WIDE_SIZES.wide` pixels that are hole as a whole: a morphological opening. */
function wideCells(mask: Mask): Cell[] {
  // At the right and the lower edge of the image a cell may be smaller.
  const extent = (position: number, length: number): number => Math.min(CELL, length - position * CELL);
  const cells = occupiedCells(mask).filter(
    ([row, column, count]) => count === extent(row, mask.height) * extent(column, mask.width),
  );
  const side = WIDE_SIZES.wide / CELL;
  if (cells.length < side ** 2) return [];
  const size = { width: maximum(cells, 1) + 1, height: maximum(cells, 0) + 1 };
  const full = new Uint8Array(area(size));
  for (const [row, column] of cells) full[row * size.width + column] = 1;
  if (size.width < side || size.height < side) return [];
  const corners = squares(sums({ ...size, data: full }), side);
  // A cell is under a square whose corner is at most `side - 1` cells above and left of it.
  const margin = side - 1;
  const padded = { width: corners.width + 2 * margin, height: corners.height + 2 * margin };
  const marks = new Uint8Array(area(padded));
  for (let y = 0; y < corners.height; y++) {
    for (let x = 0; x < corners.width; x++) {
      if (corners.data[y * corners.width + x] === side ** 2) marks[(y + margin) * padded.width + x + margin] = 1;
    }
  }
  const opened = squares(sums({ ...padded, data: marks }), side);
  return cells.filter(([row, column]) => opened.data[row * opened.width + column] > 0);
}

/** Divide cells into sets with disjoint boxes: at gaps, and where a box is longer than `WIDE_SIZES.longest`. */
function divided(all: Cell[]): Cell[][] {
  const pieces: Cell[][] = [];
  const waiting = all.length ? [all] : [];
  for (let cells = waiting.pop(); cells; cells = waiting.pop()) {
    const cut = gapOrMiddle(cells);
    if (!cut) pieces.push(cells);
    else waiting.push(...parted(cells, ...cut));
  }
  return pieces;
}

function gapOrMiddle(cells: readonly Cell[]): [axis: 0 | 1, position: number] | null {
  for (const axis of [0, 1] as const) {
    const occupied = [...new Set(cells.map((cell) => cell[axis]))].sort((a, b) => a - b);
    const gap = occupied.findIndex((position, i) => i > 0 && position - occupied[i - 1] > 1);
    if (gap > 0) return [axis, occupied[gap]];
  }
  const sides = sidesOf(cells);
  const axis = sides[1] > sides[0] ? 1 : 0;
  return sides[axis] * CELL <= WIDE_SIZES.longest ? null : [axis, minimum(cells, axis) + (sides[axis] >> 1)];
}

const parted = (cells: readonly Cell[], axis: 0 | 1, position: number): [Cell[], Cell[]] => [
  cells.filter((cell) => cell[axis] < position),
  cells.filter((cell) => cell[axis] >= position),
];

function shareOf(mask: Mask, box: Box): Float32Array {
  const { border, feather } = WIDE_SIZES;
  // Outside the image nothing is known.
  const around = { width: box.width + 2 * border, height: box.height + 2 * border };
  const known = new Uint8Array(area(around));
  for (let y = 0; y < around.height; y++) {
    const row = box.top - border + y;
    if (row < 0 || row >= mask.height) continue;
    const first = Math.max(0, border - box.left);
    const behind = Math.min(around.width, mask.width - box.left + border);
    for (let x = first; x < behind; x++) {
      known[y * around.width + x] = mask.data[row * mask.width + box.left - border + x] ^ 1;
    }
  }
  const table = sums({ ...around, data: known });
  const share = new Float32Array(area(box));
  const steps = feather / 2;
  for (let radius = border; radius > border - feather; radius -= 2) {
    const margin = border - radius;
    for (let y = 0, i = 0; y < box.height; y++) {
      for (let x = 0; x < box.width; x++, i++) {
        if (squareSum(table, x + margin, y + margin, 2 * radius + 1) === 0) share[i] += 1 / steps;
      }
    }
  }
  return share;
}

interface Counts extends Size {
  readonly data: Int32Array;
}

/** A summed-area table, one row and one column larger: the marks above and left of every corner. */
function sums(marks: Mask): Counts {
  const width = marks.width + 1;
  const data = new Int32Array(width * (marks.height + 1));
  for (let y = 0; y < marks.height; y++) {
    for (let x = 0, row = 0; x < marks.width; x++) {
      row += marks.data[y * marks.width + x];
      data[(y + 1) * width + x + 1] = data[y * width + x + 1] + row;
    }
  }
  return { width, height: marks.height + 1, data };
}

function squareSum({ width, data }: Counts, x: number, y: number, side: number): number {
  const [above, below] = [y * width + x, (y + side) * width + x];
  return data[below + side] - data[above + side] - data[below] + data[above];
}

function squares(table: Counts, side: number): Counts {
  const size = { width: table.width - side, height: table.height - side };
  const data = new Int32Array(area(size));
  for (let y = 0, i = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++, i++) data[i] = squareSum(table, x, y, side);
  }
  return { ...size, data };
}

/** Cut a set of cells into the sets that get a crop each. */
function split(all: Cell[]): Cell[][] {
  const pieces: Cell[][] = [];
  const waiting = all.length ? [all] : [];
  for (let cells = waiting.pop(); cells; cells = waiting.pop()) {
    const parts = cutOf(cells);
    if (parts) waiting.push(...parts);
    else pieces.push(cells);
  }
  return pieces;
}

/** The two sides of the best cut, or null where one crop is better. */
function cutOf(cells: readonly Cell[]): [Cell[], Cell[]] | null {
  const sides = sidesOf(cells);
  if ((Math.max(...sides) - 1) * CELL > MAX_HOLE) {
    const cuts = cutsAlong(cells, sides[1] > sides[0] ? 1 : 0);
    return sidesOfCut(
      cuts,
      best(cuts.cuts, (a, b) => a.work * (1 + a.imbalance) - b.work * (1 + b.imbalance)),
    );
  }
  const whole = workOf(sides[0] * CELL, sides[1] * CELL, countOf(cells));
  const byWork = (a: Cut, b: Cut): number => Number(b.apart) - Number(a.apart) || a.work - b.work;
  const candidates = ([0, 1] as const)
    .filter((axis) => sides[axis] > 1)
    .map((axis) => cutsAlong(cells, axis))
    .map((cuts) => ({ cuts, cut: best(cuts.cuts, byWork) }));
  if (candidates.length === 0) return null;
  const { cuts, cut } = best(candidates, (a, b) => byWork(a.cut, b.cut));
  return !cut.apart && cut.work > SPLIT_GAIN * whole ? null : sidesOfCut(cuts, cut);
}

/** A way to cut a set of cells in two across one axis. */
interface Cut {
  /** Index of the first cell behind the cut. */
  readonly first: number;
  /** Pixels of both crops. */
  readonly work: number;
  /** Whether the two contexts do not meet. */
  readonly apart: boolean;
  /** Distance from the cut that leaves pieces of equal, permitted length; 1 = whole length. */
  readonly imbalance: number;
}

interface Cuts {
  /** Sorted along the axis. */
  readonly cells: readonly Cell[];
  readonly cuts: readonly Cut[];
}

function cutsAlong(unsorted: readonly Cell[], axis: 0 | 1): Cuts {
  const cells = [...unsorted].sort((a, b) => a[axis] - b[axis]);
  const before = runningSizes(cells, axis);
  const behind = runningSizes([...cells].reverse(), axis).reverse();
  const start = cells[0][axis];
  const length = cells[cells.length - 1][axis] + 1 - start;
  const pieces = Math.ceil((length * CELL) / MAX_HOLE);
  const target = start + (length * (pieces >> 1)) / pieces;
  const cuts: Cut[] = [];
  for (let first = 1; first < cells.length; first++) {
    const position = cells[first][axis];
    const gap = (position - cells[first - 1][axis] - 1) * CELL;
    if (gap < 0) continue;
    cuts.push({
      first,
      work: workOf(...before[first - 1]) + workOf(...behind[first]),
      apart: gap >= contextOf(...before[first - 1]) + contextOf(...behind[first]),
      imbalance: Math.abs(position - target) / length,
    });
  }
  return { cells, cuts };
}

const sidesOfCut = ({ cells }: Cuts, { first }: Cut): [Cell[], Cell[]] => [cells.slice(0, first), cells.slice(first)];

type Sizes = [along: number, across: number, count: number];

/** Extent along the axis, extent across it (pixels) and hole samples of the first 1, 2, .. cells. */
function runningSizes(cells: readonly Cell[], axis: 0 | 1): Sizes[] {
  let [low, high, count] = [Infinity, -Infinity, 0];
  return cells.map((cell) => {
    low = Math.min(low, cell[1 - axis]);
    high = Math.max(high, cell[1 - axis]);
    count += cell[2];
    return [(Math.abs(cell[axis] - cells[0][axis]) + 1) * CELL, (high - low + 1) * CELL, count];
  });
}

/** Context around `count` hole samples in a box: it grows with thickness, not with length. */
function contextOf(height: number, width: number, count: number): number {
  const thickness = count / Math.max(height, width);
  return Math.trunc(Math.min(Math.max(CONTEXT_SHARE * thickness, MIN_CONTEXT), MAX_CONTEXT));
}

/** Pixels of the crop for `count` hole samples in a box. */
function workOf(height: number, width: number, count: number): number {
  const context = contextOf(height, width, count);
  return (height + 2 * context) * (width + 2 * context);
}

/** The bounding box of the hole samples inside the given one, which holds some. */
function tightBox(mask: Mask, bounds: Box): Box {
  const stop = Math.min(right(bounds), mask.width);
  let [left, top, edge, base] = [Infinity, Infinity, 0, 0];
  for (let y = bounds.top; y < Math.min(bottom(bounds), mask.height); y++) {
    const row = mask.data.subarray(y * mask.width + bounds.left, y * mask.width + stop);
    const first = row.indexOf(1);
    if (first < 0) continue;
    left = Math.min(left, first);
    edge = Math.max(edge, row.lastIndexOf(1) + 1);
    top = Math.min(top, y);
    base = y + 1;
  }
  return boxBetween(bounds.left + left, top, bounds.left + edge, base);
}

const within = (box: Box, { width, height }: Size): Box =>
  boxBetween(box.left, box.top, Math.min(right(box), width), Math.min(bottom(box), height));

function cropAround(holes: Box, context: number, size: Size): Box {
  const [top, height] = span(holes.top, bottom(holes), context, size.height);
  const [left, width] = span(holes.left, right(holes), context, size.width);
  return { left, top, width, height };
}

/** Start and length of a crop along one axis: context, rounded up as far as the image allows. */
function span(start: number, stop: number, context: number, limit: number): [number, number] {
  const low = Math.max(0, start - context);
  const high = Math.min(limit, stop + context);
  const length = Math.min(limit, Math.ceil((high - low) / SIZE_STEP) * SIZE_STEP);
  const moved = low - ((length - (high - low)) >> 1);
  return [Math.min(Math.max(0, moved), limit - length), length];
}

/** Order pieces by what is known around them; one that sees nothing known comes after a neighbour that does. */
function fromOutsideIn(pieces: readonly Piece[], mask: Mask): Piece[] {
  const unknown = pieces.map(({ crop }) => shareOfHoles(mask, crop));
  const indices = pieces.map((_, index) => index);
  const order = indices.filter((i) => unknown[i] < 1).sort((a, b) => unknown[a] - unknown[b]);
  let inner = indices.filter((i) => unknown[i] === 1);
  while (inner.length) {
    const layer = inner.filter((i) => order.some((other) => touching(pieces[other].holes, pieces[i].holes)));
    // Only a mask without a known sample leaves pieces that nothing reaches.
    order.push(...(layer.length ? layer : inner));
    inner = layer.length ? inner.filter((i) => !layer.includes(i)) : [];
  }
  return order.map((index) => pieces[index]);
}

function shareOfHoles(mask: Mask, box: Box): number {
  let count = 0;
  for (let y = box.top; y < bottom(box); y++) {
    for (let i = y * mask.width + box.left; i < y * mask.width + right(box); i++) count += mask.data[i];
  }
  return count / area(box);
}

/** Put each piece into the first stage after all its touching predecessors. */
function inStages(pieces: readonly Piece[]): Region[][] {
  const stageOf: number[] = [];
  const stages: Region[][] = [];
  pieces.forEach(({ crop, holes }, index) => {
    const earlier: number[] = [];
    for (let other = 0; other < index; other++) if (touching(pieces[other].holes, holes)) earlier.push(other);
    const stage = Math.max(0, ...earlier.map((other) => stageOf[other] + 1));
    stageOf.push(stage);
    (stages[stage] ??= []).push({ crop, holes, known: earlier.map((other) => pieces[other].holes) });
  });
  return stages;
}

const touching = (a: Box, b: Box): boolean =>
  a.left <= right(b) && right(a) >= b.left && a.top <= bottom(b) && bottom(a) >= b.top;

/** The first of the least. */
const best = <T>(items: readonly T[], compare: (a: T, b: T) => number): T =>
  items.reduce((least, item) => (compare(item, least) < 0 ? item : least));

const minimum = (cells: readonly Cell[], axis: 0 | 1): number =>
  cells.reduce((least, cell) => Math.min(least, cell[axis]), Infinity);

const maximum = (cells: readonly Cell[], axis: 0 | 1): number =>
  cells.reduce((most, cell) => Math.max(most, cell[axis]), -Infinity);

const countOf = (cells: readonly Cell[]): number => cells.reduce((sum, cell) => sum + cell[2], 0);

const sidesOf = (cells: readonly Cell[]): [number, number] => [
  maximum(cells, 0) - minimum(cells, 0) + 1,
  maximum(cells, 1) - minimum(cells, 1) + 1,
];

const cellBounds = (cells: readonly Cell[]): Box =>
  boxBetween(
    minimum(cells, 1) * CELL,
    minimum(cells, 0) * CELL,
    (maximum(cells, 1) + 1) * CELL,
    (maximum(cells, 0) + 1) * CELL,
  );
