/** `wavepaint.fill.flat` in TypeScript: a hole in one colour, or in a gradient plane, needs no search. */

import type { Size } from "../../geometry";
import { type Pixels, fromUnit, rangeOf } from "../planes";
import { dilate, indicesOf, labelsOf } from "./areas";

const CELL = 8;
const BAND = 8;
const TOLERANCE = 1 / 255;
const FEWEST = 24;

/** What a sample of a channel is at a row and a column, in [0, 1] or beyond. */
type Drawn = (row: number, column: number) => number;

/** Holes whose surroundings share a cell: the samples to fill, and the known ones around them. */
interface Piece {
  readonly inside: number[];
  readonly around: number[];
}

/** Fill the holes whose surroundings are flat, in place; what was filled: 1 = filled. */
export function fillFlat(samples: Pixels, hole: Uint8Array): Uint8Array {
  const { width, channels, data } = samples;
  const range = rangeOf(samples);
  const done = new Uint8Array(hole.length);
  for (const { inside, around } of piecesOf(hole, samples)) {
    if (!around.length || !inside.length) continue;
    const first = around[0] * channels;
    const constant = around.every((at) => {
      for (let c = 0; c < channels; c++) if (data[at * channels + c] !== data[first + c]) return false;
      return true;
    });
    const planes = constant || !surrounds(around, inside, width) ? null : fitPlanes(samples, around);
    if (!constant && !planes) continue;
    for (const at of inside) {
      for (let c = 0; c < channels; c++) {
        const drawn = planes?.[c](Math.floor(at / width), at % width);
        data[at * channels + c] = drawn === undefined ? data[first + c] : fromUnit(Math.fround(drawn), range);
      }
      done[at] = 1;
    }
  }
  return done;
}

/** Connected pieces of the hole and the band around it, to the precision of cells. */
function piecesOf(hole: Uint8Array, size: Size): Piece[] {
  const near = dilate(hole, size, BAND);
  const grid = { width: Math.ceil(size.width / CELL), height: Math.ceil(size.height / CELL) };
  const cellOf = (at: number): number =>
    Math.floor(Math.floor(at / size.width) / CELL) * grid.width + Math.floor((at % size.width) / CELL);
  const cells = new Uint8Array(grid.width * grid.height);
  const marked = indicesOf(near);
  for (const at of marked) cells[cellOf(at)] = 1;
  const labels = labelsOf(cells, grid);
  const pieces: Piece[] = [];
  for (const at of marked) {
    const piece = (pieces[labels[cellOf(at)] - 1] ??= { inside: [], around: [] });
    (hole[at] ? piece.inside : piece.around).push(at);
  }
  return pieces;
}

/** Whether no hole sample lies beyond the known ones: a plane leads into a hole, not out to where nothing is known. */
function surrounds(around: readonly number[], inside: readonly number[], width: number): boolean {
  return [(at: number) => Math.floor(at / width), (at: number) => at % width].every((place) => {
    const extremes = (indices: readonly number[]): [number, number] =>
      indices.reduce(
        ([least, most], at) => [Math.min(least, place(at)), Math.max(most, place(at))],
        [Infinity, -Infinity],
      );
    const [known, unknown] = [extremes(around), extremes(inside)];
    return unknown[0] >= known[0] - 1 && unknown[1] <= known[1] + 1;
  });
}

/** A plane for each channel by least squares, or null where one does not fit. */
function fitPlanes(samples: Pixels, around: readonly number[]): Drawn[] | null {
  if (around.length < FEWEST) return null;
  const { width, channels, data } = samples;
  const range = rangeOf(samples);
  const rows = around.map((at) => Math.floor(at / width));
  const columns = around.map((at) => at % width);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [middleRow, middleColumn] = [mean(rows), mean(columns)];
  const [y, x] = [rows.map((row) => row - middleRow), columns.map((column) => column - middleColumn)];
  const product = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, value, i) => sum + value * b[i], 0);
  const [yy, xy, xx] = [product(y, y) + 1e-9, product(x, y), product(x, x) + 1e-9];
  const determinant = yy * xx - xy * xy;
  const planes: Drawn[] = [];
  for (let c = 0; c < channels; c++) {
    const values = around.map((at) => Math.fround(data[at * channels + c] / range));
    const [level, alongY, alongX] = [mean(values), product(y, values), product(x, values)];
    const down = (alongY * xx - alongX * xy) / determinant;
    const right = (alongX * yy - alongY * xy) / determinant;
    const plane: Drawn = (row, column) => level + (row - middleRow) * down + (column - middleColumn) * right;
    if (values.some((value, i) => !(Math.abs(plane(rows[i], columns[i]) - value) <= TOLERANCE))) return null;
    planes.push(plane);
  }
  return planes;
}
