/**
 * What a mask means: the rules of `wavepaint.image.mask` and `wavepaint.image.mask_reading`. `tests/vectors/masks` holds
 * what both must give.
 */

import { FormatError } from "../codec/bytes";
import { upright } from "../codec/orient";
import type { Size } from "../geometry";
import { type Comparison, MIN_MIDDLE_SHARE, compare, isMiddle, marksOf } from "./marked_copy";
import { type Raster, hasAlpha } from "./raster";

/** Red, green, blue and alpha, 8 bits each. */
export type Colour = readonly [red: number, green: number, blue: number, alpha: number];

/** Upright samples of a mask. */
export interface MaskImage extends Raster {
  /** Of an image with a palette that is more than greys, the colour of index 0. */
  readonly base?: Colour | null;
}

/** What of a mask says where the hole is. */
export type MaskFrom = "alpha" | "brightness" | "difference" | "labels";

export interface MaskOptions {
  /** Share of the range above which a value is hole. */
  readonly threshold?: number | undefined;
  /** Insists on a reading. */
  readonly maskFrom?: MaskFrom | null | undefined;
  /** The mask is a copy of the image: the same as `maskFrom` "difference". */
  readonly marked?: boolean | undefined;
  readonly invert?: boolean | undefined;
  /** Fit a mask of another size: turned as the image is, or else stretched. */
  readonly resize?: boolean | undefined;
  /** The image's EXIF orientation, which its raster has applied. */
  readonly orientation?: number | undefined;
}

export type NoteKind = "copy" | "half" | "labels" | "nothing" | "swapped";
export type MaskErrorKind = "all" | "alpha" | "labels" | "most" | "size";

/** What a person should know about a mask: a part of a sentence about it, "it ...". */
export interface Note {
  readonly kind: NoteKind;
  readonly text: string;
}

export interface ReadMask {
  /** One byte per pixel of the image, 1 = hole. */
  readonly holes: Uint8Array<ArrayBuffer>;
  readonly notes: readonly Note[];
}

/** A mask that cannot be used. */
export class MaskError extends FormatError {
  constructor(
    readonly kind: MaskErrorKind,
    message: string,
  ) {
    super(message);
  }
}

const MAX_SHARE = 0.95;
const ONE_COLOUR_STEPS = 16;

/** Read a mask of an image. Throws a MaskError for one that cannot be used. */
export function readMask(mask: MaskImage, image: Raster, options: MaskOptions = {}): ReadMask {
  const fits = mask.width === image.width && mask.height === image.height;
  if (!fits && !options.resize) {
    const sizes = `it is ${mask.width} × ${mask.height} pixels, the image ${image.width} × ${image.height}`;
    throw new MaskError("size", sizes);
  }
  const reading = readSamples(mask, fits ? image : null, options);
  let holes = fits ? reading.holes : resized(reading.holes, mask, image, options.orientation ?? 1);
  const notes = meaningNotes(reading, holes);
  if (options.invert) holes = holes.map((hole) => 1 - hole);
  notes.push(...shareNotes(reading, holes, options));
  return { holes, notes };
}

interface Reading {
  readonly holes: Uint8Array<ArrayBuffer>;
  readonly meaning: MaskFrom;
  readonly largest: number;
  readonly full: number;
  readonly seemsSwapped: boolean;
}

