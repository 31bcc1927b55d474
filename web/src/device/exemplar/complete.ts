/** `wavepaint.fill.complete` in TypeScript: flat parts exactly, thin parts from the guide, the rest by example. */

import { type Size, area } from "../../geometry";
import { haarFill } from "../haar_fill";
import { type Pixels, channelOf, coloursOf, fromUnit, rangeOf } from "../planes";
import { boxSums, dilate, each } from "./areas";
import { carryOver } from "./carry_over";
import { fillFlat } from "./flat";
import { THIN } from "./pieces";
import { type Solution, solve } from "./solve";
import type { Step } from "./stage";

/**
 * Fill a hole of samples, in place. Inside the hole they hold the guide: what the network has filled. `excluded`: 1 =
 * not to copy from. Returns where the samples come from, null where nothing needed a search.
 */
export async function complete(
  samples: Pixels,
  hole: Uint8Array,
  excluded: Uint8Array,
  seed: number,
  step: Step,
): Promise<Solution | null> {
  const guide = coloursIn(samples);
  const flat = fillFlat(samples, hole);
  const rest = hole.map((mark, i) => mark & (flat[i] ^ 1));
  const thin = thinParts(rest, samples);
  fillAlpha(samples, thin, hole);
  const searched = rest.map((mark, i) => mark & (thin[i] ^ 1));
  if (!searched.includes(1)) return null;
  const unfit = excluded.map((mark, i) => mark | flat[i] | thin[i]);
  const solution = await solve(coloursIn(samples), searched, guide, unfit, seed, step);
  carryOver(solution, samples, searched);
  return solution;
}

/** What a square of 2 * `THIN` + 1 samples inside the hole cannot cover; outside the image all counts as hole. */
function thinParts(hole: Uint8Array, size: Size): Uint8Array {
  const known = hole.map((mark) => mark ^ 1);
  const counts = boxSums(known, size, THIN);
  const core = each(new Uint8Array(hole.length), (i) => (counts[i] === 0 ? 1 : 0));
  const covered = dilate(core, size, THIN);
  return hole.map((mark, i) => mark & (covered[i] ^ 1));
}

/** The guide has the colours already; alpha goes on smoothly. */
function fillAlpha(samples: Pixels, thin: Uint8Array, hole: Uint8Array): void {
  const { width, height, channels, data } = samples;
  if (channels === coloursOf(samples) || !thin.includes(1)) return;
  const alpha = haarFill(channelOf(samples, channels - 1), { width, height, data: hole }).data;
  const range = rangeOf(samples);
  thin.forEach((mark, i) => {
    if (mark) data[i * channels + channels - 1] = fromUnit(alpha[i], range);
  });
}

/** A copy without alpha. */
function coloursIn(samples: Pixels): Pixels {
  const colours = coloursOf(samples);
  const { channels, data } = samples;
  if (channels === colours) return { ...samples, data: data.slice() };
  const copy = new (data.constructor as Uint8ArrayConstructor)(area(samples) * colours);
  for (let i = 0; i < copy.length; i++) copy[i] = data[Math.floor(i / colours) * channels + (i % colours)];
  return { ...samples, channels: colours, data: copy };
}
