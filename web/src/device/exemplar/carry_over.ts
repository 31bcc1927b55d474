/** `wavepaint.fill.solution` in TypeScript: what a search has found, carried over to samples of any depth. */

import { type Size, area } from "../../geometry";
import { type FloatPixels, enlarge, halveKnown } from "../pyramid";
import { type Mask, type Pixels, fromUnit, rangeOf } from "../planes";
import { each, indicesOf } from "./areas";
import { removeSeams, voteWithGradients } from "./blend";
import type { Solution } from "./solve";

const LAST_WINDOW = 0.75;
const SHARPNESS = 4;

/** Fill a hole, in place, by the votes of a solution; what the samples hold inside the hole is ignored. */
export function carryOver(solution: Solution, samples: Pixels, hole: Uint8Array): void {
  const { channels, data } = samples;
  const range = rangeOf(samples);
  if (solution.halvings) {
    inherit(solution, samples, { width: samples.width, height: samples.height, data: hole });
    return;
  }
  const voted = votedSamples(solution, samples);
  indicesOf(hole).forEach((at, i) =>
    voted.forEach((plane, c) => (data[at * channels + c] = fromUnit(plane[i], range))),
  );
}

/** Samples of the hole of the searched level, without seams of tone: an array for each channel. */
function votedSamples({ searched, size, known, matching }: Solution, samples: Pixels): Float32Array[] {
  const { channels, data } = samples;
  const range = rangeOf(samples);
  const planes = Array.from({ length: channels }, (_, c) =>
    each(new Float32Array(searched.length), (i) => (searched[i] ? 0 : data[i * channels + c] / range)),
  );
  const gradients = voteWithGradients(planes, known, searched, matching, size, LAST_WINDOW);
  return removeSeams(gradients, searched, size).map((plane) => Float32Array.from(plane));
}

/** Fill by the offsets of a coarser level; then its tones, from which seams are gone, replace those of the copy. */
function inherit(solution: Solution, samples: Pixels, hole: Mask): void {
  const { halvings, searched } = solution;
  const { channels, data } = samples;
  const range = rangeOf(samples);
  let [reduced, unknown]: [Pixels, Mask] = [samples, hole];
  for (let i = 0; i < halvings; i++) ({ reduced, unknown } = halveKnown(reduced, unknown));
  const voted = votedSamples(solution, reduced);
  indicesOf(searched).forEach((at, i) => voted.forEach((plane, c) => (reduced.data[at * channels + c] = plane[i])));
  copyByOffsets(solution, samples, reduced, hole);
  let copied: Pixels = samples;
  for (let i = 0; i < halvings; i++) {
    copied = halveKnown(copied, { ...hole, ...sizeOf(copied), data: new Uint8Array(area(copied)) }).reduced;
  }
  const missing = reduced.data.map((value, i) => (searched[Math.floor(i / channels)] ? value - copied.data[i] : 0));
  let correction = { ...copied, data: missing } as FloatPixels;
  for (let i = 1; i < halvings; i++) {
    const size = { width: 2 * correction.width, height: 2 * correction.height };
    correction = enlarge(correction, { left: 0, top: 0, ...size });
  }
  for (let top = 0; top < hole.height; top++) {
    const row = hole.data.subarray(top * hole.width, (top + 1) * hole.width);
    if (!row.includes(1)) continue;
    const added = enlarge(correction, { left: 0, top, width: hole.width, height: 1 }).data;
    const start = top * hole.width * channels;
    row.forEach((mark, x) => {
      if (!mark) return;
      for (let c = 0; c < channels; c++) {
        const at = start + x * channels + c;
        data[at] = fromUnit(Math.fround(data[at] / range) + added[x * channels + c], range);
      }
    });
  }
}

const sizeOf = ({ width, height }: Size): Size => ({ width, height });

/** Fill the hole from where the four cells around each sample copy, bilinearly, but sharper. */
function copyByOffsets(
  solution: Solution,
  samples: Pixels,
  reduced: Pixels,
  { width, height, data: hole }: Mask,
): void {
  const { halvings, searched, size, matching } = solution;
  const { channels, data } = samples;
  const range = rangeOf(samples);
  const scale = 2 ** halvings;
  const [down, right] = [new Int32Array(searched.length), new Int32Array(searched.length)];
  matching.targets.forEach((target, i) => {
    if (!searched[target]) return;
    const [from, to] = [matching.matches[i], target].map((at) => [Math.floor(at / size.width), at % size.width]);
    down[target] = (from[0] - to[0]) * scale;
    right[target] = (from[1] - to[1]) * scale;
  });
  const totals = new Float64Array(channels);
  for (const at of indicesOf(hole)) {
    const [row, column] = [Math.floor(at / width), at % width];
    const [cellRow, cellColumn] = [(row + 0.5) / scale - 0.5, (column + 0.5) / scale - 0.5];
    totals.fill(0);
    let sums = 0;
    for (let k = 0; k < 4; k++) {
      const [y, x] = [Math.floor(cellRow) + (k >> 1), Math.floor(cellColumn) + (k & 1)];
      const cell = Math.min(Math.max(y, 0), size.height - 1) * size.width + Math.min(Math.max(x, 0), size.width - 1);
      const [fromRow, fromColumn] = [row + down[cell], column + right[cell]];
      if (fromRow < 0 || fromRow >= height || fromColumn < 0 || fromColumn >= width) continue;
      const from = fromRow * width + fromColumn;
      if (hole[from]) continue;
      const weight = ((1 - Math.abs(cellRow - y)) * (1 - Math.abs(cellColumn - x))) ** SHARPNESS + 1e-9;
      for (let c = 0; c < channels; c++) totals[c] += Math.fround(data[from * channels + c] / range) * weight;
      sums += weight;
    }
    // Where no cell leads to a known sample, the searched level's own sample stands in.
    const nearest =
      Math.min(Math.floor(row / scale), size.height - 1) * size.width +
      Math.min(Math.floor(column / scale), size.width - 1);
    for (let c = 0; c < channels; c++) {
      const value = sums > 0 ? totals[c] / sums : reduced.data[nearest * channels + c];
      data[at * channels + c] = fromUnit(Math.fround(value), range);
    }
  }
}
