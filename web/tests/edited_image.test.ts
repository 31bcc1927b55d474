import { describe, expect, it } from "vitest";
import type { Box } from "../src/geometry";
import { History } from "../src/image/history";
import { FILLED, KEEP, type Mark, PENDING } from "../src/image/marks";
import { EditedImage } from "../src/image/edited_image";
import { type Channels, type Raster, crop } from "../src/image/raster";
import { polygon, rectangle, sweep } from "../src/image/shapes";
import { Sheet } from "../src/image/sheet";
import { equal, random } from "./support";

const WHOLE = { left: 0, top: 0, width: 600, height: 300 };

function noise(channels: Channels, depth: 8 | 16, { width, height }: Box = WHOLE, seed = 1): Raster {
  const next = random(seed);
  const length = width * height * channels;
  const data = depth === 8 ? new Uint8Array(length) : new Uint16Array(length);
  for (let index = 0; index < length; index++) data[index] = next() * 2 ** depth;
  return { width, height, channels, data };
}

function paint(edited: EditedImage, mark: Mark, left: number, top: number, right: number, bottom: number) {
  const stroke = edited.stroke(mark);
  stroke.add(polygon(rectangle({ x: left, y: top }, { x: right, y: bottom })));
  return edited.record("Stroke", stroke.finish());
}

function fillWith(edited: EditedImage, value: number, core: Box = WHOLE, region: Box = WHOLE) {
  const { image, mask } = edited.request(region);
  const answer = { ...image, data: image.data.map(() => value) as typeof image.data };
  return edited.record("Fill", edited.paste(region, core, mask, answer));
}

const holes = (edited: EditedImage): number => edited.mask().reduce((sum, white) => sum + white / 255, 0);

