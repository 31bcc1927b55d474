import { FillError } from "./filler";

/** How often a request is repeated while the server says that it is busy. */
const BUSY_RETRIES = 4;
const DEFAULT_RETRY_SECONDS = 2;
const MAX_RETRY_SECONDS = 15;

/** Asks the user for the server's access token; `refused` when the last one was wrong. Null = the user gave up. */
export type AskForToken = (refused: boolean) => Promise<string | null>;

/** What comes back, and when it was asked for: pauses and questions came before. */
export interface Reply {
  readonly response: Response;
  readonly posted: number;
}

/** The server of this page: knows its address and token, and waits while it is busy. */
export class Server {
  private token: string | null = null;

  constructor(
    private readonly askForToken: AskForToken,
    private readonly url: URL,
  ) {}

  /** Have an image filled, converted, or looked at for damage. `waiting` is called whenever the server is busy. Rejects with a FillError. */
  post(form: FormData, signal: AbortSignal, waiting: () => void = () => undefined, path?: string): Promise<Reply> {
    return this.send(path ? new URL(path, this.url) : this.url, { method: "POST", body: form }, signal, waiting);
  }

  /** Fetch a file that the server was started with. Rejects with a FillError. */
  async fetch(path: string, signal: AbortSignal): Promise<Blob> {
    const { response } = await this.send(new URL(path, document.baseURI), {}, signal, () => undefined);
    return response.blob();
  }

  private async send(url: URL, init: RequestInit, signal: AbortSignal, waiting: () => void): Promise<Reply> {
    for (let retries = 0; ;) {
      const posted = performance.now();
      const response = await this.request(url, init, signal);
      if (response.ok) return { response, posted };
      if (response.status === 401) {
        this.token = await this.askForToken(this.token !== null);
        if (this.token === null) throw new FillError("This server needs an access token.");
      } else if ((response.status === 429 || response.status === 503) && retries < BUSY_RETRIES) {
        retries++;
        waiting();
        await pause(retryAfter(response), signal);
      } else {
        throw new FillError(await reason(response));
      }
    }
  }

  private async request(url: URL, init: RequestInit, signal: AbortSignal): Promise<Response> {
    const headers = this.token === null ? {} : { Authorization: `Bearer ${this.token}` };
    try {
      return await fetch(url, { ...init, headers, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw new FillError("The server cannot be reached.", { cause: error });
    }
  }
}

function retryAfter(response: Response): number {
  const seconds = Number(response.headers.get("Retry-After") ?? DEFAULT_RETRY_SECONDS);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_RETRY_SECONDS) : DEFAULT_RETRY_SECONDS;
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
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
