import { encodeLike, encodePng, openMask, openPhoto, readPng } from "./codec";
import { expose } from "./rpc";

const codec = { encodeLike, encodePng, openMask, openPhoto, readPng };

export type Codec = typeof codec;

expose(self as unknown as Worker, codec);
