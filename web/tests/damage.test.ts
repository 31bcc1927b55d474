import { describe, expect, it } from "vitest";
import {
  type Detector,
  DROP_PER_DOUBLING,
  MIN_CELLS,
  MARGIN,
  THRESHOLDS,
  findDamage,
  tilesOf,
} from "../src/device/damage";
import { DAMAGE_KINDS } from "../src/fill/finder";
import { type Size, area } from "../src/geometry";
import type { Raster } from "../src/image/raster";

const ALL = { kinds: DAMAGE_KINDS, sensitivity: 0.5 };
/** Finds samples above 250: in red scratches, in green dust, in blue stamps. */
const detector: Detector = {
  multiple: 64,
  run: async (image) => image.map((value) => (value > 250 / 255 ? 0.9999 : 0.001)),
};

function testImage(width: number, height: number): Raster & { data: Uint8Array<ArrayBuffer> } {
  return { width, height, channels: 3, data: new Uint8Array(3 * width * height).fill(100) };
}

describe("findDamage", () => {
  it("covers every pixel once with tiles that overlap", () => {
    const size = { width: 2000, height: 1600 };
    const seen = new Uint8Array(size.width * size.height);
    for (const { core, crop } of tilesOf(size)) {
      for (let y = core.top; y < core.top + core.height; y++) {
        for (let x = core.left; x < core.left + core.width; x++) seen[y * size.width + x]++;
      }
      expect(crop.left).toBe(Math.max(core.left - MARGIN, 0));
      expect(crop.left + crop.width).toBe(Math.min(core.left + core.width + MARGIN, size.width));
      expect(crop.top).toBe(Math.max(core.top - MARGIN, 0));
      expect(crop.top + crop.height).toBe(Math.min(core.top + core.height + MARGIN, size.height));
    }
    expect(seen.every((count) => count === 1)).toBe(true);
    const widths = [1216, 1217, 4000].map((width) => tilesOf({ width, height: 7 }).map(({ core }) => core.width));
    expect(widths).toEqual([[1216], [640, 577], [1024, 1024, 1024, 928]]);
  });

  it("finds what the network marks, across tiles, and only the kinds that are asked for", async () => {
    const image = testImage(1600, 50);
    for (let x = 780; x < 870; x++) image.data[3 * (20 * 1600 + x)] = 255;
    image.data[3 * (10 * 1600 + 30) + 1] = 255;
    const shares: number[] = [];
    const step = async (share: number): Promise<void> => void shares.push(share);
    const found = await findDamage(image, ALL, detector, step);
    expect(found.reduce((sum, value) => sum + value, 0)).toBe(91);
    expect(found.subarray(20 * 1600 + 780, 20 * 1600 + 870).every((value) => value === 1)).toBe(true);
    expect(shares).toEqual([0, 0.5]);
    const dust = await findDamage(image, { ...ALL, kinds: ["dust"] }, detector, step);
    expect([dust[10 * 1600 + 30], dust.reduce((sum, value) => sum + value, 0)]).toEqual([1, 1]);
  });

  /** A probability of scratches so many logits below the threshold. */
  const fainter = (logits: number): number =>
    1 / (1 + ((1 - THRESHOLDS.scratches) / THRESHOLDS.scratches) * Math.exp(logits));

  /** How many samples are found, where a network sees such scratches. */
  const count = async (scratches: Float32Array, size: Size, sensitivity = 0.5): Promise<number> => {
    const planes = new Float32Array(3 * area(size));
    planes.set(scratches);
    const network = { multiple: 1, run: async () => planes };
    const image = testImage(size.width, size.height);
    const found = await findDamage(image, { ...ALL, sensitivity }, network, async () => {});
    return found.reduce((sum, value) => sum + value, 0);
  };

  it("takes what is fainter with more sensitivity", async () => {
    const size = { width: 60, height: 60 };
    const plane = new Float32Array(3600).fill(0.001);
    plane.fill(fainter(-0.5), 30 * 60 + 5, 30 * 60 + 15);
    plane[50 * 60 + 50] = fainter(0.5);
    const counts = [0, 0.5, 0.9].map((sensitivity) => count(plane, size, sensitivity));
    expect(await Promise.all(counts)).toEqual([0, 10, 11]);
  });

  it("takes what is fainter where there is much", async () => {
    const size = { width: 600, height: 400 };
    const plane = new Float32Array(area(size)).fill(0.001);
    const many = 2 * MIN_CELLS;
    for (let cell = 0; cell < many; cell++) {
      const start = (100 + 8 * Math.floor(cell / 10)) * 600 + 100 + 12 * (cell % 10);
      for (let y = 0; y < 4; y++) plane.fill(0.9999, start + 600 * y, start + 600 * y + 4);
    }
    expect(await count(plane, size)).toBe(16 * many);
    plane[60 * 600 + 50] = plane[390 * 600 + 590] = fainter(0.9 * DROP_PER_DOUBLING);
    expect(await count(plane, size)).toBe(16 * many + 1);
    plane[60 * 600 + 50] = fainter(1.2 * DROP_PER_DOUBLING);
    expect(await count(plane, size)).toBe(16 * many);
    plane[60 * 600 + 50] = fainter(0.9 * DROP_PER_DOUBLING);
    for (let y = 200; y < 264; y += 4) for (let x = 0; x < 500; x += 4) plane[y * 600 + x] = fainter(4);
    expect(await count(plane, size)).toBe(16 * many);
  });

  it("follows the whole image, not a tile", async () => {
    const size = { width: 1600, height: 1700 }; // borders of tiles at 832 and 896
    const image = testImage(size.width, size.height);
    const draw = (x: number, y: number, value: number): void => void (image.data[3 * (y * size.width + x)] = value);
    for (let cell = 0; cell < 2 * MIN_CELLS; cell++) draw(700 + 12 * (cell % 10), 800 + 8 * Math.floor(cell / 10), 255);
    draw(900, 950, 200);
    draw(40, 60, 200);
    const network: Detector = {
      multiple: 1,
      run: async (planes, crop) => {
        const probabilities = new Float32Array(3 * area(crop)).fill(0.001);
        for (let at = 0; at < area(crop); at++) {
          if (planes[at] > 0.7) probabilities[at] = planes[at] > 0.9 ? 0.9999 : fainter(0.9 * DROP_PER_DOUBLING);
        }
        return probabilities;
      },
    };
    const found = await findDamage(image, ALL, network, async () => {});
    expect(found[950 * size.width + 900]).toBe(1);
    expect(found.reduce((sum, value) => sum + value, 0)).toBe(2 * MIN_CELLS + 1);
  });

  it("has the rule of the package", async () => {
    // `tests/test_find.py` expects the same numbers of the same plane.
    const size = { width: 600, height: 400 };
    const plane = Float32Array.from({ length: area(size) }, (_, at) => {
      const [x, y] = [at % 600, Math.floor(at / 600)];
      const chance = ((x * 7919 + y * 104729 + x * y * 31) % 9973) / 9973;
      return 1 / (1 + Math.exp(6 - (x < 100 ? 11 : 8) * chance ** 8));
    });
    const counts = [0.4, 0.5, 1].map((sensitivity) => count(plane, size, sensitivity));
    expect(await Promise.all(counts)).toEqual([11515, 15264, 36400]);
  });
});
