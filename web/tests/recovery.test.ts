// The worker with ONNX Runtime's WebGPU and WebAssembly played by others: no graphics processor is needed here.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Device } from "../src/device/device";
import { type LoadedNetwork, expectedEngine } from "../src/device/network";
import { RecoveringNetwork } from "../src/device/recovery";
import type { Order, Report } from "../src/device/worker";
import type { Raster } from "../src/image/raster";

const MODEL = readFileSync(new URL("../../src/wavepaint/weights/default.onnx", import.meta.url));
const BASE = "https://here/site/";
/** Two holes so far apart that each has a crop of its own. */
const SIZE = { width: 1200, height: 32 };
const HOLES = [100, 1100];

interface Env {
  readonly wasm: { numThreads?: number };
  readonly webgpu: { device?: unknown };
}
type Answer = (image: Float32Array) => Promise<Float32Array>;
const runtime = vi.hoisted(() => ({
  calls: [] as string[],
  create: vi.fn(),
  trial: vi.fn(),
  webgpu: vi.fn(),
  wasm: vi.fn(),
}));
/** Samples of the image on which WebGPU is tried out. */
const TRIAL = vi.hoisted(() => 3 * 32 * 32);

const fake = vi.hoisted(() => (backend: "webgpu" | "wasm") => {
  const env: Env = { wasm: {}, webgpu: {} };
  class Tensor {
    constructor(
      _type: string,
      readonly data: Float32Array,
    ) {}
  }
  const InferenceSession = {
    create: async () => {
      runtime.create(backend, env.wasm.numThreads, env);
      return {
        run: async ({ image }: { image: Tensor }) => {
          const answer = image.data.length === TRIAL ? runtime.trial : runtime[backend];
          const data = await (answer as Answer)(image.data);
          return { filled: { getData: async () => data } };
        },
        release: async () => void runtime.calls.push(`release ${backend}`),
      };
    },
  };
  return { env, Tensor, InferenceSession };
});
vi.mock("onnxruntime-web/webgpu", () => fake("webgpu"));
vi.mock("onnxruntime-web/wasm", () => fake("wasm"));

const painting =
  (value: number): Answer =>
  async (image) =>
    image.map(() => value);

/** A sensible answer to the trial: what is known, and in the middle of each channel's slope what is not. */
const continuing: Answer = async (image) => {
  const plane = image.length / 3;
  return image.map((value, i) => value || 0.35 + 0.2 * Math.floor(i / plane));
};

const image: Raster = {
  ...SIZE,
  channels: 1,
  data: Uint8Array.from({ length: SIZE.width * SIZE.height }, (_, i) => 90 + ((i * 7) % 23)),
};
const mask = { ...SIZE, data: new Uint8Array(SIZE.width * SIZE.height) };
for (const column of HOLES) mask.data.fill(1, 16 * SIZE.width + column, 16 * SIZE.width + column + 8);
const filledWith = ({ data }: Raster): number[] => HOLES.map((column) => data[16 * SIZE.width + column]);

/** A Worker whose module runs in this thread. */
class FakeWorker {
  private readonly listeners: ((event: { data: Report }) => void)[] = [];
  private readonly inside: Promise<(event: { data: Order }) => void>;

  constructor() {
    this.inside = new Promise((resolve) => {
      vi.stubGlobal("self", {
        addEventListener: (_type: string, listener: (event: { data: Order }) => void) => resolve(listener),
        postMessage: (data: Report) => this.listeners.forEach((listener) => listener({ data })),
      });
    });
    vi.resetModules();
    void import("../src/device/worker");
  }

  terminate(): void {
    runtime.calls.push("terminate");
    this.listeners.length = 0;
  }

  addEventListener(type: string, listener: (event: { data: Report }) => void): void {
    if (type === "message") this.listeners.push(listener);
  }

  postMessage(data: Order): void {
    void this.inside.then((listener) => listener({ data }));
  }
}

