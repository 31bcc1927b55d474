import { type Bytes, startsWith, text } from "./bytes";
import { JPEG_SIGNATURE } from "./jpeg";
import { PNG_SIGNATURE } from "./png";
import { isWebp } from "./webp";

/** The formats that the page itself writes. */
export type Format = "png" | "jpeg" | "webp";
/** Formats that only a server writes. */
export type ServerFormat = "tiff" | "avif" | "heic" | "jxl";

export const FORMATS: Readonly<Record<Format | ServerFormat, { name: string; mime: string; extension: string }>> = {
  png: { name: "PNG", mime: "image/png", extension: "png" },
  jpeg: { name: "JPEG", mime: "image/jpeg", extension: "jpg" },
  webp: { name: "WebP", mime: "image/webp", extension: "webp" },
  tiff: { name: "TIFF", mime: "image/tiff", extension: "tif" },
  avif: { name: "AVIF", mime: "image/avif", extension: "avif" },
  heic: { name: "HEIC", mime: "image/heic", extension: "heic" },
  jxl: { name: "JPEG XL", mime: "image/jxl", extension: "jxl" },
};

/** The format by a file's first bytes; null for all others. */
export function recognise(bytes: Bytes): Format | null {
  if (startsWith(bytes, PNG_SIGNATURE)) return "png";
  if (startsWith(bytes, JPEG_SIGNATURE)) return "jpeg";
  return isWebp(bytes) ? "webp" : null;
}

/** A format that browsers read badly or not at all. */
export interface OtherFormat {
  readonly name: string;
  readonly format: ServerFormat;
  /** Whether browsers that read it keep all of it: those that do not are asked last. */
  readonly keptByBrowser: boolean;
}

/** What a server reads better, by a file's first bytes (some thousand); null for all others. */
export function recogniseOther(bytes: Bytes): OtherFormat | null {
  const head = text(bytes.subarray(0, 4));
  if (head === "II*\0" || head === "MM\0*") return { name: "TIFF", format: "tiff", keptByBrowser: false };
  const brand = text(bytes.subarray(4, 12));
  if (/^ftypavi[fs]$/.test(brand)) return { name: "AVIF", format: "avif", keptByBrowser: !isDeepAvif(bytes) };
  if (/^ftyp(hei[cxms]|hev[cx]|mif1|msf1)$/.test(brand)) return { name: "HEIC", format: "heic", keptByBrowser: false };
  if ((bytes[0] === 0xff && bytes[1] === 0x0a) || brand === "JXL \r\n\x87\n") {
    return { name: "JPEG XL", format: "jxl", keptByBrowser: false };
  }
  return null;
}

/** Whether an AVIF has more than 8 bits, by the box that describes its codec. */
function isDeepAvif(bytes: Bytes): boolean {
  const at = text(bytes).indexOf("av1C");
  return at >= 0 && (bytes[at + 6] & 0x40) !== 0;
}
