/** Where the files of the network lie, and how many bytes they are: the build writes both down. */

import type { Backend } from "./network";

declare const __RUNTIME__: Readonly<Record<Backend, { loader: string; binary: string; bytes: number }>>;
declare const __MODEL_BYTES__: number;

export interface NetworkUrls {
  readonly model: string;
  readonly loader: string;
  readonly binary: string;
}

/** `base`: the folder of the page, or of the package. */
export function networkUrls(base: string, backend: Backend): NetworkUrls {
  const { loader, binary } = __RUNTIME__[backend];
  const url = (name: string): string => new URL(name, base).href;
  return { model: url("model.onnx"), loader: url(loader), binary: url(binary) };
}

/** Bytes of the network and of what runs it; nearly, where the model is another one than at the time of the build. */
export const transferBytes = (backend: Backend): number => __MODEL_BYTES__ + __RUNTIME__[backend].bytes;
