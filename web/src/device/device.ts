/** The network in this browser, as the page sees it. */

import type { Raster } from "../image/raster";
import type { Filled } from "../fill/filler";
import type { Finding } from "../fill/finder";
import type { Progress } from "../progress";
import * as loadingLock from "./loading_lock";
import type { Engine } from "./network";
import { DEFAULT_OPTIONS, type DetailOptions } from "./options";
import type { Mask } from "./planes";
import type { Options, Order, Report } from "./worker";

interface Waits {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface FillOptions extends Partial<DetailOptions>, Waits {}

/** How long the crop under way may continue after an order to stop: a graphics processor may never finish it. */
const STOP_MILLISECONDS = 10_000;

interface Waiting {
  progress(progress: Progress): void;
  resolve(report: Report): void;
  reject(error: Error): void;
}

/** The worker was ended in the middle of an order that nobody had stopped. */
class Interrupted extends Error {}

/** A worker with the network; both are loaded when they are first needed. */
export class Device {
  /** How the network runs here; null until it is loaded. */
  engine: Engine | null = null;
  /** Called when the network has failed in the middle of a fill, and runs differently from now on. */
  onMoved: (engine: Engine) => void = () => undefined;
  private worker: Worker | null = null;
  private loading: Promise<Engine> | null = null;
  private orders = 0;
  private readonly waiting = new Map<number, Waiting>();
  /** Timers of fills that were stopped and have not ended yet. */
  private readonly stopping = new Map<number, ReturnType<typeof setTimeout>>();
  /** Whether a graphics processor has not answered, and is to be left alone. */
  private hung = false;

  constructor(readonly options: Options) {}

  /** Load the network now. Rejects with an Error that can be shown; the next call tries again. */
  load(report: (progress: Progress) => void = () => undefined): Promise<Engine> {
    this.loading ??= this.startLoading(report).catch((error: unknown) => {
      this.loading = null;
      throw error;
    });
    return this.loading;
  }

  /** Fill the hole of an image. Rejects with the signal's reason when it is aborted, at once. */
  async fill(image: Raster, mask: Mask, options: FillOptions = {}): Promise<Filled> {
    const { signal, onProgress, ...asked } = options;
    const order = { kind: "fill", image, mask, options: { ...DEFAULT_OPTIONS, ...asked } } as const;
    const report = await this.done((id) => ({ ...order, id }), { signal, onProgress });
    const { raster, seconds } = report as Extract<Report, { kind: "filled" }>;
    return { raster, seconds };
  }

  /** Find the damage of an image: one byte per pixel, 1 = damage. Rejects as `fill` does. */
  async find(image: Raster, finding: Finding, options: Waits = {}): Promise<Uint8Array> {
    const { base } = this.options;
    const report = await this.done((id) => ({ kind: "find", id, image, base, finding }), options);
    return (report as Extract<Report, { kind: "damage" }>).damage;
  }

  /** What comes of an order; it is given again where the worker was ended meanwhile. */
  private async done(order: (id: number) => Order, { signal, onProgress }: Waits): Promise<Report> {
    for (;;) {
      signal?.throwIfAborted();
      let id: number | null = null;
      try {
        await unlessAborted(this.load(onProgress), signal);
        id = this.orders++;
        const report = this.send(order(id), (progress) => onProgress?.(progress));
        return await unlessAborted(report, signal);
      } catch (error) {
        if (signal?.aborted && id !== null) this.stop(id);
        if (!(error instanceof Interrupted)) throw error;
      }
    }
  }

  private async startLoading(report: (progress: Progress) => void): Promise<Engine> {
    report({ doing: "loading", share: 0 });
    const moves = this.hung && !this.options.backend;
    const options: Options = moves ? { ...this.options, backend: "wasm" } : this.options;
    const order: Order = { kind: "load", id: this.orders++, options };
    const answer = await loadingLock.load(() => this.send(order, report));
    this.engine = (answer as Extract<Report, { kind: "loaded" }>).engine;
    if (moves) this.onMoved(this.engine);
    return this.engine;
  }

  /** Have the worker leave a fill that nobody waits for any more; one that does not is ended. */
  private stop(id: number): void {
    // Without a worker, or with its answer on the way, there is nothing to stop.
    if (!this.waiting.delete(id)) return;
    this.worker?.postMessage({ kind: "stop", id } satisfies Order);
    const end = (): void => {
      this.hung ||= this.engine?.backend === "webgpu";
      this.endWorker(new Interrupted());
    };
    this.stopping.set(id, setTimeout(end, STOP_MILLISECONDS));
  }

  /** The next order starts another worker. */
  private endWorker(reason: Error): void {
    this.worker?.terminate();
    this.worker = this.loading = this.engine = null;
    for (const timer of this.stopping.values()) clearTimeout(timer);
    this.stopping.clear();
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(reason);
  }

  private send(order: Order, progress: (progress: Progress) => void): Promise<Report> {
    this.worker ??= this.startWorker();
    const { worker } = this;
    return new Promise((resolve, reject) => {
      this.waiting.set(order.id, { progress, resolve, reject });
      worker.postMessage(order);
    });
  }

  private startWorker(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }: MessageEvent<Report>) => {
      // What one that was ended had still sent is about orders that were given again.
      if (this.worker !== worker) return;
      if (data.kind === "moved") {
        this.engine = data.engine;
        this.loading = Promise.resolve(data.engine);
        this.onMoved(data.engine);
        return;
      }
      const waiting = this.waiting.get(data.id);
      if (data.kind === "progress") {
        waiting?.progress(data.progress);
        return;
      }
      clearTimeout(this.stopping.get(data.id));
      this.stopping.delete(data.id);
      this.waiting.delete(data.id);
      if (data.kind === "failed") waiting?.reject(new Error(data.reason));
      else waiting?.resolve(data);
    });
    worker.addEventListener("error", (event) => {
      // It could not start, or ran out of memory.
      event.preventDefault();
      this.endWorker(new Error("the network's worker failed"));
    });
    return worker;
  }
}

/** The promise's outcome, or the signal's reason as soon as it is aborted; what is under way continues. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
