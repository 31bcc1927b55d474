/** How fast holes have been filled here, and so how long it will take. */

import type { Engine } from "../device/network";

/** Where and how a hole is filled: times on one thread say nothing about two, or about a graphics processor. */
export type PaceKey = "server" | "webgpu" | `wasm ${number}`;

/** Seconds for a megapixel of crops, as measured. */
export type Paces = Partial<Record<PaceKey, number>>;

/** Seconds for a megapixel of crops before anything has been measured: one core at WebAssembly; docs/site.md. */
const FIRST_GUESS = 9;
/** How much faster than one core of WebAssembly a graphics processor is taken to be before it is measured. */
const GPU_GAIN = 8;
/** Weight of the newest measurement in the running mean. */
const NEWEST = 0.5;
const MEGA = 1e6;

export const paceKeyOf = ({ backend, threads }: Engine): PaceKey =>
  backend === "webgpu" ? "webgpu" : `wasm ${threads}`;

/** What to expect of an engine that has not been measured. */
export const guessedPace = ({ backend, threads }: Engine): number =>
  FIRST_GUESS / (backend === "webgpu" ? GPU_GAIN : threads ** 0.8);

/** Let a measurement, of `pixels` of crops, into the paces. */
export function learnPace(paces: Paces, key: PaceKey, pixels: number, seconds: number): void {
  const pace = (seconds * MEGA) / Math.max(pixels, 1);
  const known = paces[key];
  paces[key] = known === undefined ? pace : (1 - NEWEST) * known + NEWEST * pace;
}

export const secondsFor = (pixels: number, pace: number): number => (pace * pixels) / MEGA;