describe("EditedImage", () => {
  it.each([
    [1, 8],
    [2, 8],
    [3, 8],
    [4, 8],
    [1, 16],
    [2, 16],
    [3, 16],
    [4, 16],
  ] as const)("keeps every sample outside the mask, %i channels of %i bits", (channels, depth) => {
    const source = noise(channels, depth);
    const copy = source.data.slice();
    const edited = new EditedImage(source);
    paint(edited, "hole", 200, 100, 300, 200);
    fillWith(edited, 7);
    paint(edited, "hole", 250, 150, 590, 299);
    paint(edited, "erase", 400, 0, 450, 300);
    fillWith(edited, 9);
    const mask = edited.mask();
    const result = edited.current().data;
    for (let at = 0; at < result.length; at++) {
      const expected = mask[Math.floor(at / channels)] === 0 ? copy[at] : result[at] === 7 ? 7 : 9;
      if (result[at] !== expected) expect.fail(`sample ${at} is ${result[at]}`);
    }
    expect(equal(source.data, copy)).toBe(true);
    expect(holes(edited)).toBeGreaterThan(10_000);
  });

  it("asks with the holes blanked and earlier fills in place", () => {
    const edited = new EditedImage(noise(3, 8));
    paint(edited, "hole", 10, 10, 20, 20);
    fillWith(edited, 99);
    paint(edited, "hole", 15, 15, 30, 30);
    const region = { left: 8, top: 4, width: 40, height: 32 };
    const { image, mask } = edited.request(region);
    expect(mask.reduce((sum, hole) => sum + hole, 0)).toBe(15 * 15);
    const at = (x: number, y: number): number => (y - region.top) * region.width + x - region.left;
    expect([...image.data.subarray(3 * at(12, 12), 3 * at(12, 12) + 3)]).toEqual([99, 99, 99]);
    expect([...image.data.subarray(3 * at(16, 16), 3 * at(16, 16) + 3)]).toEqual([0, 0, 0]);
    expect(image.data.subarray(3 * at(40, 30), 3 * at(40, 30) + 3)).toEqual(
      crop(edited.source, { left: 40, top: 30, width: 1, height: 1 }).data,
    );
  });

  it("pastes only in the core, only what was asked for and is still wanted", () => {
    const edited = new EditedImage(noise(3, 8));
    paint(edited, "hole", 100, 100, 200, 200);
    const { image, mask } = edited.request(WHOLE);
    paint(edited, "erase", 100, 100, 120, 200); // erased while the server was at work
    paint(edited, "hole", 300, 100, 310, 200); // painted while the server was at work
    edited.paste(WHOLE, { left: 0, top: 0, width: 150, height: 300 }, mask, {
      ...image,
      data: image.data.slice().fill(5),
    });
    expect(edited.holeAt(110, 150)).toBe(KEEP);
    expect(edited.holeAt(130, 150)).toBe(FILLED);
    expect(edited.holeAt(160, 150)).toBe(PENDING);
    expect(edited.holeAt(305, 150)).toBe(PENDING);
  });

  it.each([
    [{ width: 599 }, "it is 599 × 300 pixels instead of 600 × 300"],
    [{ channels: 4 }, "it has 4 channels instead of 3"],
    [{ data: new Uint16Array(600 * 300 * 3) }, "it has 16 bits instead of 8"],
  ] as const)("refuses an answer of another kind", (change, words) => {
    const edited = new EditedImage(noise(3, 8));
    paint(edited, "hole", 0, 0, 9, 9);
    const { image, mask } = edited.request(WHOLE);
    expect(() => edited.paste(WHOLE, WHOLE, mask, { ...image, ...change } as Raster)).toThrow(words);
    expect(edited.holeAt(3, 3)).toBe(PENDING);
  });

  it("brings the original back under the eraser", () => {
    const source = noise(4, 16);
    const edited = new EditedImage(source);
    paint(edited, "hole", 0, 0, 600, 300);
    fillWith(edited, 1);
    paint(edited, "erase", 0, 0, 600, 300);
    expect(equal(edited.current().data, source.data)).toBe(true);
    expect(edited.hasMarks).toBe(false);
  });

  it("goes back and forth through strokes and results", () => {
    const edited = new EditedImage(noise(3, 8));
    const states = [edited.current().data];
    const masks = [edited.mask()];
    const steps = [
      () => paint(edited, "hole", 10, 10, 400, 280),
      () => fillWith(edited, 3),
      () => paint(edited, "erase", 50, 50, 300, 100),
      () => paint(edited, "hole", 20, 20, 90, 90),
      () => fillWith(edited, 8),
    ];
    for (const step of steps) {
      step();
      states.push(edited.current().data);
      masks.push(edited.mask());
    }
    for (let index = steps.length - 1; index >= 0; index--) {
      edited.history.undo();
      expect(equal(edited.current().data, states[index])).toBe(true);
      expect(equal(edited.mask(), masks[index])).toBe(true);
    }
    expect(edited.history.undo()).toBeUndefined();
    for (let index = 1; index <= steps.length; index++) {
      edited.history.redo();
      expect(equal(edited.current().data, states[index])).toBe(true);
    }
    expect(edited.history.redo()).toBeUndefined();
  });

  it("takes a stroke and the result it set off back together", () => {
    const edited = new EditedImage(noise(3, 8));
    const stroke = paint(edited, "hole", 10, 10, 400, 280);
    const { image, mask } = edited.request(WHOLE);
    edited.record("Fill", edited.paste(WHOLE, WHOLE, mask, image), stroke ?? undefined);
    edited.history.undo();
    expect(edited.history.canUndo).toBe(false);
    expect(holes(edited)).toBe(0);
    edited.history.redo();
    expect(edited.holeAt(100, 100)).toBe(FILLED);
  });

  it("drops a cancelled stroke", () => {
    const edited = new EditedImage(noise(3, 8));
    const stroke = edited.stroke("hole");
    stroke.add(sweep({ x: 0, y: 0, radius: 50 }, { x: 600, y: 300, radius: 50 }));
    expect(stroke.takeFresh().length).toBeGreaterThan(3);
    stroke.rollBack();
    expect(edited.hasPending).toBe(false);
    expect(edited.holes.written()).toEqual([]);
  });

  it("adds a mask image, and hands the same mask out", () => {
    const edited = new EditedImage(noise(1, 8));
    const next = random(9);
    const white = Uint8Array.from({ length: 600 * 300 }, () => Number(next() < 0.3));
    edited.addMask(white);
    expect(
      equal(
        edited.mask(),
        white.map((hole) => 255 * hole),
      ),
    ).toBe(true);
  });

  it("names the cells that wait to be filled", () => {
    const edited = new EditedImage(noise(1, 8));
    paint(edited, "hole", 60, 10, 70, 20);
    paint(edited, "hole", 599, 299, 600, 300);
    expect(edited.pendingCells().sort()).toEqual(
      [
        [0, 0],
        [1, 0],
        [9, 4],
      ].sort(),
    );
  });
});

describe("History", () => {
  it("forgets the oldest steps beyond its budget, but never the latest", () => {
    const sheet = new Sheet({ width: 10, height: 10 }, () => new Uint8Array(100));
    const history = new History(250);
    const changes = () => [{ sheet: sheet as never, index: 0, before: undefined, after: new Uint8Array(100) }];
    for (const label of ["a", "b", "c"]) history.record({ label, changes: changes() });
    expect(history.undo()?.label).toBe("c");
    expect(history.undo()?.label).toBe("b");
    expect(history.undo()).toBeUndefined();
    const tiny = new History(1);
    tiny.record({ label: "a", changes: changes() });
    expect(tiny.canUndo).toBe(true);
  });

  it("has nothing to redo after a new step", () => {
    const history = new History();
    history.record({ label: "a", changes: [] });
    history.undo();
    history.record({ label: "b", changes: [] });
    expect(history.canRedo).toBe(false);
  });
});
