/** JPEG's envelope: the metadata in front of the compressed image, and the quality it was written with. */

import { type Bytes, concat, latin1, startsWith, viewOf } from "./bytes";
import { retouchedExif } from "./exif";
import type { Metadata } from "./metadata";

export const JPEG_SIGNATURE = Uint8Array.of(0xff, 0xd8, 0xff);

const EXIF = latin1("Exif\0\0");
const XMP = latin1("http://ns.adobe.com/xap/1.0/\0");
const ICC = latin1("ICC_PROFILE\0");
const JFIF = latin1("JFIF\0");

const SOI = Uint8Array.of(0xff, 0xd8);
const APP0 = 0xe0;
const APP1 = 0xe1;
const APP2 = 0xe2;
const APP14 = 0xee;
const APP15 = 0xef;
const COMMENT = 0xfe;
const QUANTISATION = 0xdb;
const START_OF_SCAN = 0xda;

interface Segment {
  readonly marker: number;
  readonly payload: Bytes;
}

interface Envelope {
  /** The segments up to the first scan. */
  readonly segments: Segment[];
  /** Where the first scan starts. */
  readonly scan: number;
}

export function jpegMetadata(bytes: Bytes): Metadata {
  const { segments } = readEnvelope(bytes);
  const payload = (marker: number, prefix: Bytes): Bytes | undefined =>
    segments.find((segment) => segment.marker === marker && startsWith(segment.payload, prefix))?.payload;
  const profile = segments
    .filter((segment) => segment.marker === APP2 && startsWith(segment.payload, ICC))
    .sort((a, b) => a.payload[ICC.length] - b.payload[ICC.length])
    .map((segment) => segment.payload.subarray(ICC.length + 2));
  const jfif = payload(APP0, JFIF);
  const exif = payload(APP1, EXIF)?.slice(EXIF.length);
  const xmp = payload(APP1, XMP)?.slice(XMP.length);
  const metresPerUnit = jfif ? [0, 0.0254, 0.01][jfif[7]] || 0 : 0;
  const resolution =
    jfif && jfif.length >= 12 && metresPerUnit ? [8, 10].map((at) => viewOf(jfif).getUint16(at) / metresPerUnit) : null;
  return {
    ...(profile.length && { icc: concat(profile) }),
    ...(exif && { exif }),
    ...(xmp && { xmp }),
    ...(resolution && { pixelsPerMetre: [resolution[0], resolution[1]] as const }),
  };
}

/** The quality, 1 to 100, whose scaled standard table comes closest to the file's first quantisation table. */
export function jpegQuality(bytes: Bytes): number {
  const table = readEnvelope(bytes).segments.find((segment) => segment.marker === QUANTISATION)?.payload;
  if (!table || table.length < 65 || table[0] >> 4 !== 0) return 95;
  const sum = table.subarray(1, 65).reduce((total, value) => total + value, 0);
  const scale = (100 * sum) / STANDARD_LUMINANCE_SUM;
  return Math.min(100, Math.max(1, Math.round(scale <= 100 ? 100 - scale / 2 : 5000 / scale)));
}

/** Sum of the standard's example table for luminance, which encoders scale by their quality setting. */
const STANDARD_LUMINANCE_SUM = 3688;

/** A freshly encoded JPEG with the metadata segments of the source; EXIF made true of the retouched image. */
export function withSourceSegments(encoded: Bytes, source: Bytes): Bytes {
  const fresh = readEnvelope(encoded);
  const own = fresh.segments.filter((segment) => !isMetadata(segment));
  const metadata = readEnvelope(source)
    .segments.filter(isMetadata)
    .map(retouched)
    .filter((segment) => segment !== null);
  return concat([SOI, ...[...metadata, ...own].flatMap(writeSegment), encoded.subarray(fresh.scan)]);
}

/** Application segments and comments, except for Adobe's, which says how the samples are encoded. */
const isMetadata = ({ marker }: Segment): boolean =>
  (marker >= APP0 && marker <= APP15 && marker !== APP14) || marker === COMMENT;

function retouched(segment: Segment): Segment | null {
  if (segment.marker !== APP1 || !startsWith(segment.payload, EXIF)) return segment;
  const exif = retouchedExif(segment.payload.slice(EXIF.length));
  return exif && { marker: APP1, payload: concat([EXIF, exif]) };
}

function writeSegment({ marker, payload }: Segment): Bytes[] {
  const length = payload.length + 2;
  return [Uint8Array.of(0xff, marker, length >> 8, length & 0xff), payload];
}

function readEnvelope(bytes: Bytes): Envelope {
  const view = viewOf(bytes);
  const segments: Segment[] = [];
  let offset = SOI.length;
  while (offset + 4 <= bytes.length && bytes[offset] === 0xff) {
    const marker = bytes[offset + 1];
    if (marker === START_OF_SCAN) break;
    if (marker === 0xff) {
      offset += 1; // fill byte
      continue;
    }
    const end = offset + 2 + view.getUint16(offset + 2);
    if (end > bytes.length || end < offset + 4) break;
    segments.push({ marker, payload: bytes.subarray(offset + 4, end) });
    offset = end;
  }
  return { segments, scan: offset };
}
