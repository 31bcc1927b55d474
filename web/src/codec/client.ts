import { type Remote, remote } from "./rpc";
import type { Codec } from "./worker";

export type RemoteCodec = Remote<Codec>;

/** The codec, running in a worker of its own. */
export function startCodec(): RemoteCodec {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return remote<Codec>(worker, ["encodeLike", "encodePng", "openMask", "openImage", "readPng"]);
}
