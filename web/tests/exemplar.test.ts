// The cases of ../../tests/vectors/exemplar, which Python has filled: see make.py there.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { decodePng } from "../src/codec/png";
import { complete } from "../src/device/exemplar/complete";
import { inpaint, workload } from "../src/device/inpaint";
import type { Solution } from "../src/device/exemplar/solve";
import type { Raster } from "../src/image/raster";

const FOLDER = new URL("../../tests/vectors/exemplar/", import.meta.url);
/** What an offset of 0 is in a file. */
const NOWHERE = 32768;

type Edges = readonly [left: number, top: number, width: number, height: number];
interface Case {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Edges[];
  readonly exclude: readonly Edges[];
  readonly seed: number;
}

const CASES = JSON.parse(readFileSync(new URL("vectors.json", FOLDER), "utf-8")) as Case[];

function marked(boxes: readonly Edges[], { width, height }: { width: number; height: number }): Uint8Array {
  const marks = new Uint8Array(width * height);
  for (const [left, top, w, h] of boxes) {
    for (let y = top; y < top + h; y++) marks.fill(1, y * width + left, y * width + left + w);
  }
  return marks;
}

const read = async (name: string): Promise<Raster> =>
  (await decodePng(Uint8Array.from(readFileSync(new URL(name, FOLDER))))).raster;

/** As Python writes them: three numbers for each sample of the searched level. */
function offsetsOf({ searched, size, matching }: Solution): Uint16Array {
  const offsets = new Uint16Array(3 * searched.length);
  matching.targets.forEach((target, i) => {
    if (!searched[target]) return;
    const [from, to] = [matching.matches[i], target].map((at) => [Math.floor(at / size.width), at % size.width]);
    offsets.set([from[0] - to[0] + NOWHERE, from[1] - to[1] + NOWHERE], 3 * target);
  });
  return offsets;
}

/** How many numbers differ, and how far at most. */
function difference(a: ArrayLike<number>, b: ArrayLike<number>): { count: number; most: number } {
  let [count, most] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) count++;
    most = Math.max(most, Math.abs(a[i] - b[i]));
  }
  return { count, most };
}

it.each(CASES)(
  "completes $name as Python does",
  async (vector) => {
    const samples = await read(`${vector.name}.png`);
    const { channels } = samples;
    const before = samples.data.slice();
    const hole = marked(vector.boxes, vector);
    const shares: number[] = [];
    const step = async (share: number): Promise<void> => void shares.push(share);
    const solution = (await complete(samples, hole, marked(vector.exclude, vector), vector.seed, step)) as Solution;

    const offsets = (await read(`${vector.name}-offsets.png`)).data;
    expect(difference(offsetsOf(solution), offsets)).toEqual({ count: 0, most: 0 });
    const inside = samples.data.filter((_, i) => hole[Math.floor(i / channels)]);
    const filled = (await read(`${vector.name}-filled.png`)).data.filter((_, i) => hole[Math.floor(i / channels)]);
    // The seams' equation is solved with sums in another order.
    expect(difference(inside, filled).most).toBeLessThanOrEqual(samples.data instanceof Uint8Array ? 1 : 257);
    const outside = (data: Raster["data"]): Raster["data"] => data.filter((_, i) => !hole[Math.floor(i / channels)]);
    expect(difference(outside(samples.data), outside(before)).count).toBe(0);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
  },
  60_000,
);

it.each(CASES.filter(({ name }) => ["square", "again", "avoided"].includes(name)))(
  "is what a fill does with what the network has filled: $name",
  async (vector) => {
    const image = await read(`${vector.name}.png`);
    const size = { width: vector.width, height: vector.height };
    const hole = marked(vector.boxes, vector);
    const mask = { ...size, data: hole };
    // In the hole the file holds the guide.
    const network = { multiple: 1, coarseLevels: 0, run: async (image: Float32Array) => image };
    const exclude = { ...size, data: marked(vector.exclude, vector) };
    const done: number[] = [];
    const filled = await inpaint(image, mask, {
      network,
      options: { detail: "image", seed: vector.seed, exclude },
      step: async (work) => void done.push(work),
    });
    const expected = (await read(`${vector.name}-filled.png`)).data;
    const inside = (data: Raster["data"]): Raster["data"] => data.filter((_, i) => hole[Math.floor(i / 3)]);
    expect(difference(inside(filled.data), inside(expected)).most).toBeLessThanOrEqual(1);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done.at(-1)).toBeCloseTo(workload(mask, 0));
  },
  60_000,
);

it("stops between the rounds of a level", async () => {
  const samples = await read("square.png");
  let steps = 0;
  const step = async (): Promise<void> => {
    if (++steps === 3) throw new Error("enough");
  };
  const hole = marked(CASES[0].boxes, CASES[0]);
  await expect(
    complete(
      samples,
      hole,
      hole.map(() => 0),
      0,
      step,
    ),
  ).rejects.toThrow("enough");
  expect(steps).toBe(3);
});
