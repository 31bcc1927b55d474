/** `wavepaint.fill.blend` in TypeScript: votes of overlapping patches, and a screened Poisson equation against seams. */

import { type Size, area } from "../../geometry";
import { haarFill } from "../haar_fill";
import { each, indicesOf } from "./areas";
import { RADIUS } from "./patches";

const SCREENING = Math.fround(0.003);
const MOST_STEPS = 100;
const ENOUGH = 1e-5;

/** What every target of a level copies, and how loud each target speaks. */
export interface Matching {
  readonly targets: Int32Array;
  /** Indices of the centres of what they copy. */
  readonly matches: Int32Array;
  readonly weights: Float64Array;
}

export interface Votes {
  /** The samples that were asked for. */
  readonly samples: Int32Array;
  /** Their means, channels side by side; they go on smoothly where no patch speaks. */
  readonly means: Float64Array;
  /** Sums of the weights, 0 where no patch speaks. */
  readonly sums: Float64Array;
}

/** What is copied: numbers for every sample of a window, channels side by side. */
export interface Source extends Size {
  readonly channels: number;
  readonly data: Float64Array;
  /** Samples that may be copied, or null where patches hold no others. */
  readonly known: Uint8Array | null;
}

/** Planes of a window side by side. */
export function sourceOf(planes: readonly ArrayLike<number>[], known: Uint8Array | null, size: Size): Source {
  const channels = planes.length;
  const data = new Float64Array(channels * area(size));
  planes.forEach((plane, c) => {
    for (let i = 0, to = c; i < plane.length; i++, to += channels) data[to] = plane[i];
  });
  return { width: size.width, height: size.height, channels, data, known };
}

/**
 * Weighted means of what the patches over each sample of `where` say, those centred near it loudest. `window`: standard
 * deviation of a patch's weight around its centre; `reach`: how far from its centre a patch speaks.
 */
export function vote(source: Source, matching: Matching, where: Uint8Array, window: number, reach = RADIUS): Votes {
  const { width, height, channels, data, known } = source;
  const { loudness, match } = spread(matching, area(source));
  const closeness = closenessOf(window, reach);
  const samples = indicesOf(where);
  const means = new Float64Array(channels * samples.length);
  const sums = new Float64Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const row = Math.floor(samples[i] / width);
    const column = samples[i] - row * width;
    for (let down = -reach, k = 0; down <= reach; down++) {
      for (let right = -reach; right <= reach; right++, k++) {
        if (row < down || row - down >= height || column < right || column - right >= width) continue;
        const centre = samples[i] - down * width - right;
        if (loudness[centre] === 0) continue;
        const from = Math.floor(match[centre] / width);
        // Patches at the border see it repeated outwards.
        const y = Math.min(Math.max(from + down, 0), height - 1);
        const x = Math.min(Math.max(match[centre] - from * width + right, 0), width - 1);
        if (known && (!known[y * width + x] || y !== from + down || x !== match[centre] - from * width + right))
          continue;
        const own = loudness[centre] * closeness[k];
        const copied = (y * width + x) * channels;
        for (let c = 0; c < channels; c++) means[i * channels + c] += data[copied + c] * own;
        sums[i] += own;
      }
    }
    for (let c = 0; c < channels; c++) means[i * channels + c] /= Math.max(sums[i], 1e-300);
  }
  if (sums.includes(0)) for (let c = 0; c < channels; c++) fillSilent(means, c, channels, sums, samples, source);
  return { samples, means, sums };
}

/** For every sample what the patch around it copies, and how loud it speaks. */
function spread({ targets, matches, weights }: Matching, count: number): { loudness: Float64Array; match: Int32Array } {
  const loudness = new Float64Array(count);
  const match = new Int32Array(count);
  for (let i = 0; i < targets.length; i++) {
    loudness[targets[i]] = weights[i];
    match[targets[i]] = matches[i];
  }
  return { loudness, match };
}

function closenessOf(window: number, reach: number): Float64Array {
  const side = 2 * reach + 1;
  return each(new Float64Array(side ** 2), (k) => {
    const [down, right] = [Math.floor(k / side) - reach, (k % side) - reach];
    return Math.exp(-(down * down + right * right) / (2 * window * window));
  });
}

function fillSilent(
  means: Float64Array,
  channel: number,
  channels: number,
  sums: Float64Array,
  samples: Int32Array,
  { width, height }: Size,
): void {
  const silent = { width, height, data: new Uint8Array(width * height).fill(1) };
  const plane = { width, height, data: new Float32Array(width * height) };
  samples.forEach((at, i) => {
    silent.data[at] = Number(sums[i] === 0);
    plane.data[at] = means[i * channels + channel];
  });
  const { data } = haarFill(plane, silent);
  samples.forEach((at, i) => sums[i] === 0 && (means[i * channels + channel] = data[at]));
}

/** Planes with the hole voted, and the voted differences to the next sample on the right and below. */
interface Gradients {
  readonly colours: readonly Float64Array[];
  readonly across: readonly Float64Array[];
  readonly down: readonly Float64Array[];
}

