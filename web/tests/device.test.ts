import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it, vi } from "vitest";
import { fetchBytes, gunzip } from "../src/device/download";
import { grainOf, missingGrain } from "../src/device/grain";
import { haarFill } from "../src/device/haar_fill";
import { traitsOf } from "../src/device/model_file";
import { overrides } from "../src/device/overrides";
import { normals } from "../src/device/noise";
import { DeviceFiller } from "../src/fill/device_filler";
import { FillError, type Filled } from "../src/fill/filler";
import type { Raster } from "../src/image/raster";
import { folderOf } from "../src/package/address";

const ascii = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));
const field = (number: number, bytes: number[]): number[] => [number * 8 + 2, bytes.length, ...bytes];

afterEach(() => vi.unstubAllGlobals());

describe("grain", () => {
  it("is measured only where it may be, and never asked for where it is too faint", () => {
    const [width, height] = [64, 64];
    const plane = normals([3, 4], 0, { width, height });
    plane.data.forEach((value, i) => (plane.data[i] = 0.5 + 0.02 * value));
    const hole = { width, height, data: new Uint8Array(width * height).fill(1, 0, (width * height) / 2) };
    plane.data.fill(0.5, 0, (width * height) / 2);
    const [[fine]] = grainOf([plane], hole, 0);
    expect(fine).toBeGreaterThan(0.017);
    expect(fine).toBeLessThan(0.023);
    expect(grainOf([plane], hole, 1)[0][0]).toBe(0);
    expect(missingGrain([[0.001, 0.001]], null)).toBeNull();
    expect(missingGrain([[0.02, 0]], [[0.02, 0]])).toBeNull();
  });
});

it("fills a plane with what surrounds its hole", () => {
  const size = { width: 9, height: 7 };
  const hole = new Uint8Array(63).fill(1, 20, 40);
  const plane = Float32Array.from({ length: 63 }, (_, i) => (hole[i] ? 99 : 0.25));
  for (const value of haarFill({ ...size, data: plane }, { ...size, data: hole }).data)
    expect(value).toBeCloseTo(0.25, 5);
});

describe("traitsOf", () => {
  it("reads the metadata of an ONNX file", () => {
    const entry = [...field(1, ascii("multiple")), ...field(2, ascii("16"))];
    const other = [...field(1, ascii("weights")), ...field(2, ascii("12"))];
    const model = [8, 9, ...field(7, ascii("a graph")), ...field(14, other), ...field(14, entry)];
    expect(traitsOf(Uint8Array.from(model))).toEqual({ multiple: 16, coarseLevels: 0 });
    const coarseLevels = field(14, [...field(1, ascii("octaves")), ...field(2, ascii("3"))]);
    expect(traitsOf(Uint8Array.from([...model, ...coarseLevels]))).toEqual({ multiple: 16, coarseLevels: 3 });
  });

  it.each([[[]], [ascii("not a model")], [[114, 200, 1]], [field(14, field(1, ascii("multiple")))]])(
    "refuses what is none of ours",
    (bytes) => {
      expect(() => traitsOf(Uint8Array.from(bytes))).toThrow("not a WavePaint network");
    },
  );
});

describe("files of the network", () => {
  it("come whole, and counted", async () => {
    vi.stubGlobal("fetch", async () => new Response(new Uint8Array(1000)));
    const counts: number[] = [];
    expect((await fetchBytes("https://here/model.onnx", (bytes) => counts.push(bytes))).length).toBe(1000);
    expect(counts.at(-1)).toBe(1000);
  });

  it("are named where they do not come", async () => {
    vi.stubGlobal("fetch", async () => new Response("", { status: 404 }));
    await expect(fetchBytes("https://here/sub/model.onnx")).rejects.toThrow("model.onnx cannot be fetched: status 404");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
    await expect(fetchBytes("https://here/model.onnx")).rejects.toThrow("model.onnx cannot be fetched");
  });

  it("are unpacked, unless the host has done so", async () => {
    const plain = Uint8Array.from([0, 97, 115, 109, 1]);
    expect(await gunzip(new Uint8Array(gzipSync(plain)))).toEqual(plain);
    expect(await gunzip(plain)).toBe(plain);
  });
});

it("takes its place and its settings from addresses", () => {
  expect(folderOf("https://here/a/wavepaint.js?threads=1")).toBe("https://here/a/");
  expect(overrides("https://here/?backend=wasm&threads=3")).toEqual({ backend: "wasm", threads: 3 });
  expect(overrides("https://here/?backend=none&threads=-1")).toEqual({});
});

describe("DeviceFiller", () => {
  const image: Raster = { width: 2, height: 1, channels: 1, data: Uint8Array.from([1, 2]) };
  const never = new AbortController().signal;
  const find = async (image: Raster): Promise<Uint8Array> => Uint8Array.from(image.data, (value) => value - 1);

  it("hands the region over and says why it fails", async () => {
    const masks: unknown[] = [];
    const filler = new DeviceFiller({
      fill: async (image, mask) => {
        masks.push(mask);
        return { raster: image, seconds: 2 };
      },
      find,
    });
    expect(await filler.fill({ image, mask: Uint8Array.from([1, 0]) }, never)).toEqual({ raster: image, seconds: 2 });
    expect(masks).toEqual([{ width: 2, height: 1, data: Uint8Array.from([1, 0]) }]);
    const broken = new DeviceFiller({ fill: () => Promise.reject(new Error("out of memory")), find });
    await expect(broken.fill({ image, mask: Uint8Array.from([1, 0]) }, never)).rejects.toThrow(
      new FillError("This device cannot fill it: out of memory."),
    );
    await expect(filler.fill({ image, mask: Uint8Array.from([1, 1]) }, never)).rejects.toThrow("nothing is left");
  });

  it("finds damage, and says why it cannot", async () => {
    const finding = { kinds: ["dust"], sensitivity: 0.5 } as const;
    const fill = (): Promise<Filled> => Promise.reject(new Error("not asked for"));
    expect(await new DeviceFiller({ fill, find }).find(image, finding, never)).toEqual(Uint8Array.from([0, 1]));
    const broken = new DeviceFiller({ fill, find: () => Promise.reject(new Error("no memory")) });
    await expect(broken.find(image, finding, never)).rejects.toThrow(
      new FillError("This device cannot look for damage: no memory."),
    );
  });

  it("passes the reason of an abort on", async () => {
    const stop = new AbortController();
    stop.abort(new Error("enough"));
    const filler = new DeviceFiller({ fill: () => Promise.reject(new Error("whatever")), find });
    await expect(filler.fill({ image, mask: Uint8Array.from([1, 0]) }, stop.signal)).rejects.toThrow("enough");
  });
});
