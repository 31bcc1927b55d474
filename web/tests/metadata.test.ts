import { describe, expect, it } from "vitest";
import { type Bytes, concat, inflateSome, latin1, startsWith, text, viewOf } from "../src/codec/bytes";
import { orientationOf, retouchedExif } from "../src/codec/exif";
import { jpegMetadata, jpegQuality, withSourceSegments } from "../src/codec/jpeg";
import { isDisplayP3, metadataChunks } from "../src/codec/metadata";
import { upright } from "../src/codec/orient";
import { isWebp, webpMetadata, withMetadata } from "../src/codec/webp";

const THUMBNAIL = latin1("\xff\xd8 what was removed \xff\xd9");

/** A TIFF structure with an orientation and a thumbnail. */
function exif(orientation: number, little = true): Bytes {
  const bytes = new Uint8Array(8 + 18 + 30);
  const view = viewOf(bytes);
  const entry = (at: number, tag: number, type: number, value: number): void => {
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, type, little);
    view.setUint32(at + 4, 1, little);
    if (type === 3) view.setUint16(at + 8, value, little);
    else view.setUint32(at + 8, value, little);
  };
  bytes.set(latin1(little ? "II" : "MM"));
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, 1, little);
  entry(10, 0x0112, 3, orientation);
  view.setUint32(22, 26, little);
  view.setUint16(26, 2, little);
  entry(28, 0x0201, 4, bytes.length);
  entry(40, 0x0202, 4, THUMBNAIL.length);
  return concat([bytes, THUMBNAIL]);
}

const segment = (marker: number, payload: Bytes): Bytes => {
  const length = payload.length + 2;
  return concat([Uint8Array.of(0xff, marker, length >> 8, length & 0xff), payload]);
};

/** The standard's luminance table scaled for a quality, as encoders do. */
function quantisation(quality: number): Bytes {
  const standard = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61,
    60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113,
    121, 112, 100, 120, 92, 101, 103, 99,
  ];
  const scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  const table = standard.map((value) => Math.min(255, Math.max(1, Math.floor((value * scale + 50) / 100))));
  return segment(0xdb, Uint8Array.of(0, ...table));
}

const SCAN = concat([segment(0xda, new Uint8Array(10)), latin1("pixels"), Uint8Array.of(0xff, 0xd9)]);
const jpeg = (...segments: Bytes[]): Bytes => concat([Uint8Array.of(0xff, 0xd8), ...segments, SCAN]);

describe("EXIF", () => {
  it.each([true, false])("is made true of an upright, retouched image (little endian: %s)", (little) => {
    const original = exif(6, little);
    expect(orientationOf(original)).toBe(6);
    const retouched = retouchedExif(original) as Bytes;
    expect(orientationOf(retouched)).toBe(1);
    expect(orientationOf(original)).toBe(6);
    expect(text(retouched)).not.toContain("removed");
    expect(retouched.length).toBe(original.length);
  });

  it("survives nonsense", () => {
    for (const bytes of [new Uint8Array(), latin1("II*"), latin1("nothing like TIFF data"), exif(99).slice(0, 20)]) {
      expect(orientationOf(bytes)).toBe(1);
    }
    expect(retouchedExif(latin1("nothing like TIFF data"))).toBeNull();
  });
});

