/**
 * The best source of every target, as `wavepaint.fill.search.AllPairs` finds it. There a matrix product compares all
 * pairs; here a k-d tree (Friedman, Bentley and Finkel 1977) leaves out those that cannot be better. Distances are whole
 * numbers and the first of equals wins, so that both find the same.
 */

import { each } from "./areas";
import { type Descriptions, LENGTH, squaredDistance } from "./patches";

const LEAF = 12;

/** Sources in a tree that halves them along the coordinate in which they differ most. */
export class SourceTree {
  /** Sources by their place in the tree: their rank among all, their coordinates, and what is added to their distance. */
  private readonly ranks: Int32Array;
  private readonly points: Int16Array;
  private readonly charges: Int32Array;
  /** Of each inner node, numbered as in a heap: the coordinate that is halved, where, and the first rank below it. */
  private readonly axes: Uint8Array;
  private readonly lows: Int16Array;
  private readonly highs: Int16Array;
  private readonly firsts: Int32Array;
  /** The search under way. */
  private target: Descriptions = new Int16Array();
  private at = 0;
  private least = 0;
  private best = 0;
  private readonly gaps = new Int32Array(LENGTH);
  private readonly lowest = new Int16Array(LENGTH);
  private readonly highest = new Int16Array(LENGTH);

  /**
   * `sources` are indices of `offered`; `bias`, of each source, is added to squared distances.
   */
  constructor(
    private readonly offered: Descriptions,
    private readonly sources: Int32Array,
    bias: ArrayLike<number> | null,
  ) {
    const count = sources.length;
    this.ranks = each(new Int32Array(count), (rank) => rank);
    let nodes = 1;
    for (let size = count; size > LEAF; size = Math.ceil(size / 2)) nodes *= 2;
    this.axes = new Uint8Array(2 * nodes);
    this.lows = new Int16Array(2 * nodes);
    this.highs = new Int16Array(2 * nodes);
    this.firsts = new Int32Array(2 * nodes);
    this.build(1, 0, count);
    this.points = new Int16Array(count * LENGTH);
    this.charges = new Int32Array(count);
    this.ranks.forEach((rank, place) => {
      const from = sources[rank] * LENGTH;
      this.points.set(offered.subarray(from, from + LENGTH), place * LENGTH);
      this.charges[place] = bias?.[rank] ?? 0;
    });
  }

  /**
   * The best sources of all targets, as indices of `offered`. `before`: other targets and their best sources; those that
   * are the same need no search.
   */
  nearest(targets: Descriptions, before: { queries: Descriptions; matches: Int32Array } | null = null): Int32Array {
    const matches = new Int32Array(targets.length / LENGTH);
    let place = 0;
    this.target = targets;
    for (let i = 0; i < matches.length; i++) {
      if (before && squaredDistance(targets, i, before.queries, i) === 0) {
        matches[i] = before.matches[i];
        continue;
      }
      this.at = i * LENGTH;
      // The match of the target before is often as good as any: with it most of the tree is left out.
      this.least = this.distance(place, 0x7fffffff);
      this.best = place;
      this.gaps.fill(0);
      this.descend(1, 0, this.ranks.length, 0);
      place = this.best;
      matches[i] = this.sources[this.ranks[place]];
    }
    return matches;
  }

  private build(node: number, start: number, stop: number): void {
    const { ranks, offered, sources } = this;
    let first = ranks[start];
    for (let i = start + 1; i < stop; i++) if (ranks[i] < first) first = ranks[i];
    this.firsts[node] = first;
    if (stop - start <= LEAF) return;
    const axis = this.widest(start, stop);
    const values = new Int16Array(stop - start);
    for (let i = start; i < stop; i++) values[i - start] = offered[sources[ranks[i]] * LENGTH + axis];
    const middle = (start + stop) >> 1;
    halve(ranks.subarray(start, stop), values, middle - start);
    let [low, high] = [-32768, 32767];
    for (let i = 0; i < middle - start; i++) low = Math.max(low, values[i]);
    for (let i = middle - start; i < stop - start; i++) high = Math.min(high, values[i]);
    this.axes[node] = axis;
    this.lows[node] = low;
    this.highs[node] = high;
    this.build(2 * node, start, middle);
    this.build(2 * node + 1, middle, stop);
  }

