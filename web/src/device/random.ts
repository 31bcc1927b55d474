/**
 * Normally distributed numbers as `numpy.random.default_rng(seed).standard_normal(dtype=float32)` draws them: grain is
 * the same here and in Python. The parts are those of O'Neill ("PCG: A family of simple fast space-efficient
 * statistically good algorithms for random number generation", 2014), here PCG64 XSL RR, and of Marsaglia and Tsang
 * ("The ziggurat method for generating random variables", 2000), with 256 layers.
 */

/** The multiplier of PCG64, 128 bits in limbs of 16, least first. */
const MULTIPLIER = limbsOf(0x2360ed051fc65da44385df649fccf645n);
const LIMBS = 8;
const LIMB = 0x10000;

/** Where the tail of the normal distribution starts, and the area of a layer. */
const TAIL = 3.6541528853610088;
const LAYER = 0.004928673233974658;
const LAYERS = 256;
const FRACTION = 2 ** 23;

export type Draw = () => number;

/** A source of standard normal numbers; the seed is a list of integers in [0, 2^32). */
export function normals(seed: readonly number[]): Draw {
  const next = uint32s(seed);
  const { widths, limits, heights } = layers();
  const uniform = (): number => (next() >>> 8) / 2 ** 24;
  const tail = (sign: number): number => {
    for (;;) {
      const x = -Math.log1p(-uniform()) / TAIL;
      const y = -Math.log1p(-uniform());
      if (2 * y > x * x) return sign * (TAIL + x);
    }
  };
  return () => {
    for (;;) {
      const bits = next();
      const layer = bits & 0xff;
      const size = bits >>> 9;
      const x = Math.fround((bits & 0x100 ? -1 : 1) * size * widths[layer]);
      if (size < limits[layer]) return x;
      if (layer === 0) return tail(size & 0x100 ? -1 : 1);
      const step = Math.fround(heights[layer - 1] - heights[layer]);
      const height = Math.fround(heights[layer] + Math.fround(step * uniform()));
      if (height < Math.exp(-0.5 * x * x)) return x;
    }
  };
}

interface Layers {
  /** What a fraction of `FRACTION` is worth in each layer. */
  readonly widths: Float32Array;
  /** Fractions below it are under the curve for certain. */
  readonly limits: Uint32Array;
  /** The curve at the outer end of each layer. */
  readonly heights: Float32Array;
}

let known: Layers | null = null;

function layers(): Layers {
  if (known) return known;
  const curve = (x: number): number => Math.exp(-0.5 * x * x);
  const ends = new Float64Array(LAYERS);
  ends[LAYERS - 1] = TAIL;
  for (let i = LAYERS - 2; i > 0; i--) ends[i] = Math.sqrt(-2 * Math.log(LAYER / ends[i + 1] + curve(ends[i + 1])));
  const base = LAYER / curve(TAIL);
  known = {
    widths: Float32Array.from(ends, (end, i) => (i === 0 ? base : end) / FRACTION),
    limits: Uint32Array.from(ends, (end, i) => Math.round((i === 0 ? TAIL / base : ends[i - 1] / end) * FRACTION)),
    heights: Float32Array.from(ends, curve),
  };
  return known;
}

/** PCG64, 32 bits at a time: the lower half of each number first. */
function uint32s(seed: readonly number[]): () => number {
  const words = seedWords(seed, 8);
  const wide = (at: number): bigint =>
    words.slice(at, at + 4).reduce((sum, word, i) => sum | (BigInt(word) << BigInt([64, 96, 0, 32][i])), 0n);
  const increment = limbsOf((wide(4) << 1n) | 1n);
  const state = increment.slice(); // one step from zero
  add(state, limbsOf(wide(0)));
  advance(state, increment);
  let upper = 0;
  let stored = false;
  return () => {
    stored = !stored;
    if (!stored) return upper;
    advance(state, increment);
    const low = ((state[0] ^ state[4]) | ((state[1] ^ state[5]) << 16)) >>> 0;
    const high = ((state[2] ^ state[6]) | ((state[3] ^ state[7]) << 16)) >>> 0;
    const turn = state[7] >>> 10;
    const [a, b] = turn & 32 ? [high, low] : [low, high];
    const shift = turn & 31;
    if (shift === 0) {
      upper = b;
      return a;
    }
    upper = ((b >>> shift) | (a << (32 - shift))) >>> 0;
    return ((a >>> shift) | (b << (32 - shift))) >>> 0;
  };
}

/** state = state * MULTIPLIER + increment, modulo 2^128. */
function advance(state: Float64Array, increment: Float64Array): void {
  let carry = 0;
  for (let k = LIMBS - 1; k >= 0; k--) {
    let sum = increment[k];
    for (let i = 0; i <= k; i++) sum += state[i] * MULTIPLIER[k - i];
    // From the most significant limb down, so that the limbs that are still needed are still there.
    state[k] = sum;
  }
  for (let k = 0; k < LIMBS; k++) {
    const sum = state[k] + carry;
    carry = Math.floor(sum / LIMB);
    state[k] = sum - carry * LIMB;
  }
}

function add(state: Float64Array, other: Float64Array): void {
  let carry = 0;
  for (let k = 0; k < LIMBS; k++) {
    const sum = state[k] + other[k] + carry;
    carry = sum >= LIMB ? 1 : 0;
    state[k] = sum - carry * LIMB;
  }
}

function limbsOf(value: bigint): Float64Array {
  return Float64Array.from({ length: 8 }, (_, k) => Number((value >> BigInt(16 * k)) & 0xffffn));
}

/** NumPy's `SeedSequence(seed).generate_state(count)`: integers spread over words, each of them over all bits. */
function seedWords(seed: readonly number[], count: number): number[] {
  let constant = 0x43b0d7e5;
  const hash = (value: number): number => {
    const mixed = value ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    return fold(Math.imul(mixed, constant));
  };
  const mix = (a: number, b: number): number => fold(Math.imul(0xca01f9dd, a) - Math.imul(0x4973f715, b));
  const pool = Array.from({ length: Math.max(4, seed.length) }, (_, i) => (i < 4 ? hash(seed[i] ?? 0) : 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  }
  for (let from = 4; from < seed.length; from++) {
    for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(seed[from]));
  }
  constant = 0x8b51f9dd;
  return Array.from({ length: count }, (_, i) => {
    const mixed = pool[i % 4] ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    return fold(Math.imul(mixed, constant));
  });
}

const fold = (value: number): number => {
  const word = value >>> 0;
  return (word ^ (word >>> 16)) >>> 0;
};
