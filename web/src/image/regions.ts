import { type Box, type Size, area, boxBetween, boxOfCells, clamp, intersection } from "../geometry";

/** Side of the cells in which holes are looked for, pixels. */
export const CELL = 64;

/**
 * Pixels around a narrow hole that travel with it. The filler looks at most 192 pixels far there and rounds its crops up
 * by at most 64, so it finds in the region all that it would find in the whole image.
 */
export const CONTEXT = 256;

/** Around wide holes the filler looks as far as this share of their thickness. */
const CONTEXT_SHARE = 0.5;

/** Regions start on multiples of this, the filler's own grid, so that it divides them as it would the image. */
const ALIGNMENT = 16;

/** Pixels of one region at most: with 16 bits and four channels 48 MiB, less than servers accept by default. */
export const MAX_REGION = 6 * 2 ** 20;

/** One request to the filler: `region` is sent, and what comes back is pasted in `core`. */
export interface Region {
  readonly core: Box;
  readonly region: Box;
}

/** Column and row of a cell that holds at least one hole pixel. */
export type Cell = readonly [column: number, row: number];

/**
 * Divide holes into regions: apart where their contexts do not meet, cut in two where one region would be too large.
 * The cores are disjoint and cover every cell. Regions are to be filled in order: later ones see what earlier ones filled.
 */
export function planRegions(cells: readonly Cell[], size: Size, limit = MAX_REGION): Region[] {
  if (cells.length === 0) return [];
  const core = intersection(cellBounds(cells), { left: 0, top: 0, ...size });
  if (!core) throw new RangeError("a hole cell lies outside the image");
  const region = withContext(core, size);
  const parts = splitAtGap(cells) ?? (area(region) > limit ? splitInMiddle(cells) : null);
  return parts ? parts.flatMap((part) => planRegions(part, size, limit)) : [{ core, region }];
}

export const cellMeets = ([column, row]: Cell, box: Box): boolean =>
  intersection({ left: column * CELL, top: row * CELL, width: CELL, height: CELL }, box) !== null;

function withContext(core: Box, size: Size): Box {
  const context = Math.max(CONTEXT, CELL + Math.ceil(CONTEXT_SHARE * Math.min(core.width, core.height)));
  const left = Math.floor(clamp(core.left - context, 0, size.width) / ALIGNMENT) * ALIGNMENT;
  const top = Math.floor(clamp(core.top - context, 0, size.height) / ALIGNMENT) * ALIGNMENT;
  const right = Math.min(size.width, core.left + core.width + context);
  const bottom = Math.min(size.height, core.top + core.height + context);
  return boxBetween(left, top, right, bottom);
}

const cellBounds = (cells: readonly Cell[]): Box => boxOfCells(cells, CELL);

/** Cut where the holes on both sides are more than two contexts apart. */
function splitAtGap(cells: readonly Cell[]): [Cell[], Cell[]] | null {
  for (const axis of [0, 1]) {
    const positions = [...new Set(cells.map((cell) => cell[axis]))].sort((a, b) => a - b);
    for (let index = 1; index < positions.length; index++) {
      if ((positions[index] - positions[index - 1] - 1) * CELL >= 2 * CONTEXT)
        return cut(cells, axis, positions[index]);
    }
  }
  return null;
}

function splitInMiddle(cells: readonly Cell[]): [Cell[], Cell[]] | null {
  const bounds = cellBounds(cells);
  const axis = bounds.width >= bounds.height ? 0 : 1;
  const [start, length] = axis === 0 ? [bounds.left, bounds.width] : [bounds.top, bounds.height];
  const count = length / CELL;
  return count > 1 ? cut(cells, axis, start / CELL + (count >> 1)) : null;
}

function cut(cells: readonly Cell[], axis: number, position: number): [Cell[], Cell[]] {
  return [cells.filter((cell) => cell[axis] < position), cells.filter((cell) => cell[axis] >= position)];
}
