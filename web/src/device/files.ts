/** Where the files of the network lie, and how many bytes they are: the build writes both down. */

import type { Backend } from "./network";

declare const __RUNTIME__: Readonly<Record<Backend, { loader: string; binary: string; bytes: number }>>;
declare const __MODEL_BYTES__: number;

export interface NetworkUrls {
  readonly model: string;
  readonly loader: string;
  readonly binary: string;
}

/** Of the network that finds damage, compressed. */
export const damageUrl = (base: string): string => new URL("damage.onnx.gz", base).href;

/** `base`: the folder of the page, or of the package. */
export function networkUrls(base: string, backend: Backend): NetworkUrls {
  const { loader, binary } = __RUNTIME__[backend];
  const url = (name: string): string => new URL(name, base).href;
  return { model: url("model.onnx"), loader: url(loader), binary: url(binary) };
}

/** Bytes of the network and of what runs it; nearly, where the model is another one than at the time of the build. */
export const transferBytes = (backends: readonly Backend[]): number =>
  backends.reduce((sum, backend) => sum + __RUNTIME__[backend].bytes, __MODEL_BYTES__);

/** The builds that a page keeps to work without a connection: a graphics processor may fail, or be gone another day. */
export const keptBackends = (backend: Backend): readonly Backend[] =>
  backend === "webgpu" ? ["webgpu", "wasm"] : ["wasm"];
