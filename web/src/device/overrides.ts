import type { Preferences } from "./network";

/**
 * What the address of the page, or of the module, says in place of what the browser turns out to have:
 * `?backend=wasm&threads=1`, for comparisons and for broken drivers.
 */
export function overrides(address: string): Preferences {
  const query = new URL(address).searchParams;
  const backend = query.get("backend");
  const threads = Number(query.get("threads"));
  return {
    ...((backend === "wasm" || backend === "webgpu") && { backend }),
    ...(Number.isInteger(threads) && threads > 0 && { threads }),
  };
}
