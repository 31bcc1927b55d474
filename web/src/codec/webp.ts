/** WebP's envelope: RIFF chunks around the compressed image. */

import { type Bytes, concat, latin1, startsWith, text, viewOf } from "./bytes";
import { retouchedExif } from "./exif";
import type { Metadata } from "./metadata";

const RIFF = latin1("RIFF");
const WEBP = latin1("WEBP");
const EXIF_PREFIX = latin1("Exif\0\0");
const ICC_FLAG = 0x20;
const ALPHA_FLAG = 0x10;
const EXIF_FLAG = 0x08;
const XMP_FLAG = 0x04;

interface Chunk {
  readonly type: string;
  readonly data: Bytes;
}

export const isWebp = (bytes: Bytes): boolean => startsWith(bytes, RIFF) && startsWith(bytes.subarray(8), WEBP);

export function webpMetadata(bytes: Bytes): Metadata {
  const chunks = new Map(readChunks(bytes).map((chunk) => [chunk.type, chunk.data]));
  const icc = chunks.get("ICCP");
  const exif = chunks.get("EXIF");
  const xmp = chunks.get("XMP ");
  return { ...(icc && { icc }), ...(exif && { exif: bareExif(exif) }), ...(xmp && { xmp }) };
}

/** Whether a WebP is lossless: then it is to stay so. */
export const isLosslessWebp = (bytes: Bytes): boolean => readChunks(bytes).some((chunk) => chunk.type === "VP8L");

/** A freshly encoded WebP with the given metadata in an extended header. */
export function withMetadata(encoded: Bytes, metadata: Metadata, width: number, height: number): Bytes {
  const { icc, xmp } = metadata;
  const exif = metadata.exif && retouchedExif(metadata.exif);
  const fresh = readChunks(encoded);
  const imageChunks = fresh.filter((chunk) => ["ALPH", "VP8 ", "VP8L"].includes(chunk.type));
  // A VP8L bitstream says in its own header (bit 28 after the signature byte) whether its alpha is used.
  const alpha = imageChunks.some(({ type, data }) => type === "ALPH" || (type === "VP8L" && (data[4] & 0x10) !== 0));
  const header = new Uint8Array(10);
  header[0] = (icc ? ICC_FLAG : 0) | (alpha ? ALPHA_FLAG : 0) | (exif ? EXIF_FLAG : 0) | (xmp ? XMP_FLAG : 0);
  viewOf(header).setUint16(4, (width - 1) & 0xffff, true);
  header[6] = (width - 1) >> 16;
  viewOf(header).setUint16(7, (height - 1) & 0xffff, true);
  header[9] = (height - 1) >> 16;
  const body = concat(
    [
      WEBP,
      writeChunk({ type: "VP8X", data: header }),
      icc && writeChunk({ type: "ICCP", data: icc }),
      ...imageChunks.map(writeChunk),
      exif && writeChunk({ type: "EXIF", data: exif }),
      xmp && writeChunk({ type: "XMP ", data: xmp }),
    ].filter((part) => !!part),
  );
  return concat([RIFF, uint32LittleEndian(body.length), body]);
}

/** Some writers put JPEG's prefix in front of the EXIF data. */
const bareExif = (data: Bytes): Bytes => (startsWith(data, EXIF_PREFIX) ? data.slice(EXIF_PREFIX.length) : data);

function readChunks(bytes: Bytes): Chunk[] {
  const chunks: Chunk[] = [];
  for (let offset = 12; offset + 8 <= bytes.length;) {
    const length = viewOf(bytes).getUint32(offset + 4, true);
    const end = offset + 8 + length;
    if (end > bytes.length) break;
    chunks.push({ type: text(bytes.subarray(offset, offset + 4)), data: bytes.slice(offset + 8, end) });
    offset = end + (length & 1);
  }
  return chunks;
}

function writeChunk({ type, data }: Chunk): Bytes {
  return concat([latin1(type), uint32LittleEndian(data.length), data, new Uint8Array(data.length & 1)]);
}

function uint32LittleEndian(value: number): Bytes {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}
