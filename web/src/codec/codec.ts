/** Files to samples and back. Runs in a worker, so that a large image does not freeze the page. */

import { type Colour, type MaskOptions, type ReadMask, readMask } from "../image/mask_reading";
import { type Raster, type Samples, toRgba } from "../image/raster";
import { type Bytes, FormatError, inflateSome, text } from "./bytes";
import { orientationOf } from "./exif";
import { FORMATS, type Format, recognise } from "./formats";
import { jpegMetadata, jpegQuality, withSourceSegments } from "./jpeg";
import { MAX_PIXELS } from "./limits";
import { type Metadata, isDisplayP3, metadataChunks, retouchedChunks } from "./metadata";
import { upright } from "./orient";
import { type PngChunk, decodePng, encodePng, labelBase } from "./png";
import { isLosslessWebp, webpMetadata, withMetadata } from "./webp";

export interface OpenedImage {
  /** Upright samples: the truth from now on, whatever decoded them. */
  readonly raster: Raster;
  /** The file's format, null when results can only be written as PNG. */
  readonly format: Format | null;
  /** The file's metadata, for lossless results. */
  readonly chunks: PngChunk[];
  readonly displayP3: boolean;
  /** Whether this browser does not hand out samples as they are: it protects against being recognised by them. */
  readonly altered: boolean;
}

/** Rows that pass through a canvas at a time: bounds the copies of a large image. */
const STRIP = 512;

/** Quality of lossy WebP results: the format does not say what the source was written with. */
const WEBP_QUALITY = 0.92;

/** Throws a FormatError that says why the file cannot be opened. */
export async function openImage(file: Blob): Promise<OpenedImage> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const format = recognise(bytes);
  if (format === "png") return openPng(bytes);
  const metadata: Metadata = format === "jpeg" ? jpegMetadata(bytes) : format === "webp" ? webpMetadata(bytes) : {};
  return {
    ...(await decodeByBrowser(file, metadata)),
    format,
    chunks: await metadataChunks(metadata),
    displayP3: metadata.icc !== undefined && isDisplayP3(metadata.icc),
  };
}

async function openPng(bytes: Bytes): Promise<OpenedImage> {
  const { raster, chunks } = await decodePng(bytes);
  const exif = chunks.find((chunk) => chunk.type === "eXIf")?.data;
  const profile = chunks.find((chunk) => chunk.type === "iCCP")?.data;
  return {
    raster: upright(raster, exif ? orientationOf(exif) : 1),
    format: "png",
    chunks: retouchedChunks(chunks),
    displayP3: profile !== undefined && isDisplayP3(await profileOf(profile)),
    altered: false,
  };
}

/** The profile in an iCCP chunk: a name, a zero, the compression method and the compressed profile. */
const profileOf = (data: Bytes): Promise<Bytes> => inflateSome(data.subarray(data.indexOf(0) + 2), 4096);

/** Read a mask file; `image` is what it belongs to. Throws a FormatError, an "it ..." that says why it cannot be used. */
export async function openMask(file: Blob, image: Raster, options: MaskOptions = {}): Promise<ReadMask> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (recognise(bytes) !== "png") {
    const { raster } = await openImage(file);
    return readMask({ ...raster, base: gifBase(bytes) }, image, options);
  }
  const { raster, chunks, base } = await decodePng(bytes);
  const exif = chunks.find((chunk) => chunk.type === "eXIf")?.data;
  return readMask({ ...upright(raster, exif ? orientationOf(exif) : 1), base }, image, options);
}

/** The colour of index 0, if the file is a GIF whose palette is more than greys. */
function gifBase(bytes: Bytes): Colour | null {
  if (text(bytes.subarray(0, 4)) !== "GIF8" || !(bytes[10] & 128)) return null;
  return labelBase(bytes.subarray(13, 13 + 3 * 2 ** ((bytes[10] & 7) + 1)));
}

/** Encode as PNG, bit-exactly, and read one again: what travels to a server and back. */
export { encodePng };
export const readPng = async (bytes: Bytes): Promise<Raster> => (await decodePng(bytes)).raster;

/**
 * Encode in the format of the file the image came from, with its metadata. JPEG and lossy WebP change samples
 * everywhere, as these formats do. Throws a FormatError where the browser has no such encoder.
 */
export async function encodeLike(
  source: Blob,
  format: Format,
  raster: Raster,
  chunks: readonly PngChunk[],
): Promise<Bytes> {
  if (format === "png") return encodePng(raster, chunks);
  const original = new Uint8Array(await source.arrayBuffer());
  if (format === "jpeg") {
    return withSourceSegments(await encodeByBrowser(raster, "jpeg", jpegQuality(original) / 100), original);
  }
  const lossless = isLosslessWebp(original);
  const encoded = await encodeByBrowser(raster, "webp", lossless ? 1 : WEBP_QUALITY);
  if (lossless && !(await holds(encoded, raster))) {
    throw new FormatError("this browser cannot write WebP without loss; as PNG it can");
  }
  return withMetadata(encoded, webpMetadata(original), raster.width, raster.height);
}

