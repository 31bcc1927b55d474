import type { RemoteCodec } from "../codec/client";
import type { Bytes } from "../codec/bytes";
import type { FillRequest } from "../image/edited_image";
import type { Raster } from "../image/raster";
import { FillError, type FillProgress, type Filled, type Filler } from "./filler";
import type { Finder, Finding } from "./finder";
import type { Server } from "./server";

/** A mask that marks nothing, whatever the size of the image: the server then only converts. */
const NOTHING: Raster = { width: 1, height: 1, channels: 1, data: new Uint8Array(1) };

/** Fills holes through `POST v1/inpaint`, with PNG both ways, so that no sample loses depth. */
export class ServerFiller implements Filler, Finder {
  constructor(
    private readonly codec: Pick<RemoteCodec, "encodePng" | "readPng">,
    private readonly server: Pick<Server, "post">,
  ) {}

  async fill(request: FillRequest, signal: AbortSignal, report?: (progress: FillProgress) => void): Promise<Filled> {
    const started = performance.now();
    const form = await this.formOf(request);
    const encoded = performance.now();
    const waiting = (): void => report?.({ doing: "waiting", share: 0 });
    const { response, posted } = await this.server.post(form, signal, waiting);
    const raster = await this.codec.readPng(new Uint8Array(await response.arrayBuffer()));
    return { raster, seconds: (encoded - started + performance.now() - posted) / 1000 };
  }

  /** Damage, through `POST v1/find`. */
  async find(
    image: Raster,
    { kinds, sensitivity }: Finding,
    signal: AbortSignal,
    report?: (progress: FillProgress) => void,
  ): Promise<Uint8Array> {
    const form = new FormData();
    form.append("image", pngFile(await this.codec.encodePng(image)), "image.png");
    form.append("kinds", kinds.join(","));
    form.append("sensitivity", String(sensitivity));
    form.append("grow", "0");
    const waiting = (): void => report?.({ doing: "waiting", share: 0 });
    report?.({ doing: "looking", share: 0 });
    const { response } = await this.server.post(form, signal, waiting, "find");
    const mask = await this.codec.readPng(new Uint8Array(await response.arrayBuffer()));
    if (mask.width !== image.width || mask.height !== image.height || mask.channels !== 1) {
      throw new FillError("The server's mask does not fit the image.");
    }
    return Uint8Array.from(mask.data, Number).map((value) => Number(value > 0));
  }

  /** The same image, with its metadata, in another format. */
  async convert(file: Blob, format: string, signal = new AbortController().signal): Promise<Blob> {
    const form = new FormData();
    form.append("image", file, "image");
    form.append("mask", pngFile(await this.codec.encodePng(NOTHING)), "mask.png");
    form.append("resize_mask", "true");
    form.append("format", format);
    return (await this.server.post(form, signal)).response.blob();
  }

  private async formOf({ image, mask, exclude, seed = 0 }: FillRequest): Promise<FormData> {
    const form = new FormData();
    form.append("image", pngFile(await this.codec.encodePng(image)), "image.png");
    for (const [name, marks] of [
      ["mask", mask],
      ["exclude", exclude],
    ] as const) {
      if (!marks) continue;
      const { width, height } = image;
      const white = marks.map((mark) => 255 * mark);
      const png = await this.codec.encodePng({ width, height, channels: 1, data: white });
      form.append(name, pngFile(png), `${name}.png`);
    }
    if (seed) form.append("seed", String(seed));
    form.append("format", "png");
    return form;
  }
}

const pngFile = (bytes: Bytes): Blob => new Blob([bytes], { type: "image/png" });