/** What the patches say of the samples of a hole, and of the differences to the next sample. */
export function voteWithGradients(
  planes: readonly Float32Array[],
  known: Uint8Array | null,
  hole: Uint8Array,
  matching: Matching,
  size: Size,
  window: number,
): Gradients {
  const { width, height } = size;
  const colours = planes.map((plane) => new Float64Array(plane));
  const across = colours.map((plane) => differences(plane, size, 1));
  const down = colours.map((plane) => differences(plane, size, width));
  const where = hole.slice();
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      // The next sample of a patch at its edge may lie in the hole; a difference counts where it leads into the hole.
      if (x < width - 1 && hole[i + 1]) {
        for (const plane of across) plane[i] = 0;
        where[i] = 1;
      }
      if (y < height - 1 && hole[i + width]) {
        for (const plane of down) plane[i] = 0;
        where[i] = 1;
      }
    }
  }
  // The difference at the edge of a patch leads out of it, perhaps to an unknown sample.
  const source = sourceOf([...colours, ...across, ...down], known, size);
  const { samples, means, sums } = vote(source, matching, where, window, RADIUS - 1);
  const take = (part: number, targets: readonly Float64Array[], included: (i: number) => boolean): void =>
    targets.forEach((plane, c) => {
      for (let i = 0; i < samples.length; i++) {
        if (included(i)) plane[samples[i]] = means[i * source.channels + part * colours.length + c];
      }
    });
  take(0, colours, (i) => hole[samples[i]] === 1);
  const gradients = {
    across: colours.map((plane) => differences(plane, size, 1)),
    down: colours.map((plane) => differences(plane, size, width)),
  };
  if (!known) {
    take(1, gradients.across, (i) => sums[i] > 0);
    take(2, gradients.down, (i) => sums[i] > 0);
  }
  return { colours, ...gradients };
}

/** Differences to the sample `step` further on; 0 where the image ends. */
function differences(plane: Float64Array, { width, height }: Size, step: number): Float64Array {
  const steps = new Float64Array(plane.length);
  const [rows, columns] = step === 1 ? [height, width - 1] : [height - 1, width];
  for (let y = 0; y < rows; y++) {
    for (let i = y * width; i < y * width + columns; i++) steps[i] = plane[i + step] - plane[i];
  }
  return steps;
}

/** Solve for samples of the hole with the voted differences and, more weakly, the voted colours; known samples stay. */
export function removeSeams({ colours, across, down }: Gradients, hole: Uint8Array, size: Size): Float64Array[] {
  const { width, height } = size;
  const unknowns = indicesOf(hole);
  const numbers = new Int32Array(hole.length).fill(unknowns.length);
  unknowns.forEach((at, i) => (numbers[at] = i));
  const residuals = colours.map(() => new Float32Array(unknowns.length));
  const diagonal = new Float32Array(unknowns.length).fill(SCREENING);
  const neighbours = [1, width, -1, -width].map((step) => {
    const differences = Math.abs(step) === 1 ? across : down;
    return unknowns.map((at, i) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      const exists = step === 1 ? x + 1 < width : step === width ? y + 1 < height : step === -1 ? x > 0 : y > 0;
      if (!exists) return unknowns.length;
      const here = Math.min(at, at + step);
      const next = here + Math.abs(step);
      colours.forEach((plane, c) => {
        residuals[c][i] -= Math.sign(step) * (differences[c][here] - (plane[next] - plane[here]));
      });
      diagonal[i] += 1;
      return numbers[at + step];
    });
  });
  const corrections = conjugateGradients(residuals, diagonal, neighbours);
  return colours.map((plane, c) =>
    each(new Float64Array(unknowns.length), (i) => plane[unknowns[i]] + corrections[c][i]),
  );
}

/**
 * Solve diagonal * e - sum of neighbouring e = residual, for each channel; a neighbour with the last number is zero. In
 * single precision as Python has it, but for the order of its sums.
 */
function conjugateGradients(
  residuals: readonly Float32Array[],
  diagonal: Float32Array,
  [east, south, west, north]: readonly Int32Array[],
): Float32Array[] {
  const count = diagonal.length;
  const solutions = residuals.map(() => new Float32Array(count));
  const directions = residuals.map((residual) => {
    const direction = new Float32Array(count + 1);
    direction.set(residual);
    return direction;
  });
  const applied = new Float32Array(count);
  let squares = residuals.map((residual) => dot(residual, residual));
  const enough = ENOUGH * Math.max(...squares);
  for (let turn = 0; turn < MOST_STEPS && Math.max(...squares) > enough; turn++) {
    squares = squares.map((square, c) => {
      const direction = directions[c];
      const residual = residuals[c];
      const solution = solutions[c];
      for (let i = 0; i < count; i++) {
        let value = Math.fround(Math.fround(diagonal[i] * direction[i]) - direction[east[i]]);
        value = Math.fround(value - direction[south[i]]);
        applied[i] = Math.fround(value - direction[west[i]]) - direction[north[i]];
      }
      const step = Math.fround(square / Math.max(dot(direction, applied), 1e-30));
      for (let i = 0; i < count; i++) {
        solution[i] += Math.fround(step * direction[i]);
        residual[i] -= Math.fround(step * applied[i]);
      }
      const next = dot(residual, residual);
      const ratio = Math.fround(next / Math.max(square, 1e-30));
      for (let i = 0; i < count; i++) direction[i] = residual[i] + Math.fround(ratio * direction[i]);
      return next;
    });
  }
  return solutions;
}

/** The sum of products over the length of the second. */
function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += a[i] * b[i];
  return sum;
}
