import type { RemoteCodec } from "../codec/client";
import type { Bytes } from "../codec/bytes";
import type { FillRequest } from "../image/picture";
import { FillError, type Filled, type Filler } from "./filler";

/** How often a request is repeated while the server says that it is busy. */
const BUSY_RETRIES = 4;
const DEFAULT_RETRY_SECONDS = 2;
const MAX_RETRY_SECONDS = 15;

/** Asks the user for the server's access token; `refused` when the last one was wrong. Null = the user gave up. */
export type AskForToken = (refused: boolean) => Promise<string | null>;

/** Fills holes through `POST v1/inpaint`, with PNG both ways, so that no sample loses depth. */
export class ServerFiller implements Filler {
  private token: string | null = null;

  constructor(
    private readonly codec: Pick<RemoteCodec, "encodePng" | "readPng">,
    private readonly askForToken: AskForToken,
    private readonly url: URL,
  ) {}

  async fill(request: FillRequest, signal: AbortSignal): Promise<Filled> {
    const started = performance.now();
    const form = await this.formOf(request);
    const encoded = performance.now();
    const { response, posted } = await this.send(form, signal);
    const raster = await this.codec.readPng(new Uint8Array(await response.arrayBuffer()));
    return { raster, seconds: (encoded - started + performance.now() - posted) / 1000 };
  }

  /** Send a request once, and tell how many seconds it took, null without an answer; nobody is asked for a token. */
  async probe(request: FillRequest): Promise<number | null> {
    const started = performance.now();
    try {
      const response = await this.post(await this.formOf(request), new AbortController().signal);
      await response.arrayBuffer();
      return response.ok ? (performance.now() - started) / 1000 : null;
    } catch {
      return null;
    }
  }

  private async formOf({ image, mask }: FillRequest): Promise<FormData> {
    const white = mask.map((hole) => 255 * hole);
    const form = new FormData();
    form.append("image", pngFile(await this.codec.encodePng(image)), "image.png");
    form.append(
      "mask",
      pngFile(await this.codec.encodePng({ width: image.width, height: image.height, channels: 1, data: white })),
      "mask.png",
    );
    form.append("format", "png");
    return form;
  }

  /** The response, and when that was asked for which it answers: pauses and questions came before. */
  private async send(form: FormData, signal: AbortSignal): Promise<{ response: Response; posted: number }> {
    for (let retries = 0; ;) {
      const posted = performance.now();
      const response = await this.post(form, signal);
      if (response.ok) return { response, posted };
      if (response.status === 401) {
        this.token = await this.askForToken(this.token !== null);
        if (this.token === null) throw new FillError("This server needs an access token.");
      } else if ((response.status === 429 || response.status === 503) && retries < BUSY_RETRIES) {
        retries++;
        await pause(retryAfter(response), signal);
      } else {
        throw new FillError(await reason(response));
      }
    }
  }

  private async post(form: FormData, signal: AbortSignal): Promise<Response> {
    const headers = this.token === null ? {} : { Authorization: `Bearer ${this.token}` };
    try {
      return await fetch(this.url, { method: "POST", body: form, headers, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw new FillError("The server cannot be reached.", { cause: error });
    }
  }
}

const pngFile = (bytes: Bytes): Blob => new Blob([bytes], { type: "image/png" });

function retryAfter(response: Response): number {
  const seconds = Number(response.headers.get("Retry-After") ?? DEFAULT_RETRY_SECONDS);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_RETRY_SECONDS) : DEFAULT_RETRY_SECONDS;
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      },
      { once: true },
    );
  });
}

/** The words of a problem document (RFC 9457), or else the status. */
async function reason(response: Response): Promise<string> {
  try {
    const { title, detail } = (await response.json()) as { title?: unknown; detail?: unknown };
    const words = [detail, title].find((part) => typeof part === "string" && part !== "");
    if (words) return `The server says: ${words as string}.`;
  } catch {
    // Not a problem document: some proxy on the way answered.
  }
  return `The server answered with status ${response.status}.`;
}