beforeEach(() => {
  runtime.calls.length = 0;
  runtime.create.mockReset().mockImplementation((_backend, _threads, env: Env) => void (env.webgpu.device = undefined));
  runtime.webgpu.mockReset().mockImplementation(painting(0.2));
  runtime.wasm.mockReset().mockImplementation(painting(0.8));
  runtime.trial.mockReset().mockImplementation(continuing);
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("crossOriginIsolated", true);
  vi.stubGlobal("navigator", { hardwareConcurrency: 2, gpu: { requestAdapter: async () => ({}) } });
  vi.stubGlobal("fetch", async (url: string) => new Response(url.endsWith("model.onnx") ? MODEL : new Uint8Array(8)));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const start = (options: object = {}): { device: Device; moved: unknown[] } => {
  const device = new Device({ base: BASE, ...options });
  const moved: unknown[] = [];
  device.onMoved = (engine) => moved.push(engine);
  return { device, moved };
};

describe("a device with WebGPU", () => {
  it("uses it as long as it works", async () => {
    const { device, moved } = start();
    const { raster, seconds } = await device.fill(image, mask, { detail: "network" });
    expect(filledWith(raster)).toEqual([51, 51]);
    expect(seconds).toBeGreaterThan(0);
    expect(device.engine).toEqual({ backend: "webgpu", threads: 1 });
    expect(moved).toEqual([]);
    expect(runtime.create.mock.calls.map(([backend]) => backend as string)).toEqual(["webgpu"]);
  });

  it("continues with WebAssembly at the crop that failed, says so, and stays there", async () => {
    runtime.webgpu.mockImplementationOnce(painting(0.2)).mockRejectedValueOnce(new Error("out of memory"));
    const { device, moved } = start();
    const reported: string[] = [];
    const report = ({ doing }: { doing: string }): unknown => reported.at(-1) !== doing && reported.push(doing);
    const { raster } = await device.fill(image, mask, { detail: "network", onProgress: report });
    expect(filledWith(raster).sort((a, b) => a - b)).toEqual([51, 204]);
    expect(moved).toEqual([{ backend: "wasm", threads: 2 }]);
    expect(device.engine).toEqual({ backend: "wasm", threads: 2 });
    expect(await device.load()).toEqual(device.engine);
    expect(reported).toEqual(["loading", "filling", "loading"]);
    expect(runtime.calls).toEqual(["release webgpu"]);
    expect(runtime.create.mock.calls.map(([backend, threads]) => [backend, threads] as unknown)).toEqual([
      ["webgpu", 1],
      ["wasm", 2],
    ]);

    const again = await device.fill(image, mask, { detail: "network" });
    expect(filledWith(again.raster)).toEqual([204, 204]);
    expect([runtime.webgpu.mock.calls.length, runtime.wasm.mock.calls.length]).toEqual([2, 3]);
    expect(moved.length).toBe(1);
  });

  it("does not wait for a device that is lost", async () => {
    let lose: (loss: { message: string }) => void = () => undefined;
    const lost = new Promise((resolve) => (lose = resolve));
    runtime.create.mockImplementation((_backend, _threads, env: Env) => {
      env.webgpu.device = { lost };
    });
    runtime.webgpu.mockImplementation(() => {
      lose({ message: "driver reset" });
      return new Promise(() => undefined);
    });
    const { device, moved } = start();
    const { raster } = await device.fill(image, mask, { detail: "network" });
    expect(filledWith(raster)).toEqual([204, 204]);
    expect(moved).toEqual([{ backend: "wasm", threads: 2 }]);
  });

  it("says what is wrong where WebAssembly fails as well, and tries again the next time", async () => {
    runtime.webgpu.mockRejectedValue(new Error("broken"));
    runtime.wasm.mockRejectedValueOnce(new Error("no memory"));
    const { device } = start();
    await expect(device.fill(image, mask, { detail: "network" })).rejects.toThrow("no memory");
    expect(filledWith((await device.fill(image, mask, { detail: "network" })).raster)).toEqual([204, 204]);
  });

  it("passes WebGPU over where the network does not load on it", async () => {
    runtime.create.mockImplementationOnce(() => {
      throw new Error("no float16");
    });
    const { device, moved } = start();
    expect(await device.load()).toEqual({ backend: "wasm", threads: 2 });
    expect(moved).toEqual([]);
  });

  it("continues with WebAssembly where the answer holds no numbers", async () => {
    runtime.webgpu.mockImplementationOnce(painting(0.2)).mockImplementationOnce(painting(NaN));
    const { device, moved } = start();
    const { raster } = await device.fill(image, mask, { detail: "network" });
    expect(filledWith(raster).sort((a, b) => a - b)).toEqual([51, 204]);
    expect(moved).toEqual([{ backend: "wasm", threads: 2 }]);
  });

  it.each([
    ["changes what is known", async (image: Float32Array) => (await continuing(image)).map((value) => value + 0.01)],
    ["fills with nothing", async (image: Float32Array) => image],
    ["swaps rows and columns", async (image: Float32Array) => (await continuing(image)).reverse()],
    ["answers no numbers", painting(NaN)],
  ])("passes WebGPU over where it %s in a trial", async (_how, answer) => {
    runtime.trial.mockImplementation(answer);
    const { device, moved } = start();
    expect(await device.load()).toEqual({ backend: "wasm", threads: 2 });
    expect(moved).toEqual([]);
    expect(runtime.calls).toEqual(["release webgpu"]);
    await expect(start({ backend: "webgpu" }).device.load()).rejects.toThrow();
  });

  it("passes WebGPU over where the trial has no end", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    runtime.trial.mockReturnValue(new Promise(() => undefined));
    const { device } = start();
    const loading = device.load();
    await vi.waitFor(() => expect(runtime.trial).toHaveBeenCalled());
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await loading).toEqual({ backend: "wasm", threads: 2 });
  });

  it("is held to a backend that was asked for by name", async () => {
    runtime.webgpu.mockRejectedValue(new Error("broken"));
    const { device, moved } = start({ backend: "webgpu" });
    await expect(device.fill(image, mask, { detail: "network" })).rejects.toThrow("broken");
    expect(moved).toEqual([]);
    expect(await start({ backend: "wasm", threads: 1 }).device.load()).toEqual({ backend: "wasm", threads: 1 });
  });
});

