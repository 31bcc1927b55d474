import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./", // relative URLs: the page also works below a sub-path
  build: {
    outDir: "../src/wavepaint/server/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // data: URLs would need a looser content security policy
  },
  worker: { format: "es" },
  test: { include: ["tests/**/*.test.ts"], testTimeout: 30_000 },
});
