/** `wavepaint.fill.repeats` in TypeScript: textures that repeat exactly are continued so, and need no search. */

import { area } from "../../geometry";
import { hashes } from "../noise";
import { dilate, each, indicesOf } from "./areas";
import type { Matching } from "./blend";
import { type Level, sourcesOf } from "./levels";
import { RADIUS } from "./patches";

const TOGETHER = 8;
const THOROUGH = 64;
const MOST_MOVES = 1000;

/** From a sample to the one that it copies, and how many samples around the hole are known there. */
interface Move {
  readonly down: number;
  readonly right: number;
  known: number;
}

/**
 * Copies that agree with all known samples in the patches that touch the hole; null unless every patch has one. A move
 * must agree wherever it leads to known samples, and do so for at least half of those around the hole.
 */
export function findRepeats(level: Level): Matching | null {
  const { width, height, hole, excluded } = level;
  const [red, green, blue] = level.planes;
  const unknown = (i: number): boolean => hole[i] === 1 || excluded[i] === 1;
  const colours = each(new Float64Array(area(level)), (i) =>
    unknown(i) ? -1 : red[i] + 4096 * (green[i] + 4096 * blue[i]),
  );
  /** Where a move leads from a sample, -1 outside. */
  const moved = (at: number, { down, right }: Move): number => {
    const [row, column] = [Math.floor(at / width) + down, (at % width) + right];
    return row < 0 || row >= height || column < 0 || column >= width ? -1 : row * width + column;
  };

  const hash = hashes([]);
  const around = Array.from(indicesOf(dilate(hole, level, 2 * RADIUS)).filter((at) => !unknown(at)))
    .map((at, i) => ({ at, order: hash(i) }))
    .sort((a, b) => a.order - b.order)
    .map(({ at }) => at);
  let moves = movesOf(rarest(around, colours), colours, width);
  for (let start = 0; start < around.length && moves.length > 1; start += TOGETHER) {
    const part = around.slice(start, start + TOGETHER);
    moves = moves.filter((move) =>
      part.every((at) => {
        const to = moved(at, move);
        if (to < 0 || colours[to] < 0) return true;
        move.known++;
        return colours[to] === colours[at];
      }),
    );
    const step = Math.floor(moves.length / MOST_MOVES) + 1;
    if (start >= THOROUGH) moves = moves.filter((_, i) => i % step === 0);
  }

  moves = moves.filter(({ known }) => 2 * known >= around.length).sort((a, b) => b.known - a.known);
  const { sources, whole } = sourcesOf(level);
  if (!whole) return null;
  const targets = indicesOf(dilate(hole, level, RADIUS));
  const matches = targets.map((at) => {
    const move = moves.find((move) => sources[moved(at, move)]);
    return move ? moved(at, move) : -1;
  });
  return matches.includes(-1) ? null : { targets, matches, weights: new Float64Array(targets.length).fill(1) };
}

/** The first of some samples with the colour that is rarest among them. */
function rarest(samples: readonly number[], colours: Float64Array): number | undefined {
  const counts = new Map<number, number>();
  for (const at of samples) counts.set(colours[at], (counts.get(colours[at]) ?? 0) + 1);
  const least = Math.min(...counts.values());
  return samples.find((at) => counts.get(colours[at]) === least);
}

/** To all samples of the same colour, itself among them. */
function movesOf(from: number | undefined, colours: Float64Array, width: number): Move[] {
  const moves: Move[] = [];
  if (from === undefined) return moves;
  colours.forEach((colour, to) => {
    if (colour !== colours[from]) return;
    const down = Math.floor(to / width) - Math.floor(from / width);
    moves.push({ down, right: (to % width) - (from % width), known: 0 });
  });
  return moves;
}
