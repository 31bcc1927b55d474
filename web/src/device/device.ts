/** The network in this browser, as the page sees it. */

import type { Raster } from "../picture/raster";
import type { Filled } from "../fill/filler";
import type { Progress } from "../progress";
import type { Engine } from "./network";
import type { Mask } from "./planes";
import type { Options, Order, Report } from "./worker";

export interface FillOptions {
  readonly grain?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly report?: ((progress: Progress) => void) | undefined;
}

interface Waiting {
  progress(progress: Progress): void;
  resolve(report: Report): void;
  reject(error: Error): void;
}

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

  constructor(readonly options: Options) {}

  /** Load the network now. Rejects with an Error that can be shown; the next call tries again. */
  load(report: (progress: Progress) => void = () => undefined): Promise<Engine> {
    this.loading ??= this.startLoading(report).catch((error: unknown) => {
      this.loading = null;
      throw error;
    });
    return this.loading;
  }

  /** Fill the hole of a picture. Rejects with the signal's reason when it is aborted, at once. */
  async fill(picture: Raster, mask: Mask, { grain = true, signal, report }: FillOptions = {}): Promise<Filled> {
    signal?.throwIfAborted();
    await unlessAborted(this.load(report), signal);
    const id = this.orders++;
    const order: Order = { kind: "fill", id, picture, mask, grain };
    const filled = this.send(order, (progress) => report?.(progress));
    try {
      const { raster, seconds } = (await unlessAborted(filled, signal)) as Extract<Report, { kind: "filled" }>;
      return { raster, seconds };
    } catch (error) {
      if (signal?.aborted) {
        this.waiting.delete(id);
        this.worker?.postMessage({ kind: "stop", id } satisfies Order);
      }
      throw error;
    }
  }

  private async startLoading(report: (progress: Progress) => void): Promise<Engine> {
    report({ doing: "loading", share: 0 });
    const order: Order = { kind: "load", id: this.orders++, options: this.options };
    const answer = await this.send(order, report);
    this.engine = (answer as Extract<Report, { kind: "loaded" }>).engine;
    return this.engine;
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
      if (data.kind === "moved") {
        this.engine = data.engine;
        this.loading = Promise.resolve(data.engine);
        this.onMoved(data.engine);
        return;
      }
      const waiting = this.waiting.get(data.id);
      if (!waiting) return;
      if (data.kind === "progress") {
        waiting.progress(data.progress);
        return;
      }
      this.waiting.delete(data.id);
      if (data.kind === "failed") waiting.reject(new Error(data.reason));
      else waiting.resolve(data);
    });
    worker.addEventListener("error", (event) => {
      // It could not start, or ran out of memory: the next order starts another one.
      event.preventDefault();
      worker.terminate();
      this.worker = this.loading = this.engine = null;
      for (const { reject } of this.waiting.values()) reject(new Error("the network's worker failed"));
      this.waiting.clear();
    });
    return worker;
  }
}

/** The promise's outcome, or the signal's reason as soon as it is aborted; what is under way goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
