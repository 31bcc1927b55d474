import { describe, expect, it } from "vitest";
import { type Bytes, FormatError, concat, latin1 } from "../src/codec/bytes";
import { PNG_SIGNATURE, decodePng, encodePng } from "../src/codec/png";
import type { Channels, Raster } from "../src/image/raster";
import { equal, random } from "./support";

/** Smooth on the left, noise on the right: every filter is the best for some row. */
function testImage(channels: Channels, depth: 8 | 16, width: number, height: number): Raster {
  const next = random(width + height);
  const data = depth === 8 ? new Uint8Array(width * height * channels) : new Uint16Array(width * height * channels);
  for (let at = 0; at < data.length; at++) {
    const [x, y] = [Math.floor(at / channels) % width, Math.floor(at / channels / width)];
    data[at] = x < width / 2 ? (x * 3 + y * y) * (depth === 8 ? 1 : 257) : next() * 2 ** depth;
  }
  return { width, height, channels, data };
}

const one = (): Promise<Bytes> => encodePng(testImage(3, 8, 9, 5));

describe("PNG", () => {
  it.each([1, 2, 3, 4] as const)("keeps every sample, %i channels", async (channels) => {
    for (const depth of [8, 16] as const) {
      for (const [width, height] of [
        [1, 1],
        [1, 9],
        [13, 1],
        [37, 29],
      ]) {
        const raster = testImage(channels, depth, width, height);
        const again = (await decodePng(await encodePng(raster))).raster;
        expect({ ...again, data: 0 }).toEqual({ ...raster, data: 0 });
        expect(again.data.constructor).toBe(raster.data.constructor);
        expect(equal(again.data, raster.data)).toBe(true);
      }
    }
  });

  it("keeps metadata and drops what would be wrong in a new file", async () => {
    const metadata = [
      { type: "iCCP", data: latin1("profile") },
      { type: "tEXt", data: latin1("Title\0Tree") },
    ];
    const bytes = await encodePng(testImage(3, 8, 4, 4), [...metadata, { type: "bKGD", data: new Uint8Array(6) }]);
    expect((await decodePng(bytes)).chunks).toEqual(metadata);
  });

  it("refuses every truncation", async () => {
    const bytes = await one();
    for (let length = 0; length < bytes.length; length += 3) {
      await expect(decodePng(bytes.slice(0, length))).rejects.toBeInstanceOf(FormatError);
    }
  });

  it("refuses flipped bits", async () => {
    const bytes = await one();
    for (let at = PNG_SIGNATURE.length; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] ^= 0x10;
      await expect(decodePng(damaged)).rejects.toBeInstanceOf(FormatError);
    }
  });

  it("refuses more or fewer samples than the header announces", async () => {
    const small = await encodePng(testImage(1, 8, 4, 4));
    const large = await encodePng(testImage(1, 8, 40, 40));
    const header = small.subarray(0, 8 + 25);
    await expect(decodePng(concat([header, large.subarray(8 + 25)]))).rejects.toThrow("more samples");
    await expect(decodePng(concat([large.subarray(0, 8 + 25), small.subarray(8 + 25)]))).rejects.toThrow("cut short");
  });

  it("refuses other files", async () => {
    await expect(decodePng(latin1("not an image at all"))).rejects.toThrow("it is not a PNG file");
  });
});