describe("a fill that was stopped", () => {
  const later = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);
  const stopAt = async (device: Device, run: () => number): Promise<void> => {
    const stop = new AbortController();
    const stopped = device.fill(image, mask, { detail: "network", signal: stop.signal });
    stopped.catch(() => undefined);
    const before = run();
    for (let i = 0; run() === before && i < 1000; i++) await later(10);
    stop.abort(new Error("enough"));
    await expect(stopped).rejects.toThrow("enough");
  };

  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));

  it("ends at the next run, and leaves the worker alone", async () => {
    runtime.wasm.mockImplementation(async (image: Float32Array) => {
      await new Promise((resolve) => setTimeout(resolve, 5000));
      return painting(0.8)(image);
    });
    const { device } = start({ backend: "wasm" });
    await stopAt(device, () => runtime.wasm.mock.calls.length);
    await later(30_000);
    expect(runtime.wasm).toHaveBeenCalledTimes(1);
    expect(runtime.calls).toEqual([]);
    const again = device.fill(image, mask, { detail: "network" });
    await later(30_000);
    expect(filledWith((await again).raster)).toEqual([204, 204]);
    expect(runtime.create).toHaveBeenCalledTimes(1);
  });

  it("is ended with its worker where it never answers; what waits behind it is filled by WebAssembly", async () => {
    runtime.webgpu.mockReturnValue(new Promise(() => undefined));
    const { device, moved } = start();
    await stopAt(device, () => runtime.webgpu.mock.calls.length);
    const next = device.fill(image, mask, { detail: "network" });
    await later(9_900);
    expect(runtime.calls).toEqual([]);
    await later(200);
    expect(runtime.calls).toEqual(["terminate"]);
    for (let i = 0; moved.length === 0 && i < 1000; i++) await later(10);
    await later(1000);
    expect(filledWith((await next).raster)).toEqual([204, 204]);
    expect(moved).toEqual([{ backend: "wasm", threads: 2 }]);
    expect(device.engine).toEqual({ backend: "wasm", threads: 2 });
  });
});

it("keeps trying to recover as long as there is nothing to continue with", async () => {
  const network = (run: LoadedNetwork["run"]): LoadedNetwork => ({
    multiple: 16,
    coarseLevels: 3,
    backend: "wasm",
    threads: 1,
    run,
    release: async () => undefined,
  });
  const broken = network(() => Promise.reject(new Error("lost")));
  const other = vi
    .fn()
    .mockRejectedValueOnce(new Error("no connection"))
    .mockResolvedValue(network(painting(1)));
  const moved = vi.fn();
  const recovering = new RecoveringNetwork(broken, other, moved);
  const crop = [new Float32Array(3), new Float32Array(1), { width: 1, height: 1 }] as const;
  await expect(recovering.run(...crop)).rejects.toThrow("no connection");
  expect(moved).not.toHaveBeenCalled();
  expect(await recovering.run(...crop)).toEqual(Float32Array.of(1, 1, 1));
  expect(moved).toHaveBeenCalledOnce();
});

it("reports beforehand how a network is to run", async () => {
  expect(await expectedEngine({})).toEqual({ backend: "webgpu", threads: 1 });
  expect(await expectedEngine({ backend: "wasm" })).toEqual({ backend: "wasm", threads: 2 });
  expect(await expectedEngine({ backend: "wasm", threads: 5 })).toEqual({ backend: "wasm", threads: 5 });
  vi.stubGlobal("navigator", { hardwareConcurrency: 16 });
  expect(await expectedEngine({})).toEqual({ backend: "wasm", threads: 8 });
  vi.stubGlobal("crossOriginIsolated", false);
  expect(await expectedEngine({})).toEqual({ backend: "wasm", threads: 1 });
});
