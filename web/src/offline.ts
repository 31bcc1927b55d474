import { keptBackends, networkUrls } from "./device/files";
import * as loadingLock from "./device/loading_lock";
import { expectedEngine } from "./device/network";
import type { Options } from "./device/worker";

/** What a page asks of its service worker. */
export type OfflineOrder =
  /** To keep these files, too. */
  | { readonly keep: readonly string[] }
  /** To serve the pages that are open, of which this script of the one that asks must be of its version. */
  | { readonly claim: string };

/** How often a page looks whether the network has been loaded. */
const LOOK_MILLISECONDS = 250;
/** How long a service worker may take to serve the open pages; no network is loaded meanwhile. */
const CLAIM_MILLISECONDS = 10_000;

/**
 * Have a service worker keep the page and the network, so that both work without a network connection from now on.
 * `say` is called once, at the visit that did it. Without service workers (plain http) everything else still works.
 */
export async function keepForOffline(options: Options, say: (words: string) => void): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  const fresh = !serviceWorker.controller;
  const served = new Promise<void>((resolve) =>
    serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true }),
  );
  try {
    await serviceWorker.register("sw.js");
    const { active } = await serviceWorker.ready;
    if (!active || !(await beServedBy(active, served))) return;
    const { backend } = await expectedEngine(options);
    // One after the other: the first is the one that a fill may be waiting for.
    for (const other of keptBackends(backend)) {
      const { loader, binary } = networkUrls(options.base, other);
      if (!(await ask(active, { keep: [loader, binary] }))) return;
    }
    if (fresh) say("Ready: works without a connection from now on.");
  } catch {
    // Storage is full or blocked, or the connection broke: the next visit tries again.
  }
}

/** Whether it serves this page in the end. It refuses one of another version, loaded past it (shift and reload). */
async function beServedBy(worker: ServiceWorker, served: Promise<void>): Promise<boolean> {
  const isServed = (): boolean => navigator.serviceWorker.controller !== null;
  let granted = false;
  const claim = async (): Promise<void> => {
    granted = await inTime(ask(worker, { claim: import.meta.url }), false);
    if (granted) await inTime(served, undefined);
  };
  // Another page may be quicker.
  while (!isServed() && !(await loadingLock.claim(claim))) await pause(LOOK_MILLISECONDS);
  if (granted) await served;
  return isServed();
}

const inTime = <T>(promise: Promise<T>, otherwise: T): Promise<T> =>
  Promise.race([promise, pause(CLAIM_MILLISECONDS).then(() => otherwise)]);

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Whether the service worker has done it. */
function ask(worker: ServiceWorker, order: OfflineOrder): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<boolean>) => resolve(data);
    worker.postMessage(order, [port2]);
  });
}
