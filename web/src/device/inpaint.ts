/** The main path of `wavepaint.inpainter` in TypeScript: an image, its hole, the crops around it, the result. */

import { type Box, type Size, area, intersection } from "../geometry";
import type { Raster } from "../image/raster";
import { addDetail, detailWork } from "./exemplar/detail";
import { fillFlat } from "./exemplar/flat";
import { type Grain, drawGrain, grainOf, missingGrain } from "./grain";
import { haarFill } from "./haar_fill";
import { type FloatPixels, enlarge, halveKnown } from "./pyramid";
import type { Detail, DetailOptions } from "./options";
import {
  type Mask,
  type Pixels,
  type Plane,
  allocatePlane,
  channelOf,
  coloursOf,
  cropMask,
  cropPixels,
  fromUnit,
  padInto,
  paste,
  rangeOf,
  relativeTo,
} from "./planes";
import {
  type Region,
  type WideHole,
  clearInterior,
  findRegions,
  findWide,
  coarseLevelsOf,
  workPixels,
  withoutInteriors,
} from "./regions";

/** Coarser levels that the packaged network is run at: assumed until a network is loaded. */
const MOST_LEVELS = 3;
/** Pixels around a wide hole whose grain is measured. */
const GRAIN_PIXELS = 2 ** 20;
/** Rows that are measured together: a multiple of the largest block of `grainOf`. */
const GRAIN_ROWS = 16;
/** The mask's value for a hole sample that holds a guess to start from. */
const GUESSED = 0.5;

/** A loaded network. */
export interface Network {
  /** Height and width of every crop must be multiples of it. */
  readonly multiple: number;
  /** Halvings, at most, at which deep holes are to be filled first. */
  readonly coarseLevels: number;
  /**
   * Fill the hole of a crop: `image` holds three planes, `mask` one (1 = hole, 0.5 = hole that holds a guess). The
   * answer holds three planes: `image` where it is known, the network's image elsewhere, not clipped.
   */
  run(image: Float32Array, mask: Float32Array, size: Size): Promise<Float32Array>;
}

export interface Job {
  readonly network: Network;
  readonly options: DetailOptions;
  /** Called before each step of the work with what is done of its `workload`; what it throws stops the work. */
  step(done: number): Promise<void>;
}

/** A filled box; the samples outside the hole are the image's own. */
interface Patch {
  readonly box: Box;
  readonly samples: Pixels;
}

/**
 * Fill the hole of an image, as `wavepaint.inpaint` does. Samples outside the hole are returned as they are; the
 * arguments are not changed.
 */
export async function inpaint(image: Raster, mask: Mask, job: Job): Promise<Raster> {
  const { options } = job;
  const runner = new Runner(job);
  const filled = await fillHoles(image, mask, runner, options.detail === "grain");
  if (options.detail === "image") await addDetail(filled, mask, options, (done) => job.step(runner.done + done));
  return { ...image, data: filled.data as Raster["data"] };
}

/** How much work a mask is: pixels of all crops, coarse levels included, that `inpaint` gives to a network, nearly. */
export function workload(mask: Mask, levels = MOST_LEVELS, detail: Detail = "image"): number {
  const wide = findWide(mask);
  const rest = withoutInteriors(mask, wide);
  const crops = findRegions(rest).flat();
  // A quarter of a window is what its reduced copy holds.
  const pixels = [
    ...crops.map(({ crop }) => workPixels(cropMask(rest, crop), levels)),
    ...wide.map(({ crop }) => area(crop) / 4),
  ];
  return pixels.reduce((a, b) => a + b, detail === "image" ? detailWork(mask) : 0);
}

class Runner {
  /** Pixels of the crops that have been filled. */
  done = 0;

  constructor(private readonly job: Job) {}

  /** Run the network on a crop of any size, one or three planes; where its hole is deep, at lower resolutions first. */
  run(planes: readonly Plane[], hole: Mask): Promise<Plane[]> {
    return this.fill(planes, hole, coarseLevelsOf(hole, this.job.network.coarseLevels));
  }

  private async fill(planes: readonly Plane[], hole: Mask, levels: number): Promise<Plane[]> {
    const guess = levels > 0 ? await this.guess(planes, hole, levels) : undefined;
    const { multiple } = this.job.network;
    const padded = {
      width: Math.ceil(hole.width / multiple) * multiple,
      height: Math.ceil(hole.height / multiple) * multiple,
    };
    const image = new Float32Array(3 * area(padded));
    for (let c = 0; c < 3; c++) {
      const known = planes[c % planes.length];
      const data = guess && known.data.map((value, i) => (hole.data[i] ? guess[c].data[i] : value));
      padInto(image.subarray(c * area(padded), (c + 1) * area(padded)), padded, data ? { ...known, data } : known);
    }
    const marks = new Float32Array(area(padded));
    padInto(marks, padded, hole);
    if (guess) for (let i = 0; i < marks.length; i++) marks[i] *= GUESSED;
    await this.job.step(this.done);
    const filled = await this.job.network.run(image, marks, padded);
    this.done += area(hole);
    return [0, 1, 2].map((c) => {
      const plane = allocatePlane(hole);
      for (let y = 0; y < hole.height; y++) {
        const start = c * area(padded) + y * padded.width;
        plane.data.set(filled.subarray(start, start + hole.width), y * hole.width);
      }
      return plane;
    });
  }

