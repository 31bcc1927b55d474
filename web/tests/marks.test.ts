import { describe, expect, it } from "vitest";
import { grown } from "../src/image/growing";
import { EditedImage } from "../src/image/edited_image";
import type { Channels, Raster } from "../src/image/raster";
import { polygon, rectangle } from "../src/image/shapes";
import { apply, areShown, takeBack } from "../src/image/sheet";
import { matchColour } from "../src/image/wand";
import { random } from "./support";

const SIZE = { width: 47, height: 31 };

function plain(channels: Channels, data: (pixel: number, channel: number) => number, size = SIZE): Raster {
  const samples = new Uint8Array(size.width * size.height * channels);
  for (let i = 0; i < samples.length; i++) samples[i] = data(Math.floor(i / channels), i % channels);
  return { ...size, channels, data: samples };
}

function box(image: EditedImage, left: number, top: number, right: number, bottom: number, grow = 0) {
  const stroke = image.stroke("hole");
  stroke.add(polygon(rectangle({ x: left, y: top }, { x: right, y: bottom })));
  stroke.grow(grow);
  return stroke.finish();
}

describe("grown", () => {
  it.each([0, 1, 2, 5, 12])("marks all within %i pixels and nothing else", (radius) => {
    const next = random(4);
    const mask = Uint8Array.from({ length: SIZE.width * SIZE.height }, () => Number(next() < 0.01));
    const near = grown(mask, SIZE, radius);
    near.forEach((mark, at) => {
      const [x, y] = [at % SIZE.width, Math.floor(at / SIZE.width)];
      const expected = mask.some((own, i) => {
        const [dx, dy] = [(i % SIZE.width) - x, Math.floor(i / SIZE.width) - y];
        return own === 1 && dx * dx + dy * dy <= radius * radius;
      });
      expect(mark).toBe(Number(expected));
    });
  });
});

describe("a stroke that grows or shrinks", () => {
  const count = (image: EditedImage): number => image.mask().filter((white) => white).length;

  it("changes only what it has marked itself", () => {
    const image = new EditedImage(plain(1, () => 9, { width: 600, height: 300 }));
    box(image, 10, 10, 20, 20);
    box(image, 250, 100, 270, 120, -4); // across the edge of two tiles
    expect(count(image)).toBe(100 + 12 * 12);
    box(image, 400, 200, 401, 201, 2);
    expect(count(image)).toBe(100 + 12 * 12 + 13);
  });

  it("does not shrink from the edge of the image", () => {
    const image = new EditedImage(plain(1, () => 9));
    box(image, 0, 0, 10, 10, -2);
    expect(count(image)).toBe(64);
  });

  it("is undone as a whole", () => {
    const image = new EditedImage(plain(1, () => 9));
    takeBack(box(image, 5, 5, 15, 15, 3));
    expect(image.hasMarks).toBe(false);
  });
});

describe("what a step changed", () => {
  it("is on show until something is written over it", () => {
    const image = new EditedImage(plain(1, () => 9));
    const first = box(image, 5, 5, 15, 15);
    expect(areShown(first)).toBe(true);
    const second = box(image, 8, 8, 20, 20);
    expect(areShown(first)).toBe(false);
    expect(areShown([...first, ...second])).toBe(true);
    takeBack(second);
    expect(areShown(first)).toBe(true);
    apply(second);
    expect(areShown(second)).toBe(true);
  });
});

describe("places to avoid", () => {
  it("are sent along, are no hole, and go with the eraser", () => {
    const image = new EditedImage(plain(1, () => 9));
    const stroke = image.stroke("avoid");
    stroke.add(polygon(rectangle({ x: 2, y: 2 }, { x: 6, y: 5 })));
    stroke.finish();
    const region = { left: 0, top: 0, ...SIZE };
    expect(image.hasPending).toBe(false);
    expect(image.request(region).exclude?.filter((mark) => mark).length).toBe(12);
    image.clear();
    expect(image.request(region).exclude).toBeNull();
    expect(image.hasMarks).toBe(false);
  });
});

describe("the magic wand", () => {
  // Two squares of one colour, and a frame around the second that is near to it.
  const inside = (x: number, y: number, left: number, right: number) => x >= left && x < right && y >= 10 && y < 20;
  const image = new EditedImage(
    plain(3, (pixel, channel) => {
      const [x, y] = [pixel % SIZE.width, Math.floor(pixel / SIZE.width)];
      if (inside(x, y, 5, 15) || inside(x, y, 25, 35)) return [200, 20, 20][channel];
      return inside(x, y, 25, 40) ? [190, 25, 12][channel] : 60;
    }),
  );
  const marked = (tolerance: number, everywhere: boolean): number =>
    matchColour(image, { x: 6.5, y: 11.5 }, tolerance, everywhere).filter((mark) => mark).length;

  it("marks what is connected, or all of the colour", () => {
    expect(marked(0, false)).toBe(100);
    expect(marked(0, true)).toBe(200);
    expect(marked(9, true)).toBe(200);
    expect(marked(10, true)).toBe(250);
    expect(marked(255, false)).toBe(SIZE.width * SIZE.height);
  });
});
