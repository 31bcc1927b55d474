/** Mutated files: every codec ends with a result that makes sense, or with a FormatError. WAVEPAINT_FUZZ_SECONDS=600 goes on for longer. */

import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type Bytes, FormatError, concat, latin1, startsWith, uint32, viewOf } from "../src/codec/bytes";
import { orientationOf, retouchedExif } from "../src/codec/exif";
import { jpegMetadata, jpegQuality, withSourceSegments } from "../src/codec/jpeg";
import { isDisplayP3, metadataChunks } from "../src/codec/metadata";
import { PNG_SIGNATURE, decodePng, encodePng } from "../src/codec/png";
import { isLosslessWebp, webpMetadata, withMetadata } from "../src/codec/webp";
import { equal, random } from "./support";

const SECONDS = Number(process.env.WAVEPAINT_FUZZ_SECONDS ?? 0);
const ROUNDS = 2000;
const TIMEOUT = 1000 * (SECONDS + 60);

/** Call `check` with one mutation after the other; what it throws names the seed. */
async function fuzz(sources: readonly Bytes[], check: (bytes: Bytes) => unknown): Promise<void> {
  const end = Date.now() + 1000 * SECONDS;
  for (let seed = 0; SECONDS ? Date.now() < end : seed < ROUNDS; seed++) {
    try {
      await check(mutated(sources[seed % sources.length], random(seed)));
    } catch (error) {
      throw new Error(`mutation ${seed}`, { cause: error });
    }
  }
}

function mutated(source: Bytes, next: () => number): Bytes {
  const below = (limit: number): number => Math.floor(next() * limit);
  let bytes = source.slice();
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(bytes.length);
    const after = at + 1 + below(30);
    const value = [0, 1, 0x8000, 0x7fffffff, 0xffffffff][below(5)];
    switch (below(6)) {
      case 0:
        if (at < bytes.length) bytes[at] = below(256);
        break;
      case 1:
        if (at + 4 <= bytes.length) viewOf(bytes).setUint32(at, value, below(2) === 0);
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        bytes = concat([bytes.subarray(0, at), bytes.subarray(after)]);
        break;
      case 4:
        bytes = concat([bytes.subarray(0, at), bytes.subarray(0, 40), bytes.subarray(at)]);
        break;
      default:
        if (at < bytes.length) bytes[at] ^= 1 << below(8);
    }
  }
  return bytes;
}

const uint16 = (value: number): Bytes => Uint8Array.of(value >> 8, value & 255);
const tag = (id: number, type: number, value: Bytes): Bytes => concat([uint16(id), uint16(type), uint32(1), value]);
const EXIF = concat([
  latin1("MM\0*\0\0\0\x08"),
  concat([uint16(1), tag(0x112, 3, concat([uint16(6), uint16(0)])), uint32(26)]),
  concat([uint16(2), tag(0x201, 4, uint32(56)), tag(0x202, 4, uint32(9)), uint32(0)]),
  latin1("thumbnail"),
]);
const ICC = concat([new Uint8Array(40), latin1("Display P3")]);
const XMP = latin1("<x:xmpmeta/>");

const segment = (marker: number, payload: Bytes): Bytes =>
  concat([Uint8Array.of(0xff, marker), uint16(payload.length + 2), payload]);
const SCAN = concat([segment(0xda, new Uint8Array(10)), latin1("pixels"), Uint8Array.of(0xff, 0xd9)]);
const FRESH_JPEG = concat([Uint8Array.of(0xff, 0xd8), segment(0xdb, new Uint8Array(65).fill(9)), SCAN]);
const JPEG = concat([
  Uint8Array.of(0xff, 0xd8),
  segment(0xe0, concat([latin1("JFIF\0"), Uint8Array.of(1, 2, 1, 1, 44, 1, 44, 0, 0)])),
  segment(0xe1, concat([latin1("Exif\0\0"), EXIF])),
  segment(0xe1, concat([latin1("http://ns.adobe.com/xap/1.0/\0"), XMP])),
  segment(0xe2, concat([latin1("ICC_PROFILE\0\x01\x01"), ICC])),
  segment(0xdb, concat([Uint8Array.of(0), new Uint8Array(64).fill(7)])),
  SCAN,
]);