describe("upright", () => {
  // The letter F as it should look, and as a camera held in each of the eight ways stores it.
  const F = ["###", "#..", "##.", "#..", "#.."];
  const stored: Record<number, string[]> = {
    1: ["###", "#..", "##.", "#..", "#.."],
    2: ["###", "..#", ".##", "..#", "..#"],
    3: ["..#", "..#", ".##", "..#", "###"],
    4: ["#..", "#..", "##.", "#..", "###"],
    5: ["#####", "#.#..", "#...."],
    6: ["#....", "#.#..", "#####"],
    7: ["....#", "..#.#", "#####"],
    8: ["#####", "..#.#", "....#"],
  };
  const raster = (rows: string[]) => ({
    width: rows[0].length,
    height: rows.length,
    channels: 2 as const,
    data: Uint8Array.from([...rows.join("")].flatMap((mark) => (mark === "#" ? [1, 2] : [0, 3]))),
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("turns orientation %i", (orientation) => {
    expect(upright(raster(stored[orientation]), orientation)).toEqual(raster(F));
  });
});

describe("JPEG", () => {
  const icc = latin1("a colour profile");
  const source = jpeg(
    segment(0xe0, concat([latin1("JFIF\0"), Uint8Array.of(1, 2, 1, 1, 44, 1, 44, 0, 0)])),
    segment(0xe1, concat([latin1("Exif\0\0"), exif(8)])),
    segment(0xe1, concat([latin1("http://ns.adobe.com/xap/1.0/\0"), latin1("<xmp/>")])),
    segment(0xe2, concat([latin1("ICC_PROFILE\0"), Uint8Array.of(2, 2), icc.slice(6)])),
    segment(0xe2, concat([latin1("ICC_PROFILE\0"), Uint8Array.of(1, 2), icc.slice(0, 6)])),
    segment(0xed, latin1("IPTC")),
    quantisation(83),
  );

  it("is read", () => {
    const metadata = jpegMetadata(source);
    expect(metadata.icc).toEqual(icc);
    expect(metadata.exif).toEqual(exif(8));
    expect(metadata.xmp).toEqual(latin1("<xmp/>"));
    expect(metadata.pixelsPerMetre?.map(Math.round)).toEqual([11811, 11811]);
  });

  it.each([25, 35, 50, 75, 83, 90, 95, 99, 100])("reports its quality, %i", (quality) => {
    expect(Math.abs(jpegQuality(jpeg(quantisation(quality))) - quality)).toBeLessThanOrEqual(1);
  });

  it("hands its metadata on to a new file, around that one's own samples", () => {
    const fresh = jpeg(
      segment(0xe0, latin1("JFIF of the encoder")),
      segment(0xe2, latin1("ICC_PROFILE\0 of the encoder")),
      segment(0xee, latin1("Adobe")),
      quantisation(50),
    );
    const joined = withSourceSegments(fresh, source);
    expect(text(joined)).not.toContain("of the encoder");
    expect(text(joined)).toContain("IPTC");
    expect(text(joined)).toContain("Adobe");
    expect(joined.slice(-SCAN.length)).toEqual(SCAN);
    expect(jpegQuality(joined)).toBe(50);
    expect(jpegMetadata(joined).icc).toEqual(icc);
    expect(orientationOf(jpegMetadata(joined).exif as Bytes)).toBe(1);
  });

  it("is not read beyond its end", () => {
    for (let length = 2; length < source.length; length += 5)
      expect(() => jpegMetadata(source.slice(0, length))).not.toThrow();
  });
});

describe("WebP", () => {
  const chunk = (type: string, data: Bytes): Bytes => {
    const length = new Uint8Array(4);
    viewOf(length).setUint32(0, data.length, true);
    return concat([latin1(type), length, data, new Uint8Array(data.length % 2)]);
  };
  const bare = concat([latin1("RIFF"), new Uint8Array(4), latin1("WEBP"), chunk("VP8 ", latin1("pixel"))]);

  it("carries metadata in an extended header", () => {
    const written = withMetadata(
      bare,
      { icc: latin1("profile"), exif: exif(6), xmp: latin1("<xmp/>") },
      5000,
      70000 % 16384,
    );
    expect(isWebp(written)).toBe(true);
    expect(viewOf(written).getUint32(4, true)).toBe(written.length - 8);
    expect(written.length % 2).toBe(0);
    const metadata = webpMetadata(written);
    expect(metadata.icc).toEqual(latin1("profile"));
    expect(metadata.xmp).toEqual(latin1("<xmp/>"));
    expect(orientationOf(metadata.exif as Bytes)).toBe(1);
    const header = written.subarray(20, 30);
    expect(header[0]).toBe(0x20 | 0x08 | 0x04);
    expect([
      header[4] | (header[5] << 8) | (header[6] << 16),
      header[7] | (header[8] << 8) | (header[9] << 16),
    ]).toEqual([4999, (70000 % 16384) - 1]);
  });
});

describe("metadata in PNG", () => {
  it("becomes the chunks that PNG has for it", async () => {
    const chunks = await metadataChunks({
      icc: latin1("profile"),
      exif: exif(3),
      xmp: latin1("<xmp/>"),
      pixelsPerMetre: [11811.02, 5905.5],
    });
    const data = new Map(chunks.map((chunk) => [chunk.type, chunk.data]));
    const profile = data.get("iCCP") as Bytes;
    expect(await inflateSome(profile.slice("ICC profile\0\0".length), 100)).toEqual(latin1("profile"));
    expect(data.get("pHYs")).toEqual(Uint8Array.of(0, 0, 0x2e, 0x23, 0, 0, 0x17, 0x12, 1));
    expect(orientationOf(data.get("eXIf") as Bytes)).toBe(1);
    expect(startsWith(data.get("iTXt") as Bytes, latin1("XML:com.adobe.xmp\0"))).toBe(true);
  });

  it("recognises Display P3 in both of ICC's encodings", () => {
    expect(isDisplayP3(latin1("...desc...Display P3..."))).toBe(true);
    expect(isDisplayP3(latin1("...D\0i\0s\0p\0l\0a\0y\0 \0P\x003\0..."))).toBe(true);
    expect(isDisplayP3(latin1("sRGB IEC61966-2.1"))).toBe(false);
  });
});
