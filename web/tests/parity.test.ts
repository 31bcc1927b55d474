// The cases of ../../tests/parity, which Python has made: see make.py there.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { decodePng } from "../src/codec/png";
import { inpaint, workload } from "../src/device/inpaint";
import { type LoadedNetwork, loadNetwork } from "../src/device/network";
import { DEFAULT_OPTIONS, type Detail } from "../src/device/options";
import { type Mask, bottom, cropMask, right } from "../src/device/planes";
import { type Region, findRegions, findWide, coarseLevelsOf, withoutInteriors } from "../src/device/regions";
import { tryOut } from "../src/device/trial";
import type { Box } from "../src/geometry";
import type { Raster } from "../src/image/raster";

const FOLDER = new URL("../../tests/parity/", import.meta.url);
const MODEL = new URL("../../src/wavepaint/weights/default.onnx", import.meta.url);
/** Of a hole sample, in steps of 8 bits. */
const TOLERANCE = 2;

interface Case {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Edges[];
  readonly discs: readonly [number, number, number][];
  readonly plan: unknown;
  readonly detail?: Detail;
  readonly image?: string;
  readonly expected?: string;
}
type Edges = [left: number, top: number, width: number, height: number];

const cases = readdirSync(fileURLToPath(FOLDER))
  .filter((name) => name.endsWith(".json"))
  .map((name) => ({ name, ...(JSON.parse(readFileSync(new URL(name, FOLDER), "utf-8")) as Case) }));

function maskOf({ width, height, boxes, discs }: Case): Mask {
  const data = new Uint8Array(width * height);
  for (const [left, top, w, h] of boxes) {
    for (let y = top; y < Math.min(top + h, height); y++) {
      data.fill(1, y * width + left, y * width + Math.min(left + w, width));
    }
  }
  for (const [column, row, radius] of discs) {
    for (let y = Math.max(0, row - radius); y < Math.min(height, row + radius + 1); y++) {
      for (let x = Math.max(0, column - radius); x < Math.min(width, column + radius + 1); x++) {
        if ((x - column) ** 2 + (y - row) ** 2 <= radius ** 2) data[y * width + x] = 1;
      }
    }
  }
  return { width, height, data };
}

const edges = ({ left, top, width, height }: Box): Edges => [left, top, width, height];

const byEdges = (a: Edges, b: Edges): number => a.map((edge, i) => edge - b[i]).find((difference) => difference) ?? 0;

/** The hole of a crop when its turn comes, without what its neighbours have filled by then. */
function unknownIn(mask: Mask, { crop, known }: Region): Mask {
  const unknown = { ...mask, data: mask.data.slice() };
  for (const box of known) {
    for (let y = box.top; y < bottom(box); y++)
      unknown.data.fill(0, y * mask.width + box.left, y * mask.width + right(box));
  }
  return cropMask(unknown, crop);
}

function planOf(mask: Mask): unknown {
  const wide = findWide(mask);
  const rest = withoutInteriors(mask, wide);
  return {
    wide: wide.map(({ crop, box, share }) => ({
      crop: edges(crop),
      box: edges(box),
      deep: share.reduce((count, value) => count + Number(value === 1), 0),
      share: share.reduce((sum, value) => sum + value, 0),
    })),
    stages: findRegions(rest).map((stage) =>
      stage.map((region) => ({
        crop: edges(region.crop),
        holes: edges(region.holes),
        known: region.known.map(edges).sort(byEdges),
        coarse_levels: coarseLevelsOf(unknownIn(rest, region), 3),
      })),
    ),
  };
}

const read = async (name: string): Promise<Raster> =>
  (await decodePng(Uint8Array.from(readFileSync(new URL(name, FOLDER))))).raster;