const riff = (...chunks: readonly (readonly [string, Bytes])[]): Bytes => {
  const little = (value: number): Bytes => uint32(value).reverse();
  const body = chunks.map(([type, data]) =>
    concat([latin1(type), little(data.length), data, new Uint8Array(data.length & 1)]),
  );
  const whole = concat([latin1("WEBP"), ...body]);
  return concat([latin1("RIFF"), little(whole.length), whole]);
};
const FRESH_WEBP = riff(["VP8L", new Uint8Array(9)]);
const WEBP = riff(
  ["VP8X", new Uint8Array(10)],
  ["ICCP", ICC],
  ["VP8L", new Uint8Array(9)],
  ["EXIF", EXIF],
  ["XMP ", XMP],
);

/** A PNG whose chunks have right checksums again. */
function withChecksums(bytes: Bytes): Bytes {
  const fixed = bytes.slice();
  for (let at = PNG_SIGNATURE.length; at + 12 <= fixed.length;) {
    const end = at + 8 + viewOf(fixed).getUint32(at);
    if (end + 4 > fixed.length) break;
    viewOf(fixed).setUint32(end, crc32(fixed.subarray(at + 4, end)));
    at = end + 4;
  }
  return fixed;
}

/** A PNG of 9 x 7 pixels with 3 bytes each, read as one of another kind with as many bytes in a row. */
const withHeader = (png: Bytes, width: number, depth: number, colorType: number): Bytes => {
  const changed = png.slice();
  changed.set([0, 0, 0, width, 0, 0, 0, 7, depth, colorType], PNG_SIGNATURE.length + 8);
  return withChecksums(changed);
};

describe("mutated files", () => {
  it("are PNGs that are decoded to as many samples as they have, or refused", { timeout: TIMEOUT }, async () => {
    const chunks = [
      { type: "eXIf", data: EXIF },
      { type: "tEXt", data: latin1("Title\0Tree") },
      { type: "PLTE", data: new Uint8Array(768).map((_, index) => 5 * index) },
      { type: "tRNS", data: new Uint8Array(6) },
    ];
    const data = new Uint8Array(9 * 7 * 3).map((_, index) => index * index);
    const png = await encodePng({ width: 9, height: 7, channels: 3, data }, chunks);
    const kinds = [png, withHeader(png, 27, 8, 3), withHeader(png, 54, 4, 0), withHeader(png, 108, 2, 3)];
    let [accepted, refused, seed] = [0, 0, 0];
    await fuzz(kinds, async (bytes) => {
      try {
        const { raster, chunks } = await decodePng(seed++ % 7 ? withChecksums(bytes) : bytes);
        expect(raster.data.length).toBe(raster.width * raster.height * raster.channels);
        const again = await decodePng(await encodePng(raster, chunks));
        expect(equal(again.raster.data, raster.data)).toBe(true);
        expect(again.chunks).toEqual(chunks);
        accepted++;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        refused++;
      }
    });
    expect(Math.min(accepted, refused)).toBeGreaterThan(20);
  });

  it("are JPEGs whose readable metadata go into the result", { timeout: TIMEOUT }, async () => {
    await fuzz([JPEG], async (bytes) => {
      await metadataChunks(jpegMetadata(bytes));
      const quality = jpegQuality(bytes);
      expect(quality >= 1 && quality <= 100).toBe(true);
      const result = withSourceSegments(FRESH_JPEG, bytes);
      expect(startsWith(result, FRESH_JPEG.subarray(0, 2))).toBe(true);
      expect(equal(result.subarray(result.length - SCAN.length), SCAN)).toBe(true);
      expect(orientationOf(jpegMetadata(result).exif ?? EXIF.subarray(0, 0))).toBe(1);
    });
  });

  it("are WebPs whose readable metadata go into the result", { timeout: TIMEOUT }, async () => {
    await fuzz([WEBP], async (bytes) => {
      const metadata = webpMetadata(bytes);
      await metadataChunks(metadata);
      if (metadata.icc) isDisplayP3(metadata.icc);
      isLosslessWebp(bytes);
      const result = withMetadata(FRESH_WEBP, metadata, 9, 7);
      expect(isLosslessWebp(result)).toBe(true);
      const { exif, ...others } = metadata;
      const retouched = exif && retouchedExif(exif);
      expect(webpMetadata(result)).toEqual(retouched ? { ...others, exif: retouched } : others);
    });
  });

  it("are EXIF blocks that become upright ones of the same size, or none", { timeout: TIMEOUT }, async () => {
    await fuzz([EXIF], (bytes) => {
      const result = retouchedExif(bytes);
      if (!result) return;
      expect(result.length).toBe(bytes.length);
      expect(orientationOf(result)).toBe(1);
    });
  });
});