  /** What the network makes of the halved crop, enlarged again. */
  private async guess(planes: readonly Plane[], hole: Mask, levels: number): Promise<Plane[]> {
    const { reduced, unknown } = halveKnown(interleave(planes), hole);
    const halved = planes.map((_, c) => channelOf(reduced, c));
    const coarse = interleave(await this.fill(halved, unknown, levels - 1));
    const enlarged = enlarge(coarse, { left: 0, top: 0, width: hole.width, height: hole.height });
    return [0, 1, 2].map((c) => channelOf(enlarged, c));
  }
}

/** One or three planes as floats. */
function interleave(planes: readonly Plane[]): FloatPixels {
  const data = new Float32Array(planes.length * planes[0].data.length);
  planes.forEach((plane, c) => {
    for (let i = 0, to = c; i < plane.data.length; i++, to += planes.length) data[to] = plane.data[i];
  });
  const { width, height } = planes[0];
  return { width, height, channels: planes.length === 1 ? 1 : 3, data };
}

/** Fill the interiors of wide holes first, then everything else; see `wavepaint.fill.regions` for both. */
async function fillHoles<T extends Pixels>(image: T, hole: Mask, runner: Runner, grain: boolean): Promise<T> {
  const wide = findWide(hole);
  const interiors = await fillInteriors(image, hole, wide, runner, grain);
  const rest = withoutInteriors(hole, wide);
  const borders = await fillRegions(image, rest, findRegions(rest), interiors, runner, grain);
  wide.forEach((piece, index) => {
    for (const border of borders) feather(border, piece, interiors[index].samples);
  });
  const result = { ...image, data: image.data.slice() };
  const whole = { left: 0, top: 0, width: image.width, height: image.height };
  for (const { box, samples } of [...interiors, ...borders]) paste(result, whole, samples, box);
  return result;
}

/** Blend a filled border band into the interior behind it, so that no edge shows between them. */
function feather({ box, samples }: Patch, piece: WideHole, guess: Pixels): void {
  const shared = intersection(box, piece.box);
  if (!shared) return;
  const { channels } = samples;
  const range = rangeOf(samples);
  const [here, there] = [relativeTo(shared, box), relativeTo(shared, piece.box)];
  for (let y = 0; y < shared.height; y++) {
    for (let x = 0; x < shared.width; x++) {
      const at = (there.top + y) * piece.box.width + there.left + x;
      const share = piece.share[at];
      if (share === 0) continue;
      const to = ((here.top + y) * box.width + here.left + x) * channels;
      for (let c = 0; c < channels; c++) {
        const near = samples.data[to + c] / range;
        const far = guess.data[at * channels + c] / range;
        samples.data[to + c] = fromUnit(near + share * (far - near), range);
      }
    }
  }
}

/** The boxes of wide holes, filled wherever the reduced copy has a share; the rest is the image's own. */
async function fillInteriors(
  image: Pixels,
  hole: Mask,
  wide: readonly WideHole[],
  runner: Runner,
  grain: boolean,
): Promise<Patch[]> {
  const unknown = wide.length ? { ...hole, data: hole.data.slice() } : hole;
  const patches: Patch[] = [];
  for (const piece of wide) {
    const samples = cropPixels(image, piece.crop);
    for (const patch of patches) paste(samples, piece.crop, patch.samples, patch.box);
    const part = relativeTo(piece.box, piece.crop);
    const around = cropMask(unknown, piece.crop);
    const { reduced, unknown: reducedHole } = halveKnown(samples, around);
    const guess = enlarge(await fillHoles<FloatPixels>(reduced, reducedHole, runner, false), part);
    if (grain) addGrainFor(piece, guess, samples, around);
    const patch = cropPixels(samples, part);
    const range = rangeOf(patch);
    for (let i = 0; i < patch.data.length; i++) {
      if (piece.share[Math.floor(i / patch.channels)] > 0) patch.data[i] = fromUnit(guess.data[i], range);
    }
    patches.push({ box: piece.box, samples: patch });
    clearInterior(unknown, piece);
  }
  return patches;
}

