import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

// After `npm run build:site && npm run build:types`, which `npm pack` runs by itself.
it.skipIf(!existsSync(`${ROOT}/dist/types`))("packs the site, the module and its types, and nothing else", () => {
  const [{ files }] = JSON.parse(
    execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: ROOT, encoding: "utf-8" }),
  ) as [{ files: { path: string; size: number }[] }];
  const names = files.map(({ path }) => path);
  const expected = [
    "README.md",
    "dist/index.html",
    "dist/model.onnx",
    "dist/sw.js",
    "dist/wavepaint.js",
    "package.json",
  ];
  expect(names).toEqual(expect.arrayContaining([...expected, "dist/types/package/index.d.ts"]));
  expect(names.filter((name) => name.startsWith("dist/licenses/")).length).toBe(5);
  expect(names.filter((name) => name.endsWith(".wasm"))).toEqual([]);
  expect(names.filter((name) => /^(src|tests|build)\//.test(name))).toEqual([]);
  expect(files.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(16e6);
});
