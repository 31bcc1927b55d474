/** Vite's part in the static site; `wavepaint site` does the same in Python (src/wavepaint/server/site.py). */

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** ONNX Runtime's builds that are used, by backend; the others stay out. */
const BUILDS = { wasm: "ort-wasm-simd-threaded", webgpu: "ort-wasm-simd-threaded.asyncify" } as const;
const MODEL = new URL("../../src/wavepaint/weights/default.onnx", import.meta.url);
const DETECTOR = new URL("../../src/wavepaint/weights/damage.onnx", import.meta.url);
/** Of ONNX Runtime, which must travel with it. */
const LICENSES = new URL("../licenses/", import.meta.url);
const LICENSE = new URL("../../LICENSE", import.meta.url);
/** The page's note of the server it belongs to, which a static site is without. */
const SERVER_NOTE = /^\s*<meta name="wavepaint-server".*\n/m;

const { resolve } = createRequire(import.meta.url);
const { version } = JSON.parse(
  readFileSync(resolve("onnxruntime-web/ort-wasm-simd-threaded.mjs").replace(/dist.*$/, "package.json"), "utf-8"),
) as { version: string };

const BEST = { level: constants.Z_BEST_COMPRESSION };

const packed = Object.entries(BUILDS).map(([backend, name]) => ({
  backend,
  loader: `assets/ort-${backend}-${version}.mjs`,
  loaderSource: readFileSync(resolve(`onnxruntime-web/${name}.mjs`)),
  binary: `assets/ort-${backend}-${version}.wasm.gz`,
  // Hosts seldom compress WebAssembly by themselves.
  binarySource: gzipSync(readFileSync(resolve(`onnxruntime-web/${name}.wasm`)), BEST),
}));

/** What src/device/files.ts declares. */
export const define = {
  __MODEL_BYTES__: statSync(MODEL).size,
  __RUNTIME__: Object.fromEntries(
    packed.map(({ backend, loader, binary, binarySource }) => [
      backend,
      { loader, binary, bytes: binarySource.length },
    ]),
  ),
};

/** Puts ONNX Runtime's loaders, its compressed binaries and its licences beside the page. */
export function runtimeFiles(): Plugin {
  return {
    name: "wavepaint-runtime",
    generateBundle() {
      for (const { loader, loaderSource, binary, binarySource } of packed) {
        this.emitFile({ type: "asset", fileName: loader, source: loaderSource });
        this.emitFile({ type: "asset", fileName: binary, source: binarySource });
      }
      this.emitFile({ type: "asset", fileName: "licenses/wavepaint-LICENSE.txt", source: readFileSync(LICENSE) });
      for (const name of readdirSync(LICENSES)) {
        this.emitFile({ type: "asset", fileName: `licenses/${name}`, source: readFileSync(new URL(name, LICENSES)) });
      }
    },
  };
}

/** Makes the built page a site of its own: with the network and a service worker that knows all files. */
export function staticSite(): Plugin {
  let folder = "";
  return {
    name: "wavepaint-site",
    configResolved: (config) => void (folder = join(config.root, config.build.outDir)),
    transformIndexHtml: (html) => html.replace(SERVER_NOTE, ""),
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "model.onnx", source: readFileSync(MODEL) });
      this.emitFile({ type: "asset", fileName: "damage.onnx.gz", source: gzipSync(readFileSync(DETECTOR), BEST) });
    },
    closeBundle() {
      const path = join(folder, "sw.js");
      const files = filesBelow(folder).filter((name) => name !== "sw.js");
      writeFileSync(path, `const SITE = ${JSON.stringify(manifest(folder, files))};\n${readFileSync(path, "utf-8")}`);
    },
  };
}

type Digests = Readonly<Record<string, string>>;

function manifest(folder: string, files: readonly string[]): { version: string; first: Digests; later: Digests } {
  const sha256 = (data: Uint8Array | string): string => createHash("sha256").update(data).digest("hex");
  const digests = files.map((name) => [name, sha256(readFileSync(join(folder, name)))] as const);
  const used = digests.filter(([name]) => !name.startsWith("licenses/"));
  const isRuntime = ([name]: readonly [string, string]): boolean => name.startsWith("assets/ort-");
  return {
    version: sha256(digests.map(([name, digest]) => `${name}\0${digest}\n`).join("")).slice(0, 16),
    first: Object.fromEntries(used.filter((entry) => !isRuntime(entry))),
    later: Object.fromEntries(used.filter(isRuntime)),
  };
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll("\\", "/"),
    )
    .sort();