  /** The coordinate in which some sources differ most. */
  private widest(start: number, stop: number): number {
    const { ranks, offered, sources, lowest, highest } = this;
    lowest.fill(32767);
    highest.fill(-32768);
    for (let i = start; i < stop; i++) {
      for (let place = 0, at = sources[ranks[i]] * LENGTH; place < LENGTH; place++, at++) {
        const value = offered[at];
        if (value < lowest[place]) lowest[place] = value;
        if (value > highest[place]) highest[place] = value;
      }
    }
    let axis = 0;
    for (let place = 1; place < LENGTH; place++) {
      if (highest[place] - lowest[place] > highest[axis] - lowest[axis]) axis = place;
    }
    return axis;
  }

  /** `bound`: what a source below the node costs at least: the squared gaps to the part of space that it holds. */
  private descend(node: number, start: number, stop: number, bound: number): void {
    if (stop - start <= LEAF) {
      this.scan(start, stop);
      return;
    }
    const middle = (start + stop) >> 1;
    const axis = this.axes[node];
    const value = this.target[this.at + axis];
    const before = Math.max(value - this.lows[node], 0);
    const behind = Math.max(this.highs[node] - value, 0);
    const old = this.gaps[axis];
    const lower = before <= behind;
    const near = 2 * node + (lower ? 0 : 1);
    // On the nearer side, too, nothing may be so near as the target itself.
    this.visit(near, lower ? start : middle, lower ? middle : stop, bound, axis, old, lower ? before : behind);
    this.visit(near ^ 1, lower ? middle : start, lower ? stop : middle, bound, axis, old, lower ? behind : before);
  }

  private visit(
    node: number,
    start: number,
    stop: number,
    bound: number,
    axis: number,
    old: number,
    gap: number,
  ): void {
    const wider = Math.max(gap, old);
    const least = bound - old * old + wider * wider;
    if (least > this.least || (least === this.least && this.firsts[node] >= this.ranks[this.best])) return;
    this.gaps[axis] = wider;
    this.descend(node, start, stop, least);
    this.gaps[axis] = old;
  }

  private scan(start: number, stop: number): void {
    for (let place = start; place < stop; place++) {
      const distance = this.distance(place, this.least);
      if (distance < this.least || (distance === this.least && this.ranks[place] < this.ranks[this.best])) {
        this.least = distance;
        this.best = place;
      }
    }
  }

  /** Of the target to a source; something above `limit` where that is certain before the end. */
  private distance(place: number, limit: number): number {
    const { points, target } = this;
    let sum = this.charges[place];
    for (let p = place * LENGTH, q = this.at, behind = p + LENGTH; p < behind; p += 6, q += 6) {
      const a = points[p] - target[q];
      const b = points[p + 1] - target[q + 1];
      const c = points[p + 2] - target[q + 2];
      const d = points[p + 3] - target[q + 3];
      const e = points[p + 4] - target[q + 4];
      const f = points[p + 5] - target[q + 5];
      // As integers, which engines add faster than floats.
      sum = (sum + Math.imul(a, a) + Math.imul(b, b) + Math.imul(c, c)) | 0;
      sum = (sum + Math.imul(d, d) + Math.imul(e, e) + Math.imul(f, f)) | 0;
      if (sum > limit) break;
    }
    return sum;
  }
}

/** Order ranks and their values so that none before `middle` is greater than any from there on (Hoare 1961). */
function halve(ranks: Int32Array, values: Int16Array, middle: number): void {
  let start = 0;
  let stop = values.length - 1;
  while (start < stop) {
    const pivot = values[(start + stop) >> 1];
    let i = start;
    let j = stop;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i > j) break;
      const value = values[i];
      const rank = ranks[i];
      values[i] = values[j];
      ranks[i++] = ranks[j];
      values[j] = value;
      ranks[j--] = rank;
    }
    if (middle <= j) stop = j;
    else if (middle >= i) start = i;
    else return;
  }
}
