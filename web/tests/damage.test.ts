import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Detector, damageOf, findDamage, tilesOf } from "../src/device/damage";
import { DAMAGE_KINDS } from "../src/fill/finder";
import type { Raster } from "../src/image/raster";

const ALL = { kinds: DAMAGE_KINDS, sensitivity: 0.5 };
/** Finds samples above 250: in red scratches, in green dust, in blue stamps. */
const detector: Detector = {
  multiple: 32,
  run: async (image) => image.map((value) => (value > 250 / 255 ? 0.9999 : 0.001)),
};

function testImage(width: number, height: number): Raster & { data: Uint8Array<ArrayBuffer> } {
  return { width, height, channels: 3, data: new Uint8Array(3 * width * height).fill(100) };
}

describe("findDamage", () => {
  it("covers every pixel once with tiles that overlap", () => {
    const size = { width: 2000, height: 970 };
    const seen = new Uint8Array(size.width * size.height);
    for (const { core, crop } of tilesOf(size)) {
      for (let y = core.top; y < core.top + core.height; y++) {
        for (let x = core.left; x < core.left + core.width; x++) seen[y * size.width + x]++;
      }
      expect(crop.left).toBe(Math.max(core.left - 96, 0));
      expect(crop.left + crop.width).toBe(Math.min(core.left + 1056, size.width));
    }
    expect(seen.every((count) => count === 1)).toBe(true);
  });

  it("finds what the network marks, across tiles, and only the kinds that are asked for", async () => {
    const image = testImage(1000, 50);
    for (let x = 900; x < 990; x++) image.data[3 * (20 * 1000 + x)] = 255;
    image.data[3 * (10 * 1000 + 30) + 1] = 255;
    const shares: number[] = [];
    const step = async (share: number): Promise<void> => void shares.push(share);
    const found = await findDamage(image, ALL, detector, step);
    expect(found.reduce((sum, value) => sum + value, 0)).toBe(91);
    expect(found.subarray(20 * 1000 + 900, 20 * 1000 + 990).every((value) => value === 1)).toBe(true);
    expect(shares).toEqual([0, 0.5]);
    const dust = await findDamage(image, { ...ALL, kinds: ["dust"] }, detector, step);
    expect([dust[10 * 1000 + 30], dust.reduce((sum, value) => sum + value, 0)]).toEqual([1, 1]);
  });

  it("takes what is fainter beside what is sure, and more with more sensitivity", () => {
    const size = { width: 60, height: 60 };
    const plane = new Float32Array(3600).fill(0.001);
    plane.fill(0.999, 30 * 60 + 5, 30 * 60 + 15).fill(0.99, 30 * 60 + 15, 30 * 60 + 25);
    plane[50 * 60 + 50] = 0.99;
    const none = new Float32Array(3600);
    const count = (sensitivity: number): number =>
      damageOf([plane, none, none], size, { ...ALL, sensitivity }).reduce((sum, value) => sum + value, 0);
    expect([count(0), count(0.5), count(0.9)]).toEqual([0, 20, 21]);
  });

  it("has the constants of Python", () => {
    const [python, here] = ["../../src/wavepaint/find.py", "../src/device/damage.ts"].map((name) =>
      readFileSync(new URL(name, import.meta.url), "utf-8"),
    );
    const numbersAt = (source: string, name: string): string[] | undefined =>
      new RegExp(`^(?:const )?${name}\\b[^\\n]*`, "m")
        .exec(source)?.[0]
        .match(/\d+(\.\d+)?/g)
        ?.map((text) => String(Number(text)));
    for (const name of ["THRESHOLDS", "SPREAD", "FAINTER", "REACH", "TURNS"]) {
      expect(numbersAt(here, name), name).toBeDefined();
      expect(numbersAt(here, name), name).toEqual(numbersAt(python, name));
    }
    const [options, search, settings] = [
      "../../src/wavepaint/options.py",
      "../src/ui/damage_search.ts",
      "../src/ui/settings.ts",
    ].map((name) => readFileSync(new URL(name, import.meta.url), "utf-8"));
    const first = (source: string, pattern: RegExp): number => Number(pattern.exec(source)![1]); // throws without a match
    expect(first(search, /const GROW = (\d+)/)).toBe(first(options, /grow: int = option\((\d+)/));
    expect(first(settings, /sensitivity: ([\d.]+)/)).toBe(first(options, /sensitivity: float = option\(\s*([\d.]+)/));
    const tiles = [numbersAt(here, "CORE"), numbersAt(here, "MARGIN")].flat();
    expect(tiles).toEqual(numbersAt(python, "CORE, MARGIN"));
  });
});
