/** The worker that loads and runs the network, so that the page never waits for it. */

import type { Raster } from "../picture/raster";
import { fetchBytes, gunzip } from "./download";
import { networkUrls, transferBytes } from "./files";
import { inpaint, workload } from "./inpaint";
import { type Backend, type Engine, type LoadedNetwork, availableThreads, hasWebGpu, loadNetwork } from "./network";
import type { Mask } from "./planes";

export interface Options {
  /** The folder of the page or package, whose files are loaded. */
  readonly base: string;
  /** Instead of what the browser turns out to have. */
  readonly backend?: Backend;
  readonly threads?: number;
}

export type Order =
  | { readonly kind: "load"; readonly id: number; readonly options: Options }
  | {
      readonly kind: "fill";
      readonly id: number;
      readonly picture: Raster;
      readonly mask: Mask;
      readonly grain: boolean;
    }
  | { readonly kind: "stop"; readonly id: number };

export type Report =
  | { readonly kind: "progress"; readonly id: number; readonly share: number }
  | { readonly kind: "loaded"; readonly id: number; readonly engine: Engine }
  | { readonly kind: "filled"; readonly id: number; readonly raster: Raster }
  | { readonly kind: "failed"; readonly id: number; readonly reason: string };

/** A worker as seen from inside; TypeScript keeps that type in a library that excludes the page's. */
const scope = self as unknown as Pick<Worker, "addEventListener"> & {
  postMessage(report: Report, transfer?: Transferable[]): void;
};

class Stopped extends Error {}

let network: LoadedNetwork | null = null;
const stopped = new Set<number>();
/** Orders are carried out one after the other. */
let last: Promise<void> = Promise.resolve();

scope.addEventListener("message", ({ data: order }: MessageEvent<Order>) => {
  if (order.kind === "stop") {
    stopped.add(order.id);
    return;
  }
  last = last.then(() =>
    (order.kind === "load" ? load(order) : fill(order)).catch((error: unknown) => {
      if (error instanceof Stopped) return;
      const reason = error instanceof Error ? error.message : String(error);
      scope.postMessage({ kind: "failed", id: order.id, reason });
    }),
  );
});

async function load({ id, options }: Extract<Order, { kind: "load" }>): Promise<void> {
  network ??= await firstThatWorks(id, options);
  const { backend, threads } = network;
  scope.postMessage({ kind: "loaded", id, engine: { backend, threads } });
}

async function firstThatWorks(id: number, options: Options): Promise<LoadedNetwork> {
  const threads = options.threads ?? availableThreads();
  const backend = options.backend ?? ((await hasWebGpu()) ? "webgpu" : "wasm");
  if (backend === "webgpu") {
    try {
      return await fetchAndLoad(id, options.base, "webgpu", 1);
    } catch (error) {
      // A driver that promises more than it holds, or a file that is not there offline: the processor always works.
      if (options.backend) throw error;
    }
  }
  return fetchAndLoad(id, options.base, "wasm", threads);
}

async function fetchAndLoad(id: number, base: string, backend: Backend, threads: number): Promise<LoadedNetwork> {
  const urls = networkUrls(base, backend);
  const total = transferBytes(backend);
  const counts = [0, 0];
  const counted = (which: 0 | 1) => (bytes: number) => {
    counts[which] = bytes;
    scope.postMessage({ kind: "progress", id, share: Math.min((counts[0] + counts[1]) / total, 1) });
  };
  const [model, binary] = await Promise.all([
    fetchBytes(urls.model, counted(0)),
    fetchBytes(urls.binary, counted(1)).then(gunzip),
  ]);
  return loadNetwork(model, { loader: urls.loader, binary }, backend, threads);
}

async function fill({ id, picture, mask, grain }: Extract<Order, { kind: "fill" }>): Promise<void> {
  if (!network) throw new Error("the network is not loaded");
  const total = workload(mask);
  const step = async (done: number): Promise<void> => {
    // A pause, in which an order to stop can arrive.
    await new Promise((resolve) => setTimeout(resolve));
    if (stopped.delete(id)) throw new Stopped();
    scope.postMessage({ kind: "progress", id, share: Math.min(done / total, 1) });
  };
  const raster = await inpaint(picture, mask, { network, grain, step });
  stopped.delete(id);
  scope.postMessage({ kind: "filled", id, raster }, [raster.data.buffer]);
}
