/** `wavepaint.fill.pieces` in TypeScript: which parts of a hole are completed as one, and how far each of them looks. */

import { type Box, type Size, area, boxBetween, boxOfCells, intersection } from "../../geometry";
import type { Mask } from "../planes";
import { CELL, type Cell, occupiedCells } from "../regions";

export const THIN = 2;
const LEAST_REACH = 64;
const MOST_REACH = 1024;
const LONG = 768;
const STRIP_ROWS = 16 * CELL;
const SPARSE = 0.25;

/** A part of a hole that is completed as one. */
export interface Piece {
  /** The window of the image that it looks at. */
  readonly crop: Box;
  /** Its box, inside the window. */
  readonly box: Box;
  /** Of the size of the box, 1 = to be completed. */
  readonly hole: Uint8Array;
}

/** Divide what is deep in a mask into pieces; they are disjoint. */
export function findPieces(mask: Mask): Piece[] {
  return connected(deepCells(mask))
    .flatMap((cells) => cutIfLong(cells))
    .map((cells) => {
      const box = clipped(boundsOf(cells), mask);
      const thickness = Math.floor(countOf(cells) / Math.max(box.width, box.height));
      const reach = Math.min(Math.max(thickness, LEAST_REACH), MOST_REACH);
      const { left, top, width, height } = box;
      const crop = clipped(boxBetween(left - reach, top - reach, left + width + reach, top + height + reach), mask);
      return { crop, box, hole: covered(deepPart(mask, box), box, cells) };
    });
}

/** What of a box lies under cells. */
function covered(hole: Uint8Array, box: Box, cells: readonly Cell[]): Uint8Array {
  const columns = Math.ceil(box.width / CELL);
  const under = new Uint8Array(columns * Math.ceil(box.height / CELL));
  for (const [row, column] of cells) under[(row - box.top / CELL) * columns + column - box.left / CELL] = 1;
  return hole.map((mark, i) => {
    const [y, x] = [Math.floor(i / box.width), i % box.width];
    return mark & under[Math.floor(y / CELL) * columns + Math.floor(x / CELL)];
  });
}

/** The cells of the deep part of a mask, found strip by strip. */
function deepCells(mask: Mask): Cell[] {
  const cells: Cell[] = [];
  for (let top = 0; top < mask.height; top += STRIP_ROWS) {
    const strip = { left: 0, top, width: mask.width, height: Math.min(STRIP_ROWS, mask.height - top) };
    const data = deepPart(mask, strip);
    const occupied = data.includes(1) ? occupiedCells({ width: strip.width, height: strip.height, data }) : [];
    for (const [row, column, count] of occupied) cells.push([row + top / CELL, column, count]);
  }
  return cells;
}

/** What of a box belongs to holes deeper than `THIN`: a morphological opening. Outside the image all is known. */
function deepPart(mask: Mask, box: Box): Uint8Array {
  const margin = 3 * THIN;
  const around = { width: box.width + 2 * margin, height: box.height + 2 * margin };
  let part: Uint8Array = new Uint8Array(area(around));
  let any = false;
  for (let y = 0; y < around.height; y++) {
    const row = box.top - margin + y;
    if (row < 0 || row >= mask.height) continue;
    const first = Math.max(margin - box.left, 0);
    const from = row * mask.width + box.left - margin;
    const samples = mask.data.subarray(from + first, from + Math.min(around.width, mask.width - box.left + margin));
    part.set(samples, y * around.width + first);
    any ||= samples.includes(1);
  }
  const deep = new Uint8Array(area(box));
  if (!any) return deep;
  for (const count of [2 * THIN + 1, 1]) {
    part = marksWith(part, around, count, 1);
    part = marksWith(part, around, count, around.width);
  }
  for (let y = 0, i = 0; y < box.height; y++) {
    for (let x = 0; x < box.width; x++, i++) {
      deep[i] = part[(y + margin) * around.width + x + margin] & mask.data[(box.top + y) * mask.width + box.left + x];
    }
  }
  return deep;
}

/** Samples with at least `count` marked ones among the `2 * THIN + 1` around them along an axis. */
function marksWith(marks: Uint8Array, { width, height }: Size, count: number, step: number): Uint8Array {
  const reached = new Uint8Array(marks.length);
  const rows = step === 1 ? 0 : THIN;
  const columns = THIN - rows;
  for (let y = rows; y < height - rows; y++) {
    for (let i = y * width + columns; i < (y + 1) * width - columns; i++) {
      const sum = marks[i - 2 * step] + marks[i - step] + marks[i] + marks[i + step] + marks[i + 2 * step];
      reached[i] = sum >= count ? 1 : 0;
    }
  }
  return reached;
}

/** Sets of cells that touch each other, corners included, in order of their last cells. */
function connected(cells: readonly Cell[]): Cell[][] {
  const columns = cells.reduce((most, [, column]) => Math.max(most, column), 0) + 3;
  const numbers = new Map(cells.map(([row, column], i) => [row * columns + column, i]));
  const labels = new Int32Array(cells.length).fill(-1);
  const sets: number[][] = [];
  for (let last = cells.length - 1; last >= 0; last--) {
    if (labels[last] >= 0) continue;
    const set = [last];
    labels[last] = sets.length;
    for (let k = 0; k < set.length; k++) {
      const [row, column] = cells[set[k]];
      for (let step = 0; step < 9; step++) {
        const other = numbers.get((row + Math.floor(step / 3) - 1) * columns + column + (step % 3) - 1);
        if (other === undefined || labels[other] >= 0) continue;
        labels[other] = sets.length;
        set.push(other);
      }
    }
    sets.push(set.sort((a, b) => a - b));
  }
  return sets.reverse().map((set) => set.map((i) => cells[i]));
}

/** Halve sets of cells that are long and thin until they are not. */
function cutIfLong(cells: Cell[]): Cell[][] {
  const bounds = boundsOf(cells);
  const axis = bounds.width > bounds.height ? 1 : 0;
  const length = Math.max(bounds.width, bounds.height);
  if (length <= LONG || countOf(cells) > SPARSE * area(bounds)) return [cells];
  const middle = (axis === 1 ? bounds.left : bounds.top) / CELL + Math.floor(length / CELL / 2);
  return [cells.filter((cell) => cell[axis] < middle), cells.filter((cell) => cell[axis] >= middle)].flatMap(cutIfLong);
}

const countOf = (cells: readonly Cell[]): number => cells.reduce((sum, [, , count]) => sum + count, 0);

const boundsOf = (cells: readonly Cell[]): Box =>
  boxOfCells(
    cells.map(([row, column]) => [column, row] as const),
    CELL,
  );

const clipped = (box: Box, { width, height }: Size): Box =>
  intersection(box, { left: 0, top: 0, width, height }) as Box;