/** Whether an encoded WebP has exactly these samples. */
async function holds(encoded: Bytes, { data, channels }: Raster): Promise<boolean> {
  const back = await decodeByBrowser(new Blob([encoded], { type: FORMATS.webp.mime }), {});
  return back.raster.channels === channels && back.raster.data.every((sample, i) => sample === data[i]);
}

async function decodeByBrowser(file: Blob, metadata: Metadata): Promise<{ raster: Raster; altered: boolean }> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch (error) {
    throw new FormatError("it is not an image that this browser can read", { cause: error });
  }
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) throw new FormatError(`it has more than ${MAX_PIXELS / 1e6} million pixels`);
  const rgba = new Uint8Array(width * height * 4);
  const strip = new OffscreenCanvas(width, Math.min(STRIP, height));
  const context = strip.getContext("2d", { willReadFrequently: true });
  if (!context) throw new FormatError("it is too large for this browser");
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    rgba.set(context.getImageData(0, 0, width, rows).data, top * width * 4);
  }
  bitmap.close();
  const decoded = { width, height, channels: 4, data: rgba } as const;
  const faithful = canvasIsFaithful();
  const straight = isOpaque(rgba) && faithful ? null : await decodeStraight(file, metadata);
  return { raster: withoutNeedlessChannels(straight ?? decoded), altered: !faithful && !straight };
}

/** Whether a canvas gives back what was put into it: some browsers add noise, so that sites cannot recognise them. */
function canvasIsFaithful(): boolean {
  const side = 16;
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  const samples = Uint8ClampedArray.from({ length: 4 * side * side }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256));
  context?.putImageData(new ImageData(samples, side), 0, 0);
  const back = context?.getImageData(0, 0, side, side).data;
  return back !== undefined && samples.every((sample, i) => sample === back[i]);
}

/**
 * Canvases store colours multiplied by alpha and so lose some of those that are not opaque. Browsers with WebCodecs
 * also hand out the samples as they are; null in others.
 */
async function decodeStraight(file: Blob, { exif }: Metadata): Promise<Raster | null> {
  if (typeof ImageDecoder === "undefined" || !(await ImageDecoder.isTypeSupported(file.type))) return null;
  const decoder = new ImageDecoder({
    data: await file.arrayBuffer(),
    type: file.type,
    colorSpaceConversion: "none",
  });
  try {
    const { image } = await decoder.decode();
    const { codedWidth: width, codedHeight: height, format } = image;
    if (!format || !/^(RGB|BGR)[AX]$/.test(format)) return null;
    const data = new Uint8Array(width * height * 4);
    await image.copyTo(data);
    image.close();
    if (format.endsWith("X")) for (let at = 3; at < data.length; at += 4) data[at] = 255;
    if (format.startsWith("B")) {
      for (let at = 0; at < data.length; at += 4) [data[at], data[at + 2]] = [data[at + 2], data[at]];
    }
    return upright({ width, height, channels: 4, data }, exif ? orientationOf(exif) : 1);
  } catch {
    return null;
  } finally {
    decoder.close();
  }
}

/** Drop an alpha channel that is opaque everywhere, and two of three colours that are equal everywhere. */
function withoutNeedlessChannels({ width, height, data }: Raster): Raster {
  const colours = isGrey(data) ? 1 : 3;
  const channels = (colours + (isOpaque(data) ? 0 : 1)) as Raster["channels"];
  const out = new Uint8Array(width * height * channels);
  for (let from = 0, to = 0; from < data.length; from += 4, to += channels) {
    out[to] = data[from];
    if (colours === 3) {
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
    if (channels > colours) out[to + colours] = data[from + 3];
  }
  return { width, height, channels, data: out };
}

function isOpaque(rgba: Samples): boolean {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] !== 255) return false;
  return true;
}

function isGrey(rgba: Samples): boolean {
  for (let at = 0; at < rgba.length; at += 4) {
    if (rgba[at] !== rgba[at + 1] || rgba[at] !== rgba[at + 2]) return false;
  }
  return true;
}

async function encodeByBrowser(raster: Raster, format: "jpeg" | "webp", quality: number): Promise<Bytes> {
  const { width, height } = raster;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const { name, mime } = FORMATS[format];
  if (!context) throw new FormatError(`this browser cannot write so large a ${name}`);
  for (let top = 0; top < height; top += STRIP) {
    const box = { left: 0, top, width, height: Math.min(STRIP, height - top) };
    context.putImageData(new ImageData(toRgba(raster, box, 1), width), 0, top);
  }
  const blob = await canvas.convertToBlob({ type: mime, quality });
  if (blob.type !== mime) throw new FormatError(`this browser cannot write ${name}`);
  return new Uint8Array(await blob.arrayBuffer());
}
