import { describe, expect, it } from "vitest";
import { type Shape, polygon, rectangle, sweep } from "../src/image/shapes";
import { equal, random } from "./support";

const SIDE = 40;

function pixels(shape: Shape): Uint8Array {
  const out = new Uint8Array(SIDE * SIDE);
  shape((y, left, right) => {
    for (let x = left; x < right; x++) if (x >= 0 && x < SIDE && y >= 0 && y < SIDE) out[y * SIDE + x] = 1;
  });
  return out;
}

function wherever(inside: (x: number, y: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: SIDE * SIDE }, (_, at) =>
    Number(inside((at % SIDE) + 0.5, Math.floor(at / SIDE) + 0.5)),
  );
}

describe("sweep", () => {
  it("covers the centres within a radius of the path", () => {
    const next = random(1);
    for (let round = 0; round < 50; round++) {
      const radius = 1 + 8 * next();
      const a = { x: SIDE * next(), y: SIDE * next(), radius };
      const b = { x: SIDE * next(), y: SIDE * next(), radius };
      const expected = wherever((x, y) => {
        const [dx, dy] = [b.x - a.x, b.y - a.y];
        const share = Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy)));
        return Math.hypot(x - a.x - share * dx, y - a.y - share * dy) <= radius;
      });
      expect(equal(pixels(sweep(a, b)), expected)).toBe(true);
    }
  });

  it("narrows with the pressure and stays convex", () => {
    const covered = pixels(sweep({ x: 8, y: 20, radius: 8 }, { x: 34, y: 20, radius: 2 }));
    const heights = Array.from({ length: 26 }, (_, index) => {
      let count = 0;
      for (let y = 0; y < SIDE; y++) count += covered[y * SIDE + 8 + index];
      return count;
    });
    expect(heights[0]).toBe(16);
    expect(heights[25]).toBe(4);
    for (let index = 1; index < heights.length; index++) expect(heights[index]).toBeLessThanOrEqual(heights[index - 1]);
  });

  it("covers the whole larger disc when it holds the smaller one", () => {
    const large = { x: 20, y: 20, radius: 9 };
    expect(pixels(sweep(large, { x: 22, y: 20, radius: 3 }))).toEqual(pixels(sweep(large, large)));
  });

  it("marks the pixel it points at, however small it is", () => {
    const dab = { x: 7.9, y: 3.1, radius: 0.1 };
    expect(pixels(sweep(dab, dab))).toEqual(wherever((x, y) => x === 7.5 && y === 3.5));
  });
});

describe("polygon", () => {
  it("follows the even-odd rule", () => {
    const next = random(2);
    for (let round = 0; round < 50; round++) {
      const corners = Array.from({ length: 3 + Math.floor(6 * next()) }, () => ({
        x: SIDE * next(),
        y: SIDE * next(),
      }));
      const expected = wherever((x, y) => {
        let inside = false;
        corners.forEach((a, index) => {
          const b = corners[(index + 1) % corners.length];
          if (a.y > y !== b.y > y && x < a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x)) inside = !inside;
        });
        return inside;
      });
      expect(equal(pixels(polygon(corners)), expected)).toBe(true);
    }
  });

  it("makes a rectangle of any two opposite corners", () => {
    const expected = wherever((x, y) => x > 3 && x < 9 && y > 4 && y < 12);
    expect(pixels(polygon(rectangle({ x: 9, y: 4 }, { x: 3, y: 12 })))).toEqual(expected);
    expect(pixels(polygon(rectangle({ x: 3, y: 12 }, { x: 9, y: 4 })))).toEqual(expected);
  });

  it("is empty without an inside", () => {
    expect(pixels(polygon([{ x: 4, y: 4 }]))).toEqual(new Uint8Array(SIDE * SIDE));
  });
});
