import { encodeLike, encodePng, openMask, openImage, readPng } from "./codec";
import { expose } from "./rpc";

const codec = { encodeLike, encodePng, openMask, openImage, readPng };

export type Codec = typeof codec;

expose(self as unknown as Worker, codec);
