/**
 * `@wavepaint/web`: fill holes in images in the browser, and embed the editor.
 *
 * The module lies in the folder of a static site and takes what it needs from there; see docs/site.md.
 */

import type { Progress } from "../progress";
import { Device } from "../device/device";
import type { Detail } from "../device/options";
import { overrides } from "../device/overrides";
import { MaskError, readMask } from "../image/mask_reading";
import { folderOf } from "./address";
import { WavepaintEditor } from "./element";

export { WavepaintEditor };
export type { Detail, Progress };

/** Samples as they stand in a file: interleaved rows; 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */
export interface RawImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 2 | 3 | 4;
  /** 8 or 16 bits a sample. */
  readonly data: Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
}

/** One byte per pixel; everything but 0 is hole. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

export interface InpaintOptions {
  /** Where detail comes from: copied from the image itself (the default), noise like that around, or nothing added. */
  readonly detail?: Detail;
  /** Another whole number gives another plausible result, for detail "image"; 0 by default. */
  readonly seed?: number;
  /** What not to copy from, for detail "image": a mask of the same size, read as the mask is. */
  readonly exclude?: ImageData | Mask;
  /** Rejects the promise with its reason, at once. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** How the network runs here. */
export interface Engine {
  readonly backend: "webgpu" | "wasm";
  readonly threads: number;
}

let device: Device | null = null;
const here = (): Device => (device ??= new Device({ base: folderOf(import.meta.url), ...overrides(import.meta.url) }));

/** Load the network now, 6 MB or with WebGPU 9, rather than with the first call of `inpaint`; resolves with how it runs. */
export async function load(onProgress?: (progress: Progress) => void): Promise<Engine> {
  return { ...(await here().load(onProgress)) };
}

/**
 * Fill the hole of an image. Samples outside the hole come back as they are; nothing leaves the device.
 *
 * @param image an `ImageData`, or samples of any kind; it is not changed.
 * @param mask of the same size: an `ImageData`, read as every mask is (bright is hole, or what is drawn on transparency, or where it
 *   differs from the image that it is a copy of), or one byte per pixel, where everything but 0 is hole.
 * @returns the kind that was given.
 * @throws RangeError where the mask has another size or leaves nothing to fill from; Error where the network cannot be
 *   loaded; the signal's reason once it is aborted.
 */
export function inpaint(image: ImageData, mask: ImageData | Mask, options?: InpaintOptions): Promise<ImageData>;
export function inpaint(image: RawImage, mask: ImageData | Mask, options?: InpaintOptions): Promise<RawImage>;
export async function inpaint(
  image: ImageData | RawImage,
  mask: ImageData | Mask,
  { exclude, ...options }: InpaintOptions = {},
): Promise<ImageData | RawImage> {
  const { width, height } = image;
  const raw = rawImageOf(image);
  if (raw.data.length !== width * height * raw.channels) {
    throw new RangeError(`the image does not hold ${width}x${height} pixels of ${raw.channels} channels`);
  }
  const hole = marksOf(mask, raw, "mask");
  if (!hole.data.includes(0)) throw new RangeError("the mask covers the whole image, nothing is left to fill it from");
  const avoided = exclude ? marksOf(exclude, raw, "exclude mask") : null;
  const { raster } = await here().fill(raw, hole, { ...options, exclude: avoided });
  if (!isImageData(image)) return raster;
  const { colorSpace } = image;
  return new ImageData(new Uint8ClampedArray(raster.data.buffer as ArrayBuffer), width, height, { colorSpace });
}

/** Samples of a kind that filling knows; a raw image as it is. */
function rawImageOf(image: ImageData | RawImage): RawImage {
  const { width, height } = image;
  const data: unknown = image.data;
  const channels = isImageData(image) ? 4 : image.channels;
  if (![1, 2, 3, 4].includes(channels)) throw new RangeError(`an image has 1 to 4 channels, not ${channels}`);
  // Clamped samples are the same bytes; a canvas may also hold floats, which are none.
  if (data instanceof Uint8ClampedArray) return { width, height, channels, data: new Uint8Array(data) };
  if (!isImageData(image) && (data instanceof Uint8Array || data instanceof Uint16Array)) return image;
  throw new TypeError("the image's samples must be a Uint8Array, Uint8ClampedArray or Uint16Array");
}

/** What a mask of the size of the image marks: 1 = marked; `name` is what messages call it. */
function marksOf(mask: ImageData | Mask, image: RawImage, name: string): Mask & { readonly data: Uint8Array } {
  const { width, height } = image;
  if (mask.width !== width || mask.height !== height) {
    throw new RangeError(`the ${name} is ${mask.width}x${mask.height} pixels, but the image is ${width}x${height}`);
  }
  const data = isImageData(mask) ? holesOf(mask, image) : Uint8Array.from(mask.data, (value) => Number(value !== 0));
  if (data.length !== width * height) throw new RangeError(`the ${name} does not hold one byte per pixel`);
  return { width, height, data };
}

/** The hole of a drawn mask; what a person should know about it goes to the console. */
function holesOf({ width, height, data }: ImageData, image: RawImage): Uint8Array {
  try {
    const { holes, notes } = readMask({ width, height, channels: 4, data: new Uint8Array(data) }, image);
    for (const { text } of notes) console.warn(`wavepaint: the mask: ${text}`);
    return holes;
  } catch (error) {
    if (error instanceof MaskError) throw new RangeError(`the mask cannot be used: ${error.message}`, { cause: error });
    throw error;
  }
}

const isImageData = (image: ImageData | RawImage | Mask): image is ImageData => image instanceof ImageData;

if (!customElements.get("wavepaint-editor")) customElements.define("wavepaint-editor", WavepaintEditor);
