import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";
import { define, runtimeFiles, staticSite } from "./build/site.ts";

/** Entries that pages name; all others have a hash of their contents in their names. */
const PUBLIC = new Set(["wavepaint", "sw"]);

export default defineConfig(({ mode }) => ({
  base: "./", // relative URLs: the page also works below a sub-path
  define,
  plugins: [runtimeFiles(), ...(mode === "site" ? [staticSite()] : [])],
  // ONNX Runtime without its WebAssembly, which is there only once, and compressed.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  build: {
    outDir: mode === "site" ? "dist" : "../src/wavepaint/server/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // data: URLs would need a looser content security policy
    rollupOptions: {
      input: { index: "index.html", wavepaint: "src/package/index.ts", sw: "src/service_worker.ts" },
      preserveEntrySignatures: "exports-only",
      output: { entryFileNames: ({ name }) => (PUBLIC.has(name) ? "[name].js" : "assets/[name]-[hash].js") },
    },
  },
  worker: { format: "es" },
  test: { include: ["tests/**/*.test.ts"], testTimeout: 30_000 },
}));
