/**
 * Keeps a static site working without a network after the first visit, and isolates it.
 *
 * The builder of a site writes `SITE` in front of this file, so that it changes, and the browser installs it anew,
 * whenever a file of the site does. Each version has a cache of its own; a page never sees files of two. A new version
 * takes over what has not changed, and is complete before the old one goes: who could work offline still can.
 */

import type { OfflineOrder } from "./offline";

declare const SITE: {
  readonly version: string;
  /** Files kept at the first visit, with the SHA-256 of each. */
  readonly first: Readonly<Record<string, string>>;
  /** Files kept once a page asks for it, likewise: not every browser needs every build of the runtime. */
  readonly later: Readonly<Record<string, string>>;
};

interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: "install" | "activate", listener: (event: Waitable) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetch) => void): void;
  addEventListener(type: "message", listener: (event: Order) => void): void;
}
interface Waitable {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetch extends Waitable {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

/** A page's order; the port gets whether it has been carried out. */
interface Order extends Waitable {
  readonly data: OfflineOrder;
  readonly ports: readonly MessagePort[];
}

const scope = self as unknown as Scope;
const prefix = `wavepaint ${scope.registration.scope} `;
const cacheName = prefix + SITE.version;
const files = new Map(Object.entries({ ...SITE.first, ...SITE.later }));

/** How every WebAssembly file begins. */
const WASM = [0, 0x61, 0x73, 0x6d];

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
    })(),
  );
});

scope.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const name = method === "GET" ? nameOf(url) : null;
  if (name !== null) event.respondWith(answer(name, event.request));
});

scope.addEventListener("message", (event) => {
  const answer = (success: boolean): void => event.ports[0].postMessage(success);
  const { data } = event;
  const done = "claim" in data ? claim(data.claim) : keepToo(data.keep);
  event.waitUntil(
    done.then(
      () => answer(true),
      () => answer(false),
    ),
  );
});

/** Keep the files of this version. Rejects where one is not to be had: the old version stays, and all that it keeps. */
async function install(): Promise<void> {
  const older = await Promise.all((await cacheNames()).map((name) => caches.open(name)));
  const requests = (await Promise.all(older.map((cache) => cache.keys()))).flat();
  const backends = new Set(requests.map(({ url }) => backendOf(url)));
  const later = Object.keys(SITE.later).filter((name) => backends.has(backendOf(urlOf(name))));
  const cache = await caches.open(cacheName);
  await Promise.all([...Object.keys(SITE.first), ...later].map((name) => keep(name, cache, older)));
}

/** Serve the open pages. Rejects where the one that asks is of another version: files of two would be mixed in it. */
async function claim(script: string): Promise<void> {
  if (nameOf(script) === null) throw new Error(`${script}: is not of this version`);
  await scope.clients.claim();
}

/** Keep files that are not kept yet. Rejects where one is not to be had, or storage is full. */
async function keepToo(urls: readonly string[]): Promise<void> {
  const cache = await caches.open(cacheName);
  await Promise.all(
    urls.map(async (url) => {
      const name = nameOf(url);
      if (name === null) throw new Error(`${url}: is not of this version`);
      if (!(await cache.match(urlOf(name)))) await keep(name, cache, []);
    }),
  );
}

/** Put a file into a cache: from one of `older` where it is the same, else from the host. */
async function keep(name: string, cache: Cache, older: readonly Cache[]): Promise<void> {
  const url = urlOf(name);
  for (const other of older) {
    const response = await other.match(url);
    if (response && (await sha256(await response.clone().arrayBuffer())) === files.get(name)) {
      return cache.put(url, response);
    }
  }
  // The second time past every cache that the browser knows of: one may hold the file of another version.
  for (const mode of ["no-cache", "reload"] as const) {
    const response = await fetch(url, { cache: mode });
    if (response.status !== 200) throw new Error(`${name}: status ${response.status}`);
    if (await isIntact(name, response.clone())) return cache.put(url, response);
  }
  throw new Error(`${name}: is not that of this version`);
}

/** Whether a response holds the file that the builder of the site saw. */
async function isIntact(name: string, response: Response): Promise<boolean> {
  const bytes = await response.arrayBuffer();
  return (await sha256(bytes)) === files.get(name) || isUnpacked(name, new Uint8Array(bytes));
}

/**
 * Whether a host has unpacked a file on the way, as some do with a header that makes the browser do it: then there is
 * no digest to compare it with. Its name holds the version of what is in it.
 */
const isUnpacked = (name: string, bytes: Uint8Array): boolean =>
  name.endsWith(".wasm.gz") && WASM.every((byte, i) => bytes[i] === byte);

async function sha256(bytes: ArrayBuffer): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The caches of this site, of all versions. */
const cacheNames = async (): Promise<string[]> => (await caches.keys()).filter((name) => name.startsWith(prefix));

/** The backend that a file of the runtime is for, whatever version it has. */
const backendOf = (url: string): string | undefined => /\/assets\/ort-(\w+)-/.exec(url)?.[1];

/** The site's file at an address; null for all others. */
function nameOf(url: string): string | null {
  const { origin, pathname } = new URL(url);
  const address = origin + pathname;
  if (!address.startsWith(scope.registration.scope)) return null;
  const name = address.slice(scope.registration.scope.length) || "index.html";
  return files.has(name) ? name : null;
}

/** The file that is kept, else the host's: as it comes, for full storage must not stand in the way of a page. */
async function answer(name: string, request: Request): Promise<Response> {
  const cached = await caches.match(urlOf(name), { cacheName }).catch(() => undefined);
  return isolated(cached ?? (await fetch(request)));
}

/** With the headers; built anew, as a response that was redirected (`/index.html` to `/`) is refused for a page. */
function isolated(response: Response): Response {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

const urlOf = (name: string): string => new URL(name, scope.registration.scope).href;
