/** `wavepaint.fill.blend` in TypeScript: votes of overlapping patches, and a screened Poisson equation against seams. */

import { type Size, area } from "../../geometry";
import { haarFill } from "../haar_fill";
import { indicesOf } from "./areas";
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
  /** A mean for each sample in question, a plane for each channel; they go on smoothly where no patch speaks. */
  readonly means: readonly Float64Array[];
  /** Sums of the weights, 0 where no patch speaks. */
  readonly sums: Float64Array;
}

/**
 * Weighted means of what the patches over each sample of `where` say, those centred near it loudest. `source`: planes of
 * what is copied; `known`: samples that may be copied, null where patches hold no others; `window`: standard deviation of
 * a patch's weight around its centre; `reach`: how far from its centre a patch speaks.
 */
export function vote(
  source: readonly ArrayLike<number>[],
  known: Uint8Array | null,
  { targets, matches, weights }: Matching,
  where: Uint8Array,
  size: Size,
  window: number,
  reach = RADIUS,
): Votes {
  const { width, height } = size;
  const loudness = new Float64Array(area(size));
  const match = new Int32Array(area(size));
  targets.forEach((target, i) => {
    loudness[target] = weights[i];
    match[target] = matches[i];
  });
  const closeness = new Float64Array((2 * reach + 1) ** 2);
  for (let down = -reach, k = 0; down <= reach; down++) {
    for (let right = -reach; right <= reach; right++, k++) {
      closeness[k] = Math.exp(-(down * down + right * right) / (2 * window * window));
    }
  }
  const samples = indicesOf(where);
  const totals = source.map(() => new Float64Array(samples.length));
  const sums = new Float64Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const [row, column] = [Math.floor(samples[i] / width), samples[i] % width];
    for (let down = -reach, k = 0; down <= reach; down++) {
      for (let right = -reach; right <= reach; right++, k++) {
        const [y, x] = [row - down, column - right];
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        const centre = y * width + x;
        if (loudness[centre] === 0) continue;
        // Patches at the border see it repeated outwards.
        const from = Math.floor(match[centre] / width);
        const [copiedRow, copiedColumn] = [from + down, match[centre] - from * width + right];
        const outside = copiedRow < 0 || copiedRow >= height || copiedColumn < 0 || copiedColumn >= width;
        if (outside && known) continue;
        const copied =
          Math.min(Math.max(copiedRow, 0), height - 1) * width + Math.min(Math.max(copiedColumn, 0), width - 1);
        if (known && !known[copied]) continue;
        const own = loudness[centre] * closeness[k];
        for (let c = 0; c < source.length; c++) totals[c][i] += source[c][copied] * own;
        sums[i] += own;
      }
    }
  }
  for (const total of totals) for (let i = 0; i < total.length; i++) total[i] /= Math.max(sums[i], 1e-300);
  if (sums.includes(0)) for (const total of totals) fillSilent(total, sums, samples, size);
  return { means: totals, sums };
}

function fillSilent(means: Float64Array, sums: Float64Array, samples: Int32Array, size: Size): void {
  const silent = { ...size, data: new Uint8Array(area(size)).fill(1) };
  const plane = { ...size, data: new Float32Array(area(size)) };
  samples.forEach((at, i) => {
    silent.data[at] = Number(sums[i] === 0);
    plane.data[at] = means[i];
  });
  const { data } = haarFill(plane, silent);
  samples.forEach((at, i) => sums[i] === 0 && (means[i] = data[at]));
}

/** Planes with the hole voted, and the differences wanted to the next sample on the right and below. */
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
  const source = planes.map((plane) => Float64Array.from(plane));
  const across = source.map((plane) => differences(plane, size, 1));
  const down = source.map((plane) => differences(plane, size, width));
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
  const { means, sums } = vote([...source, ...across, ...down], known, matching, where, size, window, RADIUS - 1);
  const asked = indicesOf(where);
  const count = source.length;
  asked.forEach((at, i) => {
    if (hole[at]) source.forEach((plane, c) => (plane[at] = means[c][i]));
  });
  const said = {
    across: source.map((p) => differences(p, size, 1)),
    down: source.map((p) => differences(p, size, width)),
  };
  if (!known) {
    asked.forEach((at, i) => {
      if (sums[i] === 0) return;
      said.across.forEach((plane, c) => (plane[at] = means[count + c][i]));
      said.down.forEach((plane, c) => (plane[at] = means[2 * count + c][i]));
    });
  }
  return { colours: source, ...said };
}

/** Differences to the sample `step` further on; 0 where the picture ends. */
function differences(plane: Float64Array, { width, height }: Size, step: number): Float64Array {
  const found = new Float64Array(plane.length);
  const [rows, columns] = step === 1 ? [height, width - 1] : [height - 1, width];
  for (let y = 0; y < rows; y++) {
    for (let i = y * width; i < y * width + columns; i++) found[i] = plane[i + step] - plane[i];
  }
  return found;
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
    const wanted = Math.abs(step) === 1 ? across : down;
    return unknowns.map((at, i) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      const exists = step === 1 ? x + 1 < width : step === width ? y + 1 < height : step === -1 ? x > 0 : y > 0;
      if (!exists) return unknowns.length;
      const here = Math.min(at, at + step);
      const next = here + Math.abs(step);
      colours.forEach((plane, c) => {
        residuals[c][i] -= Math.sign(step) * (wanted[c][here] - (plane[next] - plane[here]));
      });
      diagonal[i] += 1;
      return numbers[at + step];
    });
  });
  const corrections = conjugateGradients(residuals, diagonal, neighbours);
  return colours.map((plane, c) => Float64Array.from(unknowns, (at, i) => plane[at] + corrections[c][i]));
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
      const [direction, residual, solution] = [directions[c], residuals[c], solutions[c]];
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
      const kept = Math.fround(next / Math.max(square, 1e-30));
      for (let i = 0; i < count; i++) direction[i] = residual[i] + Math.fround(kept * direction[i]);
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
