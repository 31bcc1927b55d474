import { type Bytes, startsWith } from "./bytes";
import { JPEG_SIGNATURE } from "./jpeg";
import { PNG_SIGNATURE } from "./png";
import { isWebp } from "./webp";

/** The formats results can be written in. */
export type Format = "png" | "jpeg" | "webp";

export const FORMATS: Readonly<Record<Format, { name: string; mime: string; extension: string }>> = {
  png: { name: "PNG", mime: "image/png", extension: "png" },
  jpeg: { name: "JPEG", mime: "image/jpeg", extension: "jpg" },
  webp: { name: "WebP", mime: "image/webp", extension: "webp" },
};

/** The format by a file's first bytes; null for all others. */
export function recognise(bytes: Bytes): Format | null {
  if (startsWith(bytes, PNG_SIGNATURE)) return "png";
  if (startsWith(bytes, JPEG_SIGNATURE)) return "jpeg";
  return isWebp(bytes) ? "webp" : null;
}
