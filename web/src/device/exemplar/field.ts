/** `wavepaint.fill.search.Field` in TypeScript: the offsets of all targets of one level, while they are improved. */

import { type Size, area } from "../../geometry";
import { each } from "./areas";
import { type Descriptions, squaredDistance } from "./patches";

const MARGIN = 8;
const NOWHERE = -(10 ** 8);

/** What a match costs besides its distance. */
export interface Terms {
  /** For each of the four neighbours that has another offset. */
  readonly coherence: number;
  /** For each source. */
  readonly charge: Float32Array;
}

/** The level is laid out with a margin around it, so that neighbours and shifted matches need no test for the border. */
export class Field {
  readonly cost: Float32Array;
  private readonly pitch: number;
  private readonly good: Uint8Array;
  private readonly at: Int32Array;
  private readonly shift: Int32Array;
  private readonly halves: readonly [Int32Array, Int32Array];
  private readonly offers: Int32Array;

  constructor(
    private readonly size: Size,
    sources: Uint8Array,
    targets: Int32Array,
    matches: Int32Array,
    private readonly queries: Descriptions,
    private readonly offered: Descriptions,
    private readonly terms: Terms,
  ) {
    const { width, height } = size;
    this.pitch = width + 2 * MARGIN;
    this.good = new Uint8Array(this.pitch * (height + 2 * MARGIN));
    for (let y = 0; y < height; y++) {
      this.good.set(sources.subarray(y * width, (y + 1) * width), (y + MARGIN) * this.pitch + MARGIN);
    }
    this.at = targets.map((index) => this.padded(index));
    this.shift = new Int32Array(this.good.length).fill(NOWHERE);
    this.cost = new Float32Array(targets.length);
    targets.forEach((_, i) => {
      this.shift[this.at[i]] = this.padded(matches[i]) - this.at[i];
      this.cost[i] = squaredDistance(offered, matches[i], queries, i) + terms.charge[matches[i]];
    });
    const parity = (index: number): number => (Math.floor(index / width) + (index % width)) % 2;
    const all = each(new Int32Array(targets.length), (i) => i);
    this.halves = [all.filter((i) => parity(targets[i]) === 0), all.filter((i) => parity(targets[i]) === 1)];
    this.offers = new Int32Array(targets.length);
  }

  /** Indices of the sources that the targets copy. */
  get matches(): Int32Array {
    return this.at.map((at) => this.plain(at + this.shift[at]));
  }

  /** Offer every target the offsets of its neighbours at some distances. */
  propagate(steps: readonly number[]): void {
    for (const step of steps) {
      for (const towards of [step * this.pitch, -step * this.pitch, step, -step]) {
        for (const half of this.halves) {
          for (let i = 0; i < half.length; i++) this.offers[i] = this.shift[this.at[half[i]] + towards];
          this.offer(half);
        }
      }
    }
  }

  /** Offer every target the eight sources at one distance around its match. */
  lookAround(radius: number): void {
    const [rows, columns] = [radius * this.pitch, radius];
    for (const move of [
      -rows,
      rows,
      -columns,
      columns,
      -rows - columns,
      -rows + columns,
      rows - columns,
      rows + columns,
    ]) {
      for (const half of this.halves) {
        for (let i = 0; i < half.length; i++) this.offers[i] = this.shift[this.at[half[i]]] + move;
        this.offer(half);
      }
    }
  }

  private padded(index: number): number {
    const row = Math.floor(index / this.size.width);
    return (row + MARGIN) * this.pitch + MARGIN + index - row * this.size.width;
  }

  private plain(padded: number): number {
    const row = Math.floor(padded / this.pitch);
    return (row - MARGIN) * this.size.width + padded - row * this.pitch - MARGIN;
  }

  /** Let some targets take the offsets in `offers` that are better than their own. */
  private offer(who: Int32Array): void {
    const { at, shift, good, cost, offers, pitch } = this;
    const { width } = this.size;
    const { charge } = this.terms;
    const coherence = Math.fround(this.terms.coherence);
    for (let k = 0; k < who.length; k++) {
      const i = who[k];
      const offered = offers[k];
      const here = at[i];
      const to = here + offered;
      if (offered === shift[here] || to < 0 || to >= good.length || !good[to]) continue;
      const row = Math.floor(to / pitch);
      const source = (row - MARGIN) * width + to - row * pitch - MARGIN;
      const offeredCost = Math.fround(squaredDistance(this.offered, source, this.queries, i) + charge[source]);
      const agreement = Math.fround(coherence * this.agreement(here, offered));
      if (Math.fround(Math.fround(cost[i] - offeredCost) + agreement) <= 0) continue;
      cost[i] = offeredCost;
      shift[here] = offered;
    }
  }

  /** How many more neighbours have the offset `offered` than the present one. */
  private agreement(at: number, offered: number): number {
    const { shift, pitch } = this;
    const present = shift[at];
    let more = 0;
    for (let k = 0; k < 4; k++) {
      const step = k & 1 ? 1 : pitch;
      const neighbour = shift[k & 2 ? at + step : at - step];
      if (neighbour === offered) more++;
      else if (neighbour === present) more--;
    }
    return more;
  }
}

/** How often each sample is used as a source, for `area(size)` samples. */
export function usesOf(matches: Int32Array, size: Size): Int32Array {
  const uses = new Int32Array(area(size));
  for (const match of matches) uses[match]++;
  return uses;
}