function readSamples(mask: MaskImage, image: Raster | null, options: MaskOptions): Reading {
  const full = fullOf(mask);
  const evidence = evidenceOf(mask, full);
  const insisted = options.marked ? "difference" : (options.maskFrom ?? null);
  let comparison: Comparison | null = null;
  if (image && (insisted === "difference" || (!insisted && evidence.mayBeCopy))) comparison = compare(mask, image);
  const meaning = insisted ?? meaningOf(mask, evidence, comparison);
  if (meaning === "difference") {
    if (!comparison) throw new MaskError("size", "only a mask of the size of the image can be compared with it");
    return { holes: marksOf(mask, comparison), meaning, largest: 0, full, seemsSwapped: false };
  }
  if (meaning === "alpha" && !hasAlpha(mask)) throw new MaskError("alpha", "it has no transparency");
  if (meaning === "labels" && !mask.base) throw new MaskError("labels", "it has no palette of colours");
  // A level of 255 comes as a share, which may fall short of it by rounding.
  const limit = full === 1 || meaning === "labels" ? 0 : Math.floor(full * (options.threshold ?? 0.5) + 1e-6);
  const value = valueReader(mask, meaning, full, evidence.isOpaque);
  const holes = new Uint8Array(mask.width * mask.height);
  let largest = 0;
  for (let pixel = 0; pixel < holes.length; pixel++) {
    const here = value(pixel);
    if (here > limit) holes[pixel] = 1;
    if (here > largest) largest = here;
  }
  const seemsSwapped =
    comparison !== null &&
    !comparison.isCopy &&
    evidence.isMostlyMiddle &&
    comparison.imageMiddle < MIN_MIDDLE_SHARE * holes.length;
  return { holes, meaning, largest, full, seemsSwapped };
}

function meaningOf(mask: MaskImage, evidence: Evidence, comparison: Comparison | null): MaskFrom {
  if (comparison?.isCopy) return "difference";
  if (!evidence.isOpaque && evidence.isOneColour) return "alpha";
  return mask.base ? "labels" : "brightness";
}

/** What the samples of a mask say about how it was drawn. */
interface Evidence {
  readonly isOpaque: boolean;
  /** Whether everything visible has one colour, or nothing is visible. */
  readonly isOneColour: boolean;
  /** Whether there are so many shades or colours that the mask may be a copy of the image. */
  readonly mayBeCopy: boolean;
  readonly isMostlyMiddle: boolean;
}

/** The value of white: 1 where the values can only be meant as no and yes, 255 where 8 bits are in 16. */
function fullOf(mask: MaskImage): number {
  const { data, channels } = mask;
  const full = data instanceof Uint8Array || (!hasAlpha(mask) && data.every((value) => value <= 255)) ? 255 : 65535;
  const colours = hasAlpha(mask) ? channels - 1 : channels;
  let [largestAlpha, leastAlpha] = [0, full];
  for (let at = 0; at < data.length; at += channels) {
    for (let c = 0; c < colours; c++) if (data[at + c] > 1) return full;
    if (colours === channels) continue;
    largestAlpha = Math.max(largestAlpha, data[at + colours]);
    leastAlpha = Math.min(leastAlpha, data[at + colours]);
  }
  return largestAlpha <= 1 || leastAlpha === full ? 1 : full;
}

function evidenceOf(mask: MaskImage, full: number): Evidence {
  const { data, channels, width, height } = mask;
  const colours = hasAlpha(mask) ? channels - 1 : channels;
  const least = new Array<number>(colours).fill(Infinity);
  const most = new Array<number>(colours).fill(-Infinity);
  const [shift, scale] = [full > 255 ? 8 : 0, full === 1 ? 255 : 1];
  let [leastAlpha, middle] = [full, 0];
  for (let at = 0; at < data.length; at += channels) {
    let [brightest, darkest] = [data[at], data[at]];
    for (let c = 1; c < colours; c++) {
      const value = data[at + c];
      if (value > brightest) brightest = value;
      else if (value < darkest) darkest = value;
    }
    if (colours < channels) {
      const alpha = data[at + colours];
      if (alpha < leastAlpha) leastAlpha = alpha;
      if (2 * alpha <= full) continue;
      for (let c = 0; c < colours; c++) {
        least[c] = Math.min(least[c], data[at + c]);
        most[c] = Math.max(most[c], data[at + c]);
      }
    }
    if (isMiddle((darkest * scale) >> shift, (brightest * scale) >> shift)) middle++;
  }
  return {
    isOpaque: leastAlpha >= full,
    isOneColour: most.every((value, c) => value === -Infinity || (value - least[c]) * ONE_COLOUR_STEPS <= full),
    mayBeCopy: middle >= Math.max(1, MIN_MIDDLE_SHARE * width * height),
    isMostlyMiddle: 2 * middle > width * height,
  };
}