/** Largest difference of a hole sample in steps of 8 bits, and whether anything else differs. */
function difference(a: Raster, b: Raster, mask: Mask): { inside: number; outside: number } {
  const step = a.data instanceof Uint8Array ? 1 : 257;
  let [inside, outside] = [0, 0];
  for (let i = 0; i < a.data.length; i++) {
    const distance = Math.abs(a.data[i] - b.data[i]) / step;
    if (mask.data[Math.floor(i / a.channels)]) inside = Math.max(inside, distance);
    else outside = Math.max(outside, distance);
  }
  return { inside, outside };
}

it.each(cases)("plans $name as Python does", (parity) => {
  expect(planOf(maskOf(parity))).toEqual(parity.plan);
});

describe("with ONNX Runtime Web", () => {
  let network: LoadedNetwork;

  beforeAll(async () => {
    const path = createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm");
    const files = { loader: pathToFileURL(path.replace(/\.wasm$/, ".mjs")).href, binary: readFileSync(path) };
    network = await loadNetwork(Uint8Array.from(readFileSync(MODEL)), files, "wasm", 1);
  }, 120_000);

  it("fills the trial image well enough", async () => {
    await expect(tryOut(network)).resolves.toBeUndefined();
  });

  it.each(cases.filter(({ image }) => image))(
    "fills $name as Python does",
    async (parity) => {
      const [source, expected] = await Promise.all([parity.image, parity.expected].map((name) => read(name ?? "")));
      const mask = maskOf(parity);
      const before = source.data.slice();
      const steps: number[] = [];
      const filled = await inpaint(source, mask, {
        network,
        options: { ...DEFAULT_OPTIONS, detail: parity.detail ?? "grain" },
        step: async (done) => void steps.push(done),
      });
      expect(difference(source, { ...source, data: before }, mask)).toEqual({ inside: 0, outside: 0 });
      expect(difference(filled, source, mask).outside).toBe(0);
      const { inside, outside } = difference(filled, expected, mask);
      expect(outside).toBe(0);
      expect(inside).toBeLessThanOrEqual(TOLERANCE);
      expect(steps[0]).toBe(0);
      expect(workload(mask, network.coarseLevels)).toBeGreaterThan(steps[steps.length - 1]);
    },
    240_000,
  );

  it("stops between crops", async () => {
    const source: Raster = { width: 900, height: 100, channels: 1, data: new Uint8Array(90_000).fill(9) };
    const mask = maskOf({ width: 900, height: 100, boxes: [[10, 40, 880, 9]], discs: [], plan: null });
    let steps = 0;
    const job = {
      network: { multiple: 16, coarseLevels: 3, run: async (image: Float32Array) => image },
      options: { ...DEFAULT_OPTIONS, detail: "network" as const },
      step: async () => {
        if (steps++) throw new Error("enough");
      },
    };
    await expect(inpaint(source, mask, job)).rejects.toThrow("enough");
    expect(steps).toBe(2);
  });

  it("stops between the coarse levels of a crop", async () => {
    const source: Raster = { width: 240, height: 240, channels: 1, data: new Uint8Array(240 ** 2).fill(9) };
    const mask = maskOf({ width: 240, height: 240, boxes: [[60, 60, 120, 120]], discs: [], plan: null });
    const sides: number[] = [];
    const steps: number[] = [];
    const job = {
      network: {
        multiple: 16,
        coarseLevels: 3,
        run: async (image: Float32Array, _mask: Float32Array, { width }: { width: number }) => {
          sides.push(width);
          return image;
        },
      },
      options: { ...DEFAULT_OPTIONS, detail: "network" as const },
      step: async (done: number) => {
        if (steps.push(done) === 3) throw new Error("enough");
      },
    };
    await expect(inpaint(source, mask, job)).rejects.toThrow("enough");
    expect(sides).toEqual([64, 128]);
    expect(steps).toEqual([0, 60 ** 2, 60 ** 2 + 120 ** 2]);
    expect(workload(mask, 3, "network")).toBe(240 ** 2 + 120 ** 2 + 60 ** 2);
  });
});
