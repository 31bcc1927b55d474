import { networkUrls } from "./device/files";
import { type Backend, hasWebGpu } from "./device/network";

/**
 * Have a service worker keep the page and the network, so that both work without a network connection from now on.
 * `say` is told once, at the visit that did it. Without service workers (plain http) everything else still works.
 */
export async function keepForOffline(
  { base, backend }: { base: string; backend?: Backend },
  say: (words: string) => void,
): Promise<void> {
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
    const urls = networkUrls(base, backend ?? ((await hasWebGpu()) ? "webgpu" : "wasm"));
    const responses = await Promise.all([urls.loader, urls.binary].map((url) => fetch(url)));
    await Promise.all(responses.map((response) => response.arrayBuffer()));
    if (fresh && responses.every((response) => response.ok)) say("Ready: works without a connection from now on.");
  } catch {
    // Storage is full or blocked, or the connection broke: the next visit tries again.
  }
}
