import { keptBackends, networkUrls } from "./device/files";
import { expectedEngine } from "./device/network";
import type { Options } from "./device/worker";

/** What a page asks of its service worker: to keep these files, too. */
export interface KeepOrder {
  readonly keep: readonly string[];
}

/**
 * Have a service worker keep the page and the network, so that both work without a network connection from now on.
 * `say` is told once, at the visit that did it. Without service workers (plain http) everything else still works.
 */
export async function keepForOffline(options: Options, say: (words: string) => void): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  try {
    const fresh = !navigator.serviceWorker.controller;
    const controlled = fresh
      ? new Promise<unknown>((resolve) =>
          navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }),
        )
      : null;
    await navigator.serviceWorker.register("sw.js");
    await controlled;
    const { backend } = await expectedEngine(options);
    // One after the other: the first is the one that a fill may be waiting for.
    for (const kept of keptBackends(backend)) {
      const { loader, binary } = networkUrls(options.base, kept);
      if (!(await keep([loader, binary]))) return;
    }
    if (fresh) say("Ready: works without a connection from now on.");
  } catch {
    // Storage is full or blocked, or the connection broke: the next visit tries again.
  }
}

/** Whether the service worker has kept files. */
function keep(urls: readonly string[]): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<boolean>) => resolve(data);
    const order: KeepOrder = { keep: urls };
    // A page that was loaded past its service worker (shift and reload) has none.
    if (!navigator.serviceWorker.controller) resolve(false);
    else navigator.serviceWorker.controller.postMessage(order, [port2]);
  });
}
