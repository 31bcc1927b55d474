/** The network in ONNX Runtime Web: with WebGPU where the browser has it, else on the processor through WebAssembly. */

import type * as Ort from "onnxruntime-web/wasm";
import type { Size } from "../geometry";
import { area } from "../geometry";
import type { Network } from "./inpaint";
import type { Detector } from "./damage";
import { traitsOf } from "./model_file";

export type Backend = "webgpu" | "wasm";

/** How a network runs here, for people to read. */
export interface Engine {
  readonly backend: Backend;
  readonly threads: number;
}

/** Instead of what the browser turns out to have. */
export interface Preferences {
  readonly backend?: Backend;
  readonly threads?: number;
}

/** What ONNX Runtime needs of one of its builds. */
export interface RuntimeFiles {
  /** Address of its loader, which threads load too. */
  readonly loader: string;
  readonly binary: Uint8Array;
}

export interface LoadedNetwork extends Network, Engine {
  /** Give its memory back; it cannot run any more. Never rejects. */
  release(): Promise<void>;
}

/** More threads than these gain little on crops of this size. */
const MAX_THREADS = 8;

/** Threads for WebAssembly: more than one need shared memory, which browsers give to cross-origin isolated pages. */
export function availableThreads(): number {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.min(Math.max(navigator.hardwareConcurrency, 1), MAX_THREADS);
}

/** Whether the browser has WebGPU and finds a graphics processor that is not just software. */
export async function hasWebGpu(): Promise<boolean> {
  try {
    const gpu = (navigator as Navigator & { gpu?: { requestAdapter(): Promise<Adapter | null> } }).gpu;
    const adapter = await gpu?.requestAdapter();
    return !!adapter && !(adapter.info?.isFallbackAdapter ?? false);
  } catch {
    return false;
  }
}

/** How a network is to run here. The graphics processor may still turn out not to hold what it promises. */
export async function expectedEngine({ backend, threads }: Preferences): Promise<Engine> {
  if ((backend ?? ((await hasWebGpu()) ? "webgpu" : "wasm")) === "webgpu") return { backend: "webgpu", threads: 1 };
  return { backend: "wasm", threads: threads ?? availableThreads() };
}

interface Adapter {
  readonly info?: { readonly isFallbackAdapter?: boolean };
}

/** Load a network. Throws where the backend does not work here, or the model is none of ours. */
export async function loadNetwork(
  model: Uint8Array,
  files: RuntimeFiles,
  backend: Backend,
  threads: number,
): Promise<LoadedNetwork> {
  const traits = traitsOf(model);
  const ort = await runtimeOf(backend);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: files.loader };
  ort.env.wasm.wasmBinary = files.binary;
  const session = await ort.InferenceSession.create(model, sessionOptions(backend));
  // A lost device may leave a run waiting for ever.
  const lost = backend === "webgpu" ? lossOf(await (ort.env.webgpu.device as Promise<Gpu | undefined>)) : NEVER;
  const run = async (image: Float32Array, mask: Float32Array, { width, height }: Size): Promise<Float32Array> => {
    const feeds = {
      image: new ort.Tensor("float32", image, [1, 3, height, width]),
      mask: new ort.Tensor("float32", mask, [1, 1, height, width]),
    };
    const answered = session.run(feeds).then(({ filled }) => filled.getData());
    const data = (await Promise.race([answered, lost])) as Float32Array;
    if (data.length !== 3 * area({ width, height })) throw new Error("the network's answer has another size");
    // Drivers that compute wrongly do so without a word.
    if (!data.every(Number.isFinite)) throw new Error("the network's answer holds values that are no numbers");
    return data;
  };
  const release = (): Promise<void> => session.release().catch(() => undefined);
  return { ...traits, backend, threads, run, release };
}

/** Load a network that finds damage, in a backend in which another network is loaded. */
export async function loadDetector(model: Uint8Array, backend: Backend): Promise<Detector> {
  const { multiple } = traitsOf(model);
  const ort = await runtimeOf(backend);
  // In its own layout ONNX Runtime Web 1.30 computes transposed convolutions in groups wrongly on graphics processors.
  const provider = backend === "webgpu" ? ({ name: backend, preferredLayout: "NCHW" } as const) : backend;
  const session = await ort.InferenceSession.create(model, sessionOptions(provider));
  const run = async (image: Float32Array, { width, height }: Size): Promise<Float32Array> => {
    const { damage } = await session.run({ image: new ort.Tensor("float32", image, [1, 3, height, width]) });
    return (await damage.getData()) as Float32Array;
  };
  return { multiple, run };
}

const runtimeOf = (backend: Backend): Promise<typeof Ort> =>
  backend === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm");

const sessionOptions = (
  provider: Ort.InferenceSession.ExecutionProviderConfig,
): Ort.InferenceSession.SessionOptions => ({
  executionProviders: [provider],
  logSeverityLevel: 3,
  // A waiting thread that spins takes a core from everything else, the page included.
  extra: { session: { intra_op: { allow_spinning: "0" } } },
});

interface Gpu {
  readonly lost: Promise<{ readonly message: string }>;
}

const NEVER = new Promise<never>(() => undefined);

/** Rejects once a device is lost: its driver crashed, the computer slept, or another page took it. */
function lossOf(device: Gpu | undefined): Promise<never> {
  if (!device) return NEVER;
  const lost = device.lost.then(({ message }) => {
    throw new Error(`the graphics processor is lost: ${message}`);
  });
  // Nobody may be waiting when it happens; the next run learns of it.
  lost.catch(() => undefined);
  return lost;
}
