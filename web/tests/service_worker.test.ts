// The service worker with the browser's storage and a host played by others.
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const SCOPE = "https://here/editor/";
const CACHE = `wavepaint ${SCOPE} new`;
const PACKED = "assets/ort-wasm-1.wasm.gz";
const UNPACKED = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1);
const built: Readonly<Record<string, string>> = { "index.html": "<title>new</title>", "model.onnx": "network" };
const later: Readonly<Record<string, string>> = { "assets/ort-wasm-1.mjs": "loader", [PACKED]: "packed" };

const digests = (files: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, createHash("sha256").update(text).digest("hex")]),
  );

class FakeCache {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  full = false;

  async match(url: string): Promise<Response | undefined> {
    const bytes = this.files.get(url);
    return bytes && new Response(bytes);
  }

  async put(url: string, response: Response): Promise<void> {
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (this.full) throw new DOMException("full", "QuotaExceededError");
    this.files.set(url, bytes);
  }

  async keys(): Promise<{ url: string }[]> {
    return [...this.files.keys()].map((url) => ({ url }));
  }
}

/** All caches; `names` are those of the files in that of the new version. */
class FakeCaches {
  readonly all = new Map<string, FakeCache>();
  readonly keys = async (): Promise<string[]> => [...this.all.keys()];
  readonly delete = async (name: string): Promise<boolean> => this.all.delete(name);

  async open(name: string): Promise<FakeCache> {
    if (!this.all.has(name)) this.all.set(name, new FakeCache());
    return this.all.get(name) as FakeCache;
  }

  async match(url: string, { cacheName }: { cacheName: string }): Promise<Response | undefined> {
    return this.all.get(cacheName)?.match(url);
  }

  names(): string[] {
    return [...(this.all.get(CACHE)?.files.keys() ?? [])].map((url) => url.slice(SCOPE.length)).sort();
  }
}

let caches: FakeCaches;
/** What the host sends for a file, in turn; the last one again and again. */
let host: Record<string, (string | Uint8Array<ArrayBuffer>)[]>;
let asked: string[];
let listeners: Record<string, (event: object) => void>;
let claims: number;

beforeEach(async () => {
  caches = new FakeCaches();
  host = Object.fromEntries(Object.entries({ ...built, ...later }).map(([name, text]) => [name, [text]]));
  asked = [];
  listeners = {};
  claims = 0;
  vi.stubGlobal("SITE", { version: "new", first: digests(built), later: digests(later) });
  vi.stubGlobal("caches", caches);
  vi.stubGlobal("fetch", async (request: string | Request, { cache }: RequestInit = {}) => {
    const name = (typeof request === "string" ? request : request.url).slice(SCOPE.length);
    asked.push(`${name} ${cache ?? "as a page does"}`);
    const answers = host[name] ?? [];
    const body = answers.length > 1 ? answers.shift() : answers[0];
    return body === undefined ? new Response("", { status: 404 }) : new Response(body);
  });
  vi.stubGlobal("self", {
    registration: { scope: SCOPE },
    clients: { claim: async () => void claims++ },
    addEventListener: (type: string, listener: (event: object) => void) => (listeners[type] = listener),
  });
  vi.resetModules();
  await import("../src/service_worker");
});
afterEach(() => vi.unstubAllGlobals());

function install(): Promise<unknown> {
  let installed: Promise<unknown> = Promise.resolve();
  listeners.install({ waitUntil: (promise: Promise<unknown>) => (installed = promise) });
  return installed;
}

async function ask(name: string): Promise<Response> {
  let answer: Promise<Response> | undefined;
  listeners.fetch({
    request: new Request(SCOPE + name),
    respondWith: (response: Promise<Response>) => (answer = response),
  });
  if (!answer) throw new Error("left to the browser");
  return answer;
}

const order = (data: object): Promise<boolean> =>
  new Promise((resolve) => listeners.message({ data, ports: [{ postMessage: resolve }], waitUntil: () => undefined }));

const keep = (...names: string[]): Promise<boolean> => order({ keep: names.map((name) => SCOPE + name) });

