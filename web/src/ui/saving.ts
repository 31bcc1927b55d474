import { Zip, ZipPassThrough } from "fflate";
import type { RemoteCodec } from "../codec/client";
import { FORMATS } from "../codec/formats";
import type { ImageFiles, OpenFile } from "../codec/image_files";
import type { EditedImage } from "../image/edited_image";
import { download } from "./dom";
import { type Notices, wordsOf } from "./notices";

/** What a result is made of. */
export interface Work {
  readonly file: File;
  readonly opened: OpenFile;
  readonly image: EditedImage;
}

/** Writes results: to downloads, to the clipboard, and many into one archive. */
export class Saving {
  constructor(
    private readonly files: ImageFiles,
    private readonly codec: RemoteCodec,
    private readonly notices: Notices,
  ) {}

  /** The result in the format of the source, or as PNG. Without changes it is the source's file, byte for byte. */
  async result({ file, opened, image }: Work, likeSource: boolean): Promise<File> {
    const format = (likeSource && opened.sourceFormat) || "png";
    if (!image.hasFilled && (opened.sourceFormat === format || (likeSource && !opened.sourceFormat))) return file;
    const { mime, extension } = FORMATS[format];
    const blob = await this.files.encode(file, opened, image, likeSource);
    return new File([blob], `${stem(file.name)}-filled.${extension}`, { type: mime });
  }

  /** The mask as PNG, white = hole. */
  async mask({ file, image }: Work): Promise<File> {
    const bytes = await this.codec.encodePng({ ...image.size, channels: 1, data: image.mask() });
    return new File([bytes], `${stem(file.name)}-mask.png`, { type: FORMATS.png.mime });
  }

  /** Whether it was offered to the browser's downloads. */
  async download(what: string, make: () => Promise<File>): Promise<boolean> {
    this.notices.say(`Preparing ${what}…`);
    try {
      const file = await make();
      download(file, file.name);
      this.notices.say(`Downloaded ${file.name}.`);
      return true;
    } catch (error) {
      this.notices.say("");
      this.notices.warn(`${what} cannot be written: ${wordsOf(error)}.`);
      return false;
    }
  }

  /** Put the result on the clipboard, as PNG: no other format is allowed there. */
  async copy(work: Work): Promise<void> {
    try {
      // A promise, so that the browser still counts the key or the click as the reason when the PNG is ready.
      const png = this.result(work, false).then((file) => new Blob([file], { type: FORMATS.png.mime }));
      await navigator.clipboard.write([new ClipboardItem({ [FORMATS.png.mime]: png })]);
      this.notices.say("Copied the result.");
    } catch (error) {
      this.notices.warn(`The result cannot be copied: ${wordsOf(error)}.`);
    }
  }
}

/** One archive of all files. Images are compressed already, so it only stores them. */
export async function zipOf(files: AsyncIterable<File>): Promise<Blob> {
  const pieces: Blob[] = [];
  let failure: Error | null = null;
  const zip = new Zip((error, data) => {
    if (error) failure = error;
    else pieces.push(new Blob([data as Uint8Array<ArrayBuffer>]));
  });
  const taken = new Set<string>();
  for await (const file of files) {
    const entry = new ZipPassThrough(freeName(file.name, taken));
    zip.add(entry);
    entry.push(new Uint8Array(await file.arrayBuffer()), true);
  }
  zip.end();
  if (failure) throw failure as Error;
  return new Blob(pieces, { type: "application/zip" });
}

function freeName(name: string, taken: Set<string>): string {
  const [, base, extension] = /^(.*?)(\.[^.]*)?$/.exec(name) as RegExpExecArray;
  let free = name;
  for (let number = 2; taken.has(free); number++) free = `${base}-${number}${extension ?? ""}`;
  taken.add(free);
  return free;
}

export const stem = (name: string): string => name.replace(/\.[^.]*$/, "") || "image";
