import { keptBackends, networkUrls } from "./device/files";
import * as loadingLock from "./device/loading_lock";
import { expectedEngine } from "./device/network";
import type { Options } from "./device/worker";

/** What a page asks of its service worker. */
export type OfflineOrder =
  /** To keep these files, too. */
  | { readonly keep: readonly string[] }
  /** To serve the pages that are open already, this one among them. */
  | { readonly claim: true };

/** How often a page looks whether the network has been loaded, and how long a load waits for a service worker. */
const LOOK_MILLISECONDS = 250;
const CLAIM_MILLISECONDS = 5000;

/**
 * Have a service worker keep the page and the network, so that both work without a network connection from now on.
 * `say` is told once, at the visit that did it. Without service workers (plain http) everything else still works.
 */
export async function keepForOffline(options: Options, say: (words: string) => void): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  try {
    const fresh = !(await navigator.serviceWorker.getRegistration())?.active;
    await navigator.serviceWorker.register("sw.js");
    const { active } = await navigator.serviceWorker.ready;
    if (fresh && active) await beServedBy(active);
    // A page that was loaded past its service worker (shift and reload) has none.
    const { controller } = navigator.serviceWorker;
    if (!controller) return;
    const { backend } = await expectedEngine(options);
    // One after the other: the first is the one that a fill may be waiting for.
    for (const kept of keptBackends(backend)) {
      const { loader, binary } = networkUrls(options.base, kept);
      if (!(await ask(controller, { keep: [loader, binary] }))) return;
    }
    if (fresh) say("Ready: works without a connection from now on.");
  } catch {
    // Storage is full or blocked, or the connection broke: the next visit tries again.
  }
}

async function beServedBy(worker: ServiceWorker): Promise<void> {
  const served = new Promise<unknown>((resolve) =>
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }),
  );
  const claim = async (): Promise<void> => {
    void ask(worker, { claim: true });
    await Promise.race([served, pause(CLAIM_MILLISECONDS)]);
  };
  while (!(await loadingLock.claim(claim))) await pause(LOOK_MILLISECONDS);
  await served;
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Whether the service worker has done it. */
function ask(worker: ServiceWorker, order: OfflineOrder): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<boolean>) => resolve(data);
    worker.postMessage(order, [port2]);
  });
}
