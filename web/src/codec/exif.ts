/** The little of EXIF that has to change when an image is turned upright or retouched. */

import { type Bytes, text, viewOf } from "./bytes";

const ORIENTATION = 0x0112;
const THUMBNAIL_OFFSET = 0x0201;
const THUMBNAIL_LENGTH = 0x0202;
const SHORT = 3;

interface Entry {
  readonly tag: number;
  readonly type: number;
  /** Where the entry's value (or the offset to it) stands. */
  readonly at: number;
}

interface Tiff {
  readonly view: DataView;
  readonly little: boolean;
  readonly first: number;
}

/** The EXIF orientation, 1 to 8; 1 when there is none or the data make no sense. */
export function orientationOf(exif: Bytes): number {
  const tiff = open(exif);
  const entry = tiff && orientationEntry(tiff);
  const value = tiff && entry ? tiff.view.getUint16(entry.at, tiff.little) : 1;
  return value >= 1 && value <= 8 ? value : 1;
}

/**
 * A copy that is true of a retouched, upright image: orientation 1, and no thumbnail, which would still show
 * what has been removed. Data that make no sense are dropped.
 */
export function retouchedExif(exif: Bytes): Bytes | null {
  const copy = exif.slice();
  const tiff = open(copy);
  if (!tiff) return null;
  const orientation = orientationEntry(tiff);
  if (orientation) tiff.view.setUint16(orientation.at, 1, tiff.little);
  dropThumbnail(copy, tiff);
  // A thumbnail that is said to lie over the header makes no sense either.
  return open(copy) && orientationOf(copy) === 1 ? copy : null;
}

function open(exif: Bytes): Tiff | null {
  const order = text(exif.subarray(0, 2));
  if (exif.length < 14 || (order !== "II" && order !== "MM")) return null;
  const view = viewOf(exif);
  const little = order === "II";
  const first = view.getUint32(4, little);
  return view.getUint16(2, little) === 42 && directoryEnd(view, little, first) !== null
    ? { view, little, first }
    : null;
}

/** Where the offset of the next directory stands; null when the directory does not fit. */
function directoryEnd(view: DataView, little: boolean, start: number): number | null {
  if (start < 8 || start + 2 > view.byteLength) return null;
  const end = start + 2 + 12 * view.getUint16(start, little);
  return end + 4 <= view.byteLength ? end : null;
}

function entries({ view, little }: Tiff, start: number): Entry[] {
  return Array.from({ length: view.getUint16(start, little) }, (_, index) => {
    const at = start + 2 + 12 * index;
    return { tag: view.getUint16(at, little), type: view.getUint16(at + 2, little), at: at + 8 };
  });
}

const orientationEntry = (tiff: Tiff): Entry | undefined =>
  entries(tiff, tiff.first).find((entry) => entry.tag === ORIENTATION && entry.type === SHORT);

function dropThumbnail(exif: Bytes, tiff: Tiff): void {
  const { view, little } = tiff;
  const link = directoryEnd(view, little, tiff.first);
  if (link === null) return;
  const second = view.getUint32(link, little);
  view.setUint32(link, 0, little);
  if (second === 0 || directoryEnd(view, little, second) === null) return;
  const values = new Map(entries(tiff, second).map((entry) => [entry.tag, view.getUint32(entry.at, little)]));
  const offset = values.get(THUMBNAIL_OFFSET);
  const length = values.get(THUMBNAIL_LENGTH);
  if (offset !== undefined && length !== undefined) exif.fill(0, offset, offset + length);
}