/** The boxes of regions, filled one after the other. */
async function fillRegions(
  image: Pixels,
  hole: Mask,
  stages: readonly Region[][],
  interiors: readonly Patch[],
  runner: Runner,
  grain: boolean,
): Promise<Patch[]> {
  const filled: Patch[] = [];
  for (const region of stages.flat()) {
    const samples = cropPixels(image, region.crop);
    const unknown = cropMask(hole, region.crop);
    for (const { box, samples: patch } of interiors) paste(samples, region.crop, patch, box);
    // What its neighbours have filled counts as known.
    for (const { box, samples: patch } of filled.filter(({ box }) => region.known.includes(box))) {
      paste(samples, region.crop, patch, box);
      clear(unknown, intersection(box, region.crop), region.crop);
    }
    const planes = Array.from({ length: coloursOf(samples) }, (_, c) => channelOf(samples, c));
    const guess = await runner.run(planes, unknown);
    blend(samples, planes, guess, unknown, region.crop, grain);
    filled.push({ box: region.holes, samples: cropPixels(samples, relativeTo(region.holes, region.crop)) });
  }
  return filled;
}

function clear(mask: Mask, part: Box | null, origin: Box): void {
  if (!part) return;
  const { left, top, width, height } = relativeTo(part, origin);
  for (let y = top; y < top + height; y++) mask.data.fill(0, y * mask.width + left, y * mask.width + left + width);
}

/**
 * Replace the hole samples of a crop by the network's, and their alpha by a smooth continuation. What lies in one
 * colour, or in a gradient plane, continues it exactly, unless grain is wanted.
 */
function blend(samples: Pixels, planes: Plane[], guess: Plane[], hole: Mask, box: Box, grain: boolean): void {
  const colours = planes.length === 1 ? [mean(guess)] : guess;
  if (grain) {
    const missing = missingGrain(grainOf(planes, hole, 0), grainOf(colours, hole, 1));
    if (missing) {
      drawGrain(missing, box, seedOf(box)).forEach(({ data }, c) => {
        for (let i = 0; i < data.length; i++) colours[c].data[i] += data[i];
      });
    }
  }
  const { channels } = samples;
  if (channels > planes.length) colours.push(haarFill(channelOf(samples, channels - 1), hole));
  const range = rangeOf(samples);
  const flat = grain ? null : fillFlat(samples, hole.data);
  for (let i = 0; i < hole.data.length; i++) {
    if (!hole.data[i] || flat?.[i]) continue;
    for (let c = 0; c < channels; c++) samples.data[i * channels + c] = fromUnit(colours[c].data[i], range);
  }
}

function mean(planes: readonly Plane[]): Plane {
  const [red, green, blue] = planes;
  return { ...red, data: red.data.map((value, i) => (value + green.data[i] + blue.data[i]) / 3) };
}

/**
 * Add the grain that the interior of a wide hole lacks; none in alpha. It is measured in bands of whole rows of blocks,
 * evenly spread over the window, `GRAIN_PIXELS` in all.
 */
function addGrainFor(piece: WideHole, guess: FloatPixels, samples: Pixels, unknown: Mask): void {
  const step = Math.ceil(area(unknown) / GRAIN_PIXELS);
  const rows = Array.from({ length: unknown.height }, (_, y) => y).filter(
    (y) => Math.floor(y / GRAIN_ROWS) % step === 0,
  );
  const size = { width: unknown.width, height: rows.length };
  const hole = { ...size, data: new Uint8Array(area(size)) };
  const planes = Array.from({ length: coloursOf(samples) }, () => allocatePlane(size));
  const [range, { channels, data }] = [rangeOf(samples), samples];
  rows.forEach((row, y) => {
    hole.data.set(unknown.data.subarray(row * size.width, (row + 1) * size.width), y * size.width);
    planes.forEach((plane, c) => {
      for (let x = 0; x < size.width; x++) {
        plane.data[y * size.width + x] = data[(row * size.width + x) * channels + c] / range;
      }
    });
  });
  const around: Grain = grainOf(planes, hole, 0);
  // An enlarged image has no grain of its own.
  const missing = missingGrain(around, null);
  if (!missing) return;
  drawGrain(missing, piece.box, seedOf(piece.box)).forEach((plane, c) => {
    for (let i = 0; i < plane.data.length; i++) {
      guess.data[i * channels + c] += plane.data[i] * strengthAgainstFeathering(piece.share[i]);
    }
  });
}

/**
 * How much stronger the grain of the interior is where it fades into that of the border band: two grains that know nothing of each
 * other, weighted 1 - s and s, add up to less than either, which would show as a smooth seam.
 */
const strengthAgainstFeathering = (share: number): number => (share > 0 ? Math.sqrt((2 - share) / share) : 1);

/** Grain differs from place to place, and is the same in every run. */
const seedOf = (box: Box): [number, number] => [box.left, box.top];
