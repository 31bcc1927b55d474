// The numbers of ../../tests/vectors/noise, which Python has drawn: see make.py there.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { hashes, normals } from "../src/device/noise";

interface Vector {
  readonly seed: readonly number[];
  readonly hashes: readonly number[];
  readonly normals: readonly (readonly number[])[];
}

const VECTORS = JSON.parse(
  readFileSync(new URL("../../tests/vectors/noise/vectors.json", import.meta.url), "utf-8"),
) as Vector[];

it.each(VECTORS)("draws the noise of seed $seed as Python does, bit for bit", (vector) => {
  expect(vector.hashes.map((_, index) => hashes(vector.seed)(index))).toEqual(vector.hashes);
  const planes = vector.normals.map((_, plane) => [...normals(vector.seed, plane, { width: 4, height: 3 }).data]);
  expect(planes).toEqual(vector.normals);
});
