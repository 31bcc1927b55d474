import { describe, expect, it } from "vitest";
import { type Paces, guessedPace, learnPace, paceKeyOf, secondsFor } from "../src/ui/paces";

const one = { backend: "wasm", threads: 1 } as const;
const two = { backend: "wasm", threads: 2 } as const;
const gpu = { backend: "webgpu", threads: 1 } as const;

describe("paces", () => {
  it("of every engine are learned apart", () => {
    const paces: Paces = {};
    learnPace(paces, paceKeyOf(one), 500_000, 6);
    learnPace(paces, paceKeyOf(two), 500_000, 4);
    learnPace(paces, paceKeyOf(gpu), 500_000, 0.5);
    learnPace(paces, "server", 2_000_000, 2);
    expect(paces).toEqual({ "wasm 1": 12, "wasm 2": 8, webgpu: 1, server: 1 });
    expect(secondsFor(250_000, paces["wasm 2"] as number)).toBe(2);
  });

  it("follow what is measured", () => {
    const paces: Paces = { server: 4 };
    learnPace(paces, "server", 1_000_000, 2);
    expect(paces.server).toBe(3);
  });

  it("are guessed before that: the faster, the more there is to compute with", () => {
    const guesses = [one, two, gpu].map(guessedPace);
    expect(guesses).toEqual([...guesses].sort((a, b) => b - a));
    expect(new Set(guesses).size).toBe(3);
  });
});
