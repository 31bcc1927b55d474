/**
 * Keeps a static site working without a network after the first visit, and isolates it.
 *
 * The builder of a site writes `SITE` in front of this file, so that it changes, and the browser installs it anew,
 * whenever a file of the site does. Each version has a cache of its own; a page never sees files of two. A new version
 * takes over what has not changed, and is complete before the old one goes: who could work offline still can.
 */

declare const SITE: {
  readonly version: string;
  /** Files kept at the first visit, with the SHA-256 of each. */
  readonly first: Readonly<Record<string, string>>;
  /** Files kept once they are used, likewise: not every browser needs every build of the runtime. */
  readonly later: Readonly<Record<string, string>>;
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
const files = new Map(Object.entries({ ...SITE.first, ...SITE.later }));

/** What threads of WebAssembly need, and what not every host can send. */
const ISOLATION = {
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Opener-Policy": "same-origin",
};

scope.addEventListener("install", (event) => event.waitUntil(install()));

scope.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const old = (await cacheNames()).filter((name) => name !== cacheName);
      await Promise.all(old.map((name) => caches.delete(name)));
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener("fetch", (event) => {
  const name = nameOf(event.request);
  if (name !== null) event.respondWith(answer(name, event.request));
});

/** Keep the files of this version. Rejects where one is not to be had: the old version stays, and all that it keeps. */
async function install(): Promise<void> {
  const kept = await Promise.all((await cacheNames()).map((name) => caches.open(name)));
  const requests = (await Promise.all(kept.map((cache) => cache.keys()))).flat();
  const backends = new Set(requests.map(({ url }) => backendOf(url)));
  const later = Object.keys(SITE.later).filter((name) => backends.has(backendOf(urlOf(name))));
  const cache = await caches.open(cacheName);
  await Promise.all([...Object.keys(SITE.first), ...later].map((name) => keep(name, cache, kept)));
}

/** Put a file into a cache: from one of `kept` where it is the same, else from the host. */
async function keep(name: string, cache: Cache, kept: readonly Cache[]): Promise<void> {
  const url = urlOf(name);
  for (const other of kept) {
    const response = await other.match(url);
    if (response && (await sha256(response.clone())) === files.get(name)) return cache.put(url, response);
  }
  const response = await fetch(url, { cache: "no-cache" });
  if (response.status !== 200) throw new Error(`${name}: status ${response.status}`);
  await cache.put(url, response);
}

async function sha256(response: Response): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The caches of this site, of all versions. */
const cacheNames = async (): Promise<string[]> => (await caches.keys()).filter((name) => name.startsWith(prefix));

/** The backend that a file of the runtime is for, whatever version it has. */
const backendOf = (url: string): string | undefined => /\/assets\/ort-(\w+)-/.exec(url)?.[1];

/** The site's file that a request is for; null for all others. */
function nameOf({ method, url }: Request): string | null {
  const { origin, pathname } = new URL(url);
  const address = origin + pathname;
  if (method !== "GET" || !address.startsWith(scope.registration.scope)) return null;
  const name = address.slice(scope.registration.scope.length) || "index.html";
  return files.has(name) ? name : null;
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