/** Reads one value a pixel: the brightest channel, what is drawn in alpha, or 1 for other labels than index 0. */
function valueReader(mask: MaskImage, meaning: MaskFrom, full: number, isOpaque: boolean): (pixel: number) => number {
  const { channels, data, base } = mask;
  const colours = hasAlpha(mask) ? channels - 1 : channels;
  if (meaning === "alpha") return (pixel) => data[pixel * channels + colours];
  if (meaning === "labels" && base) {
    return (pixel) => {
      const at = pixel * channels;
      const visible = colours === channels || data[at + colours] >= 128;
      for (let c = 0; c < colours; c++) if (data[at + c] !== base[c]) return Number(visible);
      return Number(visible && colours < channels && base[3] < 128);
    };
  }
  return (pixel) => {
    const at = pixel * channels;
    let brightest = data[at];
    for (let c = 1; c < colours; c++) if (data[at + c] > brightest) brightest = data[at + c];
    // Transparent pixels are black.
    return isOpaque || colours === channels ? brightest : Math.floor(brightest * (data[at + colours] / full));
  };
}

/** The hole turned as the image is, or else stretched to its size: the nearest pixel. */
function resized(holes: Uint8Array<ArrayBuffer>, from: Size, to: Size, orientation: number): Uint8Array<ArrayBuffer> {
  const { width, height } = from;
  if (orientation >= 5 && width === to.height && height === to.width) {
    return upright({ width, height, channels: 1, data: holes }, orientation).data as Uint8Array<ArrayBuffer>;
  }
  const out = new Uint8Array(to.width * to.height);
  for (let y = 0, at = 0; y < to.height; y++) {
    const row = Math.floor(((2 * y + 1) * height) / (2 * to.height)) * width;
    for (let x = 0; x < to.width; x++, at++) {
      out[at] = holes[row + Math.floor(((2 * x + 1) * width) / (2 * to.width))];
    }
  }
  return out;
}

function meaningNotes({ meaning, seemsSwapped }: Reading, holes: Uint8Array): Note[] {
  const notes: Note[] = [];
  if (meaning === "difference" && holes.includes(1)) {
    const text = `it is a copy of the image with ${percent(holes)} of it painted over or erased: that is the hole`;
    notes.push({ kind: "copy", text });
  }
  if (meaning === "labels") {
    notes.push({ kind: "labels", text: "it has a palette: every colour but the first one is hole" });
  }
  if (seemsSwapped) notes.push({ kind: "swapped", text: "it looks like an image, and the image like a mask" });
  return notes;
}

/** Point out, or refuse, a hole of which the opposite may be meant. */
function shareNotes(reading: Reading, holes: Uint8Array, { invert, marked, maskFrom }: MaskOptions): Note[] {
  const count = countOf(holes);
  if (count === 0) return [{ kind: "nothing", text: `it marks nothing${whyNothing(reading, invert ?? false)}` }];
  if (count === holes.length) throw new MaskError("all", "it marks the whole image, nothing is left to fill it from");
  if (2 * count <= holes.length) return [];
  const line = `it marks ${percent(holes)} of the image: if it marks what is to stay, invert it`;
  if (count > MAX_SHARE * holes.length && !invert && !marked && !maskFrom) throw new MaskError("most", line);
  return [{ kind: "half", text: line }];
}

function whyNothing({ meaning, largest, full }: Reading, inverted: boolean): string {
  if (inverted) return ", inverted";
  if (meaning === "difference") return ": it equals the image";
  if (meaning === "labels") return ": it has no colour but the first of its palette";
  return `: its brightest value is ${largest} of ${full}`;
}

const countOf = (holes: Uint8Array): number => holes.reduce((sum, hole) => sum + hole, 0);

/** Rounded down: "100.0 %" is all of it. */
const percent = (holes: Uint8Array): string =>
  `${(Math.floor((1000 * countOf(holes)) / holes.length) / 10).toFixed(1)} %`;
