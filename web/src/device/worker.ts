/** The worker that loads and runs the network, so that the page never waits for it. */

import type { Raster } from "../image/raster";
import { fetchBytes, gunzip } from "./download";
import { type Finding } from "../fill/finder";
import { type Detector, findDamage } from "./damage";
import { damageUrl, networkUrls, transferBytes } from "./files";
import { inpaint, workload } from "./inpaint";
import {
  type Engine,
  type LoadedNetwork,
  type Preferences,
  expectedEngine,
  loadDetector,
  loadNetwork,
} from "./network";
import type { DetailOptions } from "./options";
import type { Mask } from "./planes";
import type { Progress } from "../progress";
import { RecoveringNetwork } from "./recovery";
import { tryOut } from "./trial";

/** How long a graphics processor may take for its trial, shaders to be compiled included. */
const TRIAL_MILLISECONDS = 20_000;
/** How long the worker may be deaf between two steps of a fill that are short. */
const PAUSE_MILLISECONDS = 50;

export interface Options extends Preferences {
  /** The folder of the page or package, whose files are loaded. */
  readonly base: string;
}

export type Order =
  | { readonly kind: "load"; readonly id: number; readonly options: Options }
  | {
      readonly kind: "fill";
      readonly id: number;
      readonly image: Raster;
      readonly mask: Mask;
      readonly options: DetailOptions;
    }
  | {
      readonly kind: "find";
      readonly id: number;
      readonly image: Raster;
      readonly base: string;
      readonly finding: Finding;
    }
  | { readonly kind: "stop"; readonly id: number };

export type Report =
  | { readonly kind: "progress"; readonly id: number; readonly progress: Progress }
  | { readonly kind: "loaded"; readonly id: number; readonly engine: Engine }
  | { readonly kind: "filled"; readonly id: number; readonly raster: Raster; readonly seconds: number }
  | { readonly kind: "damage"; readonly id: number; readonly damage: Uint8Array }
  | { readonly kind: "failed"; readonly id: number; readonly reason: string }
  /** An order has ended because it was to stop. */
  | { readonly kind: "stopped"; readonly id: number }
  /** In the middle of an order the network has failed, and another one continues it. */
  | { readonly kind: "moved"; readonly id: number; readonly engine: Engine };

/** A worker as seen from inside; TypeScript keeps that type in a library that excludes the page's. */
const scope = self as unknown as Pick<Worker, "addEventListener"> & {
  postMessage(report: Report, transfer?: Transferable[]): void;
};

class Stopped extends Error {}

let network: LoadedNetwork | null = null;
let detector: Detector | null = null;
/** The order that is being carried out. */
let current = -1;
const stopped = new Set<number>();
/** Orders are carried out one after the other. */
let last: Promise<void> = Promise.resolve();

scope.addEventListener("message", ({ data: order }: MessageEvent<Order>) => {
  if (order.kind === "stop") {
    stopped.add(order.id);
    return;
  }
  last = last.then(async () => {
    current = order.id;
    try {
      await (order.kind === "load" ? load(order) : order.kind === "find" ? find(order) : fill(order));
    } catch (error) {
      if (error instanceof Stopped) {
        scope.postMessage({ kind: "stopped", id: order.id });
        return;
      }
      const reason = error instanceof Error ? error.message : String(error);
      scope.postMessage({ kind: "failed", id: order.id, reason });
    }
  });
});

async function load({ id, options }: Extract<Order, { kind: "load" }>): Promise<void> {
  network ??= await firstThatWorks(options);
  const { backend, threads } = network;
  scope.postMessage({ kind: "loaded", id, engine: { backend, threads } });
}

async function firstThatWorks(options: Options): Promise<LoadedNetwork> {
  const engine = await expectedEngine(options);
  const { base } = options;
  if (engine.backend === "wasm") return fetchAndLoad(base, engine);
  const onGraphics = async (limit: number): Promise<LoadedNetwork> => {
    const loaded = await fetchAndLoad(base, engine, limit);
    try {
      await within(limit, tryOut(loaded));
    } catch (error) {
      void loaded.release(); // not awaited: it may never answer
      throw error;
    }
    return loaded;
  };
  // Who asks for a backend by name wants that one or none, however slow.
  if (options.backend) return onGraphics(Infinity);
  const onProcessor = async (): Promise<LoadedNetwork> =>
    fetchAndLoad(base, await expectedEngine({ ...options, backend: "wasm" }));
  try {
    return new RecoveringNetwork(await onGraphics(TRIAL_MILLISECONDS), onProcessor, reportMove);
  } catch (error) {
    // A driver that promises more than it holds, or a file that is not there offline: the processor works.
    console.warn("WebGPU cannot be used", error);
    return onProcessor();
  }
}

/** The promise's outcome, unless it takes longer. */
function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  if (milliseconds === Infinity) return promise;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer for ${milliseconds / 1000} s`)), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function reportMove(engine: Engine, cause: unknown): void {
  console.warn("WebGPU has failed", cause);
  scope.postMessage({ kind: "moved", id: current, engine });
}

/** `limit`: milliseconds for what follows the download. */
async function fetchAndLoad(base: string, { backend, threads }: Engine, limit = Infinity): Promise<LoadedNetwork> {
  const urls = networkUrls(base, backend);
  const total = transferBytes([backend]);
  const counts = [0, 0];
  const counted = (which: 0 | 1) => (bytes: number) => {
    counts[which] = bytes;
    reportProgress({ doing: "loading", share: Math.min((counts[0] + counts[1]) / total, 1) });
  };
  const [model, binary] = await Promise.all([
    fetchBytes(urls.model, counted(0)),
    fetchBytes(urls.binary, counted(1)).then(gunzip),
  ]);
  return within(limit, loadNetwork(model, { loader: urls.loader, binary }, backend, threads));
}

const reportProgress = (progress: Progress): void => scope.postMessage({ kind: "progress", id: current, progress });

async function fill({ id, image, mask, options }: Extract<Order, { kind: "fill" }>): Promise<void> {
  if (!network) throw new Error("the network is not loaded");
  const total = workload(mask, network.coarseLevels, options.detail);
  const pause = pauses(id);
  const step = async (done: number): Promise<void> => {
    await pause();
    reportProgress({ doing: "filling", share: Math.min(done / total, 1) });
  };
  const started = performance.now();
  const raster = await inpaint(image, mask, { network, options, step });
  stopped.delete(id);
  const seconds = (performance.now() - started) / 1000;
  scope.postMessage({ kind: "filled", id, raster, seconds }, [raster.data.buffer]);
}

async function find({ id, image, base, finding }: Extract<Order, { kind: "find" }>): Promise<void> {
  if (!network) throw new Error("the network is not loaded");
  detector ??= await loadDetector(await gunzip(await fetchBytes(damageUrl(base))), network.backend);
  const pause = pauses(id);
  const damage = await findDamage(image, finding, detector, async (share) => {
    await pause();
    reportProgress({ doing: "looking", share });
  });
  stopped.delete(id);
  scope.postMessage({ kind: "damage", id, damage }, [damage.buffer]);
}

/** Pauses at times, in which an order to stop can arrive; throws `Stopped` after it. */
function pauses(id: number): () => Promise<void> {
  let paused = 0;
  return async () => {
    if (performance.now() - paused > PAUSE_MILLISECONDS) {
      await new Promise((resolve) => setTimeout(resolve));
      paused = performance.now();
    }
    if (stopped.delete(id)) throw new Stopped();
  };
}
