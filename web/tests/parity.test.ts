// The cases of ../../tests/parity, which Python has made: see make.py there.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { decodePng } from "../src/codec/png";
import { inpaint, workload } from "../src/device/inpaint";
import { type LoadedNetwork, loadNetwork } from "../src/device/network";
import type { Mask } from "../src/device/planes";
import { findRegions, findWide, withoutDepths } from "../src/device/regions";
import type { Box } from "../src/geometry";
import type { Raster } from "../src/picture/raster";

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
  readonly grain?: "auto" | "off";
  readonly picture?: string;
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

function planOf(mask: Mask): unknown {
  const wide = findWide(mask);
  return {
    wide: wide.map(({ crop, box, share }) => ({
      crop: edges(crop),
      box: edges(box),
      deep: share.reduce((count, value) => count + Number(value === 1), 0),
      share: share.reduce((sum, value) => sum + value, 0),
    })),
    waves: findRegions(withoutDepths(mask, wide)).map((wave) =>
      wave.map(({ crop, holes, known }) => ({
        crop: edges(crop),
        holes: edges(holes),
        known: known.map(edges).sort(byEdges),
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

  it.each(cases.filter(({ picture }) => picture))(
    "fills $name as Python does",
    async (parity) => {
      const [source, expected] = await Promise.all([parity.picture, parity.expected].map((name) => read(name ?? "")));
      const mask = maskOf(parity);
      const before = source.data.slice();
      const steps: number[] = [];
      const filled = await inpaint(source, mask, {
        network,
        grain: parity.grain === "auto",
        step: async (done) => void steps.push(done),
      });
      expect(difference(source, { ...source, data: before }, mask)).toEqual({ inside: 0, outside: 0 });
      expect(difference(filled, source, mask).outside).toBe(0);
      const { inside, outside } = difference(filled, expected, mask);
      expect(outside).toBe(0);
      expect(inside).toBeLessThanOrEqual(TOLERANCE);
      expect(steps[0]).toBe(0);
      expect(workload(mask)).toBeGreaterThan(steps[steps.length - 1]);
    },
    240_000,
  );

  it("stops between crops", async () => {
    const source: Raster = { width: 900, height: 100, channels: 1, data: new Uint8Array(90_000).fill(9) };
    const mask = maskOf({ width: 900, height: 100, boxes: [[10, 40, 880, 9]], discs: [], plan: null });
    let steps = 0;
    const job = {
      network: { multiple: 16, run: async (image: Float32Array) => image },
      grain: false,
      step: async () => {
        if (steps++) throw new Error("enough");
      },
    };
    await expect(inpaint(source, mask, job)).rejects.toThrow("enough");
    expect(steps).toBe(2);
  });
});
