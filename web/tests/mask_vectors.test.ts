// The table of ../../tests/vectors/masks, which Python reads too: see make.py there.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { orientationOf } from "../src/codec/exif";
import { upright } from "../src/codec/orient";
import { decodePng, labelBase } from "../src/codec/png";
import { MaskError, type MaskFrom, type MaskImage, type MaskOptions, readMask } from "../src/image/mask_reading";
import { equal } from "./support";

const FOLDER = new URL("../../tests/vectors/masks/", import.meta.url);

interface Vector {
  readonly name: string;
  readonly image: string;
  readonly mask: string;
  /** The mask's samples, for readers that have no decoder for its format. */
  readonly decoded?: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
  readonly hole?: string;
  readonly error?: string;
}

const bytesOf = (name: string) => Uint8Array.from(readFileSync(new URL(name, FOLDER)));
const vectors = JSON.parse(readFileSync(new URL("vectors.json", FOLDER), "utf-8")) as Vector[];

async function decode(name: string): Promise<{ image: MaskImage; orientation: number }> {
  const { raster, chunks, base } = await decodePng(bytesOf(name));
  const exif = chunks.find((chunk) => chunk.type === "eXIf")?.data;
  const orientation = exif ? orientationOf(exif) : 1;
  return { image: { ...upright(raster, orientation), base }, orientation };
}

const optionsOf = ({ options }: Vector, orientation: number): MaskOptions => ({
  threshold: options.threshold as number | undefined,
  maskFrom: options.mask_from as MaskFrom | undefined,
  marked: options.marked as boolean | undefined,
  invert: options.invert_mask as boolean | undefined,
  resize: options.resize_mask as boolean | undefined,
  orientation,
});

describe("masks", () => {
  it.each(vectors)("reads $name as Python does", async (vector) => {
    const { image, orientation } = await decode(vector.image);
    let { image: mask } = await decode(vector.decoded ?? vector.mask);
    if (vector.mask.endsWith(".gif")) mask = { ...mask, base: labelBase(bytesOf(vector.mask).subarray(13, 13 + 768)) };
    const read = () => readMask(mask, image, optionsOf(vector, orientation));
    if (vector.error !== undefined) {
      let kind: unknown = null;
      try {
        read();
      } catch (error) {
        kind = error instanceof MaskError ? error.kind : error;
      }
      expect(kind).toBe(vector.error);
      return;
    }
    const { holes, notes } = read();
    expect(notes.map(({ kind }) => kind).sort()).toEqual(vector.warnings);
    const { image: expected } = await decode(vector.hole ?? "");
    expect(expected.width * expected.height).toBe(holes.length);
    expect(equal(holes, expected.data.map((value) => value && 1) as Uint8Array)).toBe(true);
  });
});
