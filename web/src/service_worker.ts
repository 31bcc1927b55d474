/**
 * Keeps a static site working without a network after the first visit, and isolates it.
 *
 * The builder of a site writes `SITE` in front of this file, so that it changes, and the browser installs it anew,
 * whenever a file of the site does. Each version has a cache of its own; a page never sees files of two.
 */

declare const SITE: {
  readonly version: string;
  /** Files kept at the first visit. */
  readonly first: readonly string[];
  /** Files kept once they are used: only one build of the runtime fits a browser. */
  readonly later: readonly string[];
};

interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: "install" | "activate", listener: (event: Waitable) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetch) => void): void;
}
interface Waitable {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetch extends Waitable {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const scope = self as unknown as Scope;
const prefix = `wavepaint ${scope.registration.scope} `;
const cacheName = prefix + SITE.version;

/** What threads of WebAssembly need, and what not every host can send. */
const ISOLATION = {
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Opener-Policy": "same-origin",
};

scope.addEventListener("install", (event) => {
  const requests = SITE.first.map((name) => new Request(urlOf(name), { cache: "no-cache" }));
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(requests)));
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const old = (await caches.keys()).filter((name) => name.startsWith(prefix) && name !== cacheName);
      await Promise.all(old.map((name) => caches.delete(name)));
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener("fetch", (event) => {
  const name = nameOf(event.request);
  if (name !== null) event.respondWith(answer(name, event.request));
});

/** The site's file that a request is for; null for all others. */
function nameOf({ method, url }: Request): string | null {
  const { origin, pathname } = new URL(url);
  const address = origin + pathname;
  if (method !== "GET" || !address.startsWith(scope.registration.scope)) return null;
  const name = address.slice(scope.registration.scope.length) || "index.html";
  return SITE.first.includes(name) || SITE.later.includes(name) ? name : null;
}

async function answer(name: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(urlOf(name));
  if (kept) return isolated(kept);
  const response = await fetch(request);
  if (response.status === 200) await cache.put(urlOf(name), response.clone());
  return isolated(response);
}

/** With the headers; built anew, as a response that was redirected (`/index.html` to `/`) is refused for a page. */
function isolated(response: Response): Response {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

const urlOf = (name: string): string => new URL(name, scope.registration.scope).href;