describe("a version that is installed", () => {
  it("is kept as it was built", async () => {
    await install();
    expect(caches.names()).toEqual(Object.keys(built));
    expect(asked.sort()).toEqual(["index.html no-cache", "model.onnx no-cache"]);
  });

  it("is fetched past a cache that holds an older file", async () => {
    host["index.html"] = ["<title>old</title>", built["index.html"]];
    await install();
    expect(asked.filter((request) => request.startsWith("index"))).toEqual([
      "index.html no-cache",
      "index.html reload",
    ]);
    expect(await (await ask("index.html")).text()).toBe(built["index.html"]);
  });

  it("is refused while the folder is half updated", async () => {
    const old = await caches.open(`wavepaint ${SCOPE} old`);
    await old.put(`${SCOPE}index.html`, new Response("<title>old</title>"));
    host["index.html"] = ["<title>old</title>"];
    await expect(install()).rejects.toThrow("index.html: is not that of this version");
    expect(caches.names()).not.toContain("index.html");
    expect([...old.files.keys()]).toEqual([`${SCOPE}index.html`]);

    host["index.html"] = [built["index.html"]];
    await install();
    expect(caches.names()).toEqual(Object.keys(built));
  });

  it("takes over what has not changed, and every build of the runtime that was there", async () => {
    const old = await caches.open(`wavepaint ${SCOPE} old`);
    await old.put(`${SCOPE}model.onnx`, new Response(built["model.onnx"]));
    await old.put(`${SCOPE}assets/ort-wasm-0.mjs`, new Response("older loader"));
    await install();
    expect(caches.names()).toEqual([...Object.keys(later), ...Object.keys(built)].sort());
    expect(asked.some((request) => request.startsWith("model"))).toBe(false);
  });
});

it("serves open pages once one of them asks for it, and older files are gone by then", async () => {
  await caches.open(`wavepaint ${SCOPE} old`);
  await caches.open("of another program");
  await install();
  let activated: Promise<unknown> = Promise.resolve();
  listeners.activate({ waitUntil: (promise: Promise<unknown>) => (activated = promise) });
  await activated;
  expect(await caches.keys()).toEqual(["of another program", CACHE]);
  expect(claims).toBe(0);
  expect(await order({ claim: `${SCOPE}assets/index-of-another-version.js` })).toBe(false);
  expect(claims).toBe(0);
  expect(await order({ claim: `${SCOPE}assets/ort-wasm-1.mjs` })).toBe(true);
  expect(claims).toBe(1);
});

describe("builds of the runtime", () => {
  it("are kept when a page asks for it, once", async () => {
    expect(await keep(...Object.keys(later))).toBe(true);
    expect(caches.names()).toEqual(Object.keys(later).sort());
    expect(await keep(...Object.keys(later))).toBe(true);
    expect(asked.length).toBe(2);
  });

  it("may come unpacked, but not as something else", async () => {
    host[PACKED] = ["<title>not found</title>"];
    expect(await keep(PACKED)).toBe(false);
    host[PACKED] = [UNPACKED];
    expect(await keep(PACKED)).toBe(true);
    expect(await keep("assets/ort-wasm-2.mjs")).toBe(false);
  });
});

describe("full storage", () => {
  it("does not stand in the way of a page", async () => {
    (await caches.open(CACHE)).full = true;
    const response = await ask("model.onnx");
    expect(await response.text()).toBe(built["model.onnx"]);
    expect(response.headers.get("Cross-Origin-Embedder-Policy")).toBe("require-corp");
    expect(await keep(PACKED)).toBe(false);
  });

  it("that cannot even be read does not either", async () => {
    caches.match = () => Promise.reject(new DOMException("no", "SecurityError"));
    expect(await (await ask("model.onnx")).text()).toBe(built["model.onnx"]);
  });
});

it("leaves all other requests to the browser", async () => {
  await expect(ask("v1/inpaint")).rejects.toThrow("left to the browser");
  await expect(ask("../elsewhere.html")).rejects.toThrow("left to the browser");
});
