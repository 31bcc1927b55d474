import type { Point } from "../geometry";

/** A run of pixels in one row: from `left` up to, but not including, `right`. Not clipped to any image. */
export type Span = (y: number, left: number, right: number) => void;

/** A shape calls back with the pixels whose centres it covers. */
export type Shape = (span: Span) => void;

/** Where a brush was and how large. */
export interface Dab extends Point {
  readonly radius: number;
}

/**
 * The convex hull of two discs: what a round brush sweeps between two positions, even where pen pressure changes its size.
 * A brush too small to cover any pixel's centre still covers the pixel it points at.
 */
export function sweep(from: Dab, to: Dab): Shape {
  return (span) => {
    const sides = tangents(from, to);
    const top = Math.floor(Math.min(from.y - from.radius, to.y - to.radius));
    const bottom = Math.ceil(Math.max(from.y + from.radius, to.y + to.radius));
    for (let y = top; y <= bottom; y++) {
      const row = y + 0.5;
      let left = Infinity;
      let right = -Infinity;
      for (const disc of [from, to]) {
        const reach = disc.radius ** 2 - (row - disc.y) ** 2;
        if (reach >= 0) {
          left = Math.min(left, disc.x - Math.sqrt(reach));
          right = Math.max(right, disc.x + Math.sqrt(reach));
        }
      }
      for (const [a, b] of sides) {
        if (a.y !== b.y && row >= Math.min(a.y, b.y) && row <= Math.max(a.y, b.y)) {
          const x = a.x + ((row - a.y) / (b.y - a.y)) * (b.x - a.x);
          left = Math.min(left, x);
          right = Math.max(right, x);
        }
      }
      emit(span, y, left, right);
    }
    for (const { x, y } of [from, to]) span(Math.floor(y), Math.floor(x), Math.floor(x) + 1);
  };
}

/** The outer tangents of two discs, from the first to the second; none when one disc holds the other. */
function tangents(from: Dab, to: Dab): [Point, Point][] {
  const distance = Math.hypot(to.x - from.x, to.y - from.y);
  const cosine = (from.radius - to.radius) / distance;
  if (!(Math.abs(cosine) < 1)) return [];
  const direction = Math.atan2(to.y - from.y, to.x - from.x);
  const pointOn = (disc: Dab, angle: number): Point => ({
    x: disc.x + disc.radius * Math.cos(angle),
    y: disc.y + disc.radius * Math.sin(angle),
  });
  return [Math.acos(cosine), -Math.acos(cosine)].map((turn) => [
    pointOn(from, direction + turn),
    pointOn(to, direction + turn),
  ]);
}

/** The inside of a closed polygon by the even-odd rule. */
export function polygon(corners: readonly Point[]): Shape {
  return (span) => {
    const top = Math.floor(Math.min(...corners.map((corner) => corner.y)));
    const bottom = Math.ceil(Math.max(...corners.map((corner) => corner.y)));
    for (let y = top; y < bottom; y++) {
      const row = y + 0.5;
      const crossings: number[] = [];
      for (let index = 0; index < corners.length; index++) {
        const a = corners[index];
        const b = corners[(index + 1) % corners.length];
        // Half-open, so that a corner on the row counts once.
        if (a.y <= row !== b.y <= row) crossings.push(a.x + ((row - a.y) / (b.y - a.y)) * (b.x - a.x));
      }
      crossings.sort((a, b) => a - b);
      for (let index = 0; index + 1 < crossings.length; index += 2) {
        emit(span, y, crossings[index], crossings[index + 1]);
      }
    }
  };
}

/** The corners of the upright rectangle between two opposite ones. */
export const rectangle = (a: Point, b: Point): Point[] => [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }];

function emit(span: Span, y: number, left: number, right: number): void {
  const first = Math.ceil(left - 0.5);
  const behind = Math.floor(right - 0.5) + 1;
  if (behind > first) span(y, first, behind);
}
