import { type Bytes, concat, deflate, latin1, uint32 } from "./bytes";
import { retouchedExif } from "./exif";
import type { PngChunk } from "./png";

/** What a file says about its image, whatever the format. */
export interface Metadata {
  readonly icc?: Bytes;
  /** TIFF structure, without any container's prefix. */
  readonly exif?: Bytes;
  readonly xmp?: Bytes;
  readonly pixelsPerMetre?: readonly [x: number, y: number];
}

/** Metadata as PNG chunks, EXIF made true of the retouched image. */
export async function metadataChunks({ icc, exif, xmp, pixelsPerMetre }: Metadata): Promise<PngChunk[]> {
  const chunks: PngChunk[] = [];
  if (icc) chunks.push({ type: "iCCP", data: concat([latin1("ICC profile\0\0"), await deflate(icc)]) });
  if (pixelsPerMetre) {
    const [x, y] = pixelsPerMetre.map((value) => uint32(Math.round(value)));
    chunks.push({ type: "pHYs", data: concat([x, y, Uint8Array.of(1)]) });
  }
  const upright = exif && retouchedExif(exif);
  if (upright) chunks.push({ type: "eXIf", data: upright });
  if (xmp) chunks.push({ type: "iTXt", data: concat([latin1("XML:com.adobe.xmp\0\0\0\0\0"), xmp]) });
  return chunks;
}

/** A PNG's own chunks, its EXIF made true of the retouched image. */
export function retouchedChunks(chunks: readonly PngChunk[]): PngChunk[] {
  return chunks.flatMap((chunk) => {
    if (chunk.type !== "eXIf") return [chunk];
    const exif = retouchedExif(chunk.data);
    return exif ? [{ type: "eXIf", data: exif }] : [];
  });
}

/** Whether a colour profile is Apple's Display P3, the one wide gamut that canvases can show. */
export function isDisplayP3(icc: Bytes): boolean {
  const name = "Display P3";
  const wide = [...name].join("\0");
  const profile = new TextDecoder("latin1").decode(icc.subarray(0, 4096));
  return profile.includes(name) || profile.includes(wide);
}
