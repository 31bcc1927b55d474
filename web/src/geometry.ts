/** A point in image coordinates: (0, 0) is the top left corner of the first pixel, fractions are allowed. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A rectangle of whole pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

export const area = (box: Size): number => box.width * box.height;

/** The box from (left, top) up to, but not including, (right, bottom). */
export const boxBetween = (left: number, top: number, right: number, bottom: number): Box => ({
  left,
  top,
  width: right - left,
  height: bottom - top,
});

/** The part two boxes share, or null. */
export function intersection(a: Box, b: Box): Box | null {
  const left = Math.max(a.left, b.left);
  const top = Math.max(a.top, b.top);
  const right = Math.min(a.left + a.width, b.left + b.width);
  const bottom = Math.min(a.top + a.height, b.top + b.height);
  return right > left && bottom > top ? boxBetween(left, top, right, bottom) : null;
}

/** The box of all cells of `side` pixels at these columns and rows; there is at least one. */
export function boxOfCells(cells: readonly (readonly [column: number, row: number])[], side: number): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [column, row] of cells) {
    left = Math.min(left, column);
    top = Math.min(top, row);
    right = Math.max(right, column + 1);
    bottom = Math.max(bottom, row + 1);
  }
  return boxBetween(left * side, top * side, right * side, bottom * side);
}
