import { describe, expect, it } from "vitest";
import { area, intersection } from "../src/geometry";
import { CELL, CONTEXT, type Cell, MAX_REGION, planRegions } from "../src/image/regions";
import { random } from "./support";

const IMAGE = { width: 6000, height: 4000 };

describe("planRegions", () => {
  it("needs nothing for an empty mask", () => {
    expect(planRegions([], IMAGE)).toEqual([]);
  });

  it("gives one stroke its context, on the filler's grid", () => {
    const [{ core, region }, ...others] = planRegions(
      [
        [20, 10],
        [21, 10],
      ],
      IMAGE,
    );
    expect(others).toEqual([]);
    expect(core).toEqual({ left: 1280, top: 640, width: 128, height: 64 });
    expect(region).toEqual({ left: 1024, top: 384, width: 640, height: 576 });
    expect(region.left % 16).toBe(0);
  });

  it("gives a wide hole context in proportion", () => {
    const cells: Cell[] = Array.from({ length: 256 }, (_, index) => [30 + (index % 16), 20 + Math.floor(index / 16)]);
    const [{ core, region }] = planRegions(cells, IMAGE);
    expect(core).toEqual({ left: 1920, top: 1280, width: 1024, height: 1024 });
    expect(region).toEqual({ left: 1344, top: 704, width: 2176, height: 2176 });
  });

  it("stays inside the image", () => {
    const size = { width: 100, height: 70 };
    expect(
      planRegions(
        [
          [0, 0],
          [1, 1],
        ],
        size,
      ),
    ).toEqual([{ core: { left: 0, top: 0, ...size }, region: { left: 0, top: 0, ...size } }]);
  });

  it("keeps strokes apart whose contexts do not meet, and together whose do", () => {
    const apart = (2 * CONTEXT) / CELL + 1;
    expect(
      planRegions(
        [
          [3, 3],
          [3 + apart, 3],
        ],
        IMAGE,
      ),
    ).toHaveLength(2);
    expect(
      planRegions(
        [
          [3, 3],
          [3, 3 + apart],
        ],
        IMAGE,
      ),
    ).toHaveLength(2);
    expect(
      planRegions(
        [
          [3, 3],
          [2 + apart, 3],
        ],
        IMAGE,
      ),
    ).toHaveLength(1);
  });

  it("covers every cell exactly once, within the limit, whatever is painted", () => {
    const next = random(3);
    for (const count of [1, 5, 50, 500, 3000]) {
      const keys = new Set(
        Array.from({ length: count }, () => Math.floor(63 * next()) * 100 + Math.floor(94 * next())),
      );
      const cells: Cell[] = [...keys].map((key) => [key % 100, Math.floor(key / 100)]);
      const regions = planRegions(cells, IMAGE);
      for (const [column, row] of cells) {
        const cell = { left: column * CELL, top: row * CELL, width: CELL, height: CELL };
        const visible = intersection(cell, { left: 0, top: 0, ...IMAGE });
        const shares = regions
          .map(({ core }) => visible && intersection(visible, core))
          .filter((share) => share !== null);
        expect(shares).toEqual([visible]);
      }
      for (const { core, region } of regions) {
        expect(intersection(core, region)).toEqual(core);
        expect(area(region)).toBeLessThanOrEqual(MAX_REGION);
      }
    }
  });
});
