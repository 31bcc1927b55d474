import type { ServerFiller } from "../fill/server_filler";
import type { EditedImage } from "../image/edited_image";
import { FormatError } from "./bytes";
import type { RemoteCodec } from "./client";
import type { OpenedImage } from "./codec";
import { FORMATS, type Format, type OtherFormat, type ServerFormat, recogniseOther } from "./formats";

/** Enough of a file to tell what it is. */
const HEAD_BYTES = 4096;

/** An image as the page works on it, and the format that it came in if results can be written in it. */
export interface OpenFile extends OpenedImage {
  readonly sourceFormat: Format | ServerFormat | null;
  /** Whether the whole file went to the server to be read. */
  readonly byServer: boolean;
}

/** Opens files and writes results, with the help of a server for what a browser cannot. */
export class ImageFiles {
  /** `server`: null on a site that has none. */
  constructor(
    private readonly codec: RemoteCodec,
    private readonly server: Pick<ServerFiller, "convert"> | null,
  ) {}

  /** Rejects with a FormatError or a FillError, "it ...", that says why the file cannot be opened. */
  async open(file: Blob): Promise<OpenFile> {
    const other = recogniseOther(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
    if (other && this.server && !other.keptByBrowser) return this.openByServer(file, other);
    const opened = await this.openHere(file, other);
    if (opened.altered && this.server) return this.openByServer(file, { format: opened.format });
    const sourceFormat = opened.format ?? (this.server && other?.keptByBrowser ? other.format : null);
    return { ...opened, sourceFormat, byServer: false };
  }

  /** The image as it stands in the format that it came in, or as PNG. */
  async encode(file: Blob, opened: OpenFile, image: EditedImage, likeSource: boolean): Promise<Blob> {
    const format = (likeSource && opened.sourceFormat) || "png";
    const mime = FORMATS[format].mime;
    const chunks = opened.chunks;
    if (format === "png" || format === "jpeg" || format === "webp") {
      try {
        return new Blob([await this.codec.encodeLike(file, format, image.current(), chunks)], { type: mime });
      } catch (error) {
        if (format === "png" || !this.server) throw error;
      }
    }
    const png = await this.codec.encodeLike(file, "png", image.current(), chunks);
    if (!this.server) throw new FormatError(`${FORMATS[format].name} needs a server`);
    return this.server.convert(new Blob([png], { type: FORMATS.png.mime }), format);
  }

  private async openHere(file: Blob, other: OtherFormat | null): Promise<OpenedImage> {
    try {
      return await this.codec.openImage(file);
    } catch (error) {
      if (!other) throw error;
      const words = `it is ${other.name}, which this browser cannot read: "wavepaint serve" on a computer opens it`;
      throw new FormatError(words, { cause: error });
    }
  }

  /** The whole file travels: no less would do. */
  private async openByServer(file: Blob, { format }: Pick<OpenFile, "format"> | OtherFormat): Promise<OpenFile> {
    const png = await (this.server as ServerFiller).convert(file, "png");
    return { ...(await this.codec.openImage(png)), sourceFormat: format, byServer: true };
  }
}
