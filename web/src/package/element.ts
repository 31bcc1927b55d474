import { folderOf } from "./address";
import type { Answer, Ask } from "../messages";

interface Waiting {
  resolve(value: Blob | null): void;
  reject(error: Error): void;
}

/** A promise that is settled from elsewhere. */
interface Ready {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

/** How long a frame may take to load, pages that never answer included. */
const LOAD_MILLISECONDS = 60_000;
/** How long the page in a loaded frame may take to speak up; its scripts have run by then. */
const READY_MILLISECONDS = 3000;

const STYLE = `
  :host { display: block; min-height: 24rem }
  iframe { display: block; width: 100%; height: 100%; min-height: inherit; border: 0 }
  p { margin: 0; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif }
  [hidden] { display: none }
`;

/**
 * `<wavepaint-editor>`: the mask editor inside another page of the same site.
 *
 * Attributes: `src`, the folder of the static site, where this module lies unless another is named, and `label`, what
 * screen readers call it; another `src` starts the editor anew. It fires `ready` when it can be used, `change` when what
 * `result` gives has changed, and `error`, an ErrorEvent with a message, when the editor cannot be loaded: a short text
 * then stands in its place, and the methods reject.
 */
export class WavepaintEditor extends HTMLElement {
  static readonly observedAttributes = ["label", "src"];
  private readonly frame = document.createElement("iframe");
  private readonly failure = document.createElement("p");
  private readonly waiting = new Map<number, Waiting>();
  private asked = 0;
  private ready = nextReady();
  /** Whether the page in the frame has said that it is ready; that may be before the frame has loaded, or after. */
  private heard = false;
  private patience = 0;

  constructor() {
    super();
    const style = document.createElement("style");
    style.textContent = STYLE;
    this.frame.allow = "cross-origin-isolated; clipboard-read";
    // Frames tell that they have loaded, not what: a page of the host that says "not found" looks the same.
    this.frame.addEventListener("load", () => {
      if (!this.heard) this.waitFor(READY_MILLISECONDS);
    });
    this.failure.setAttribute("role", "alert");
    this.attachShadow({ mode: "open" }).append(style, this.failure);
  }

  connectedCallback(): void {
    window.addEventListener("message", this.receive);
    this.start();
  }

  disconnectedCallback(): void {
    window.removeEventListener("message", this.receive);
    this.end("the editor was removed");
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    // What is set before the element is put in waits for that.
    if (!this.frame.isConnected || before === after) return;
    if (name === "label") {
      this.setTitle();
    } else {
      this.end("the editor was loaded from elsewhere");
      this.start();
    }
  }

  private start(): void {
    const folder = new URL(this.getAttribute("src") ?? folderOf(import.meta.url), document.baseURI);
    this.setTitle();
    this.frame.src = new URL("index.html", folder).href;
    this.heard = false;
    this.showFailure(null);
    // Only now, with an address: a frame without one would load an empty page first.
    this.shadowRoot?.append(this.frame);
    this.waitFor(LOAD_MILLISECONDS);
  }

  private end(reason: string): void {
    clearTimeout(this.patience);
    this.frame.remove();
    this.rejectAll(new Error(reason));
    this.ready = nextReady();
  }

  private setTitle(): void {
    this.frame.title = this.getAttribute("label") ?? "Image editor";
  }

  /** Open an image in place of the one that is there. Rejects where it cannot be read. */
  async open(file: Blob, name = file instanceof File ? file.name : "image.png"): Promise<void> {
    await this.ask((id) => ({ wavepaint: "open", id, file, name }));
  }

  /**
   * The image as it stands: PNG, outside the mask exactly the source's samples; or with "source" in the format of the
   * image that was opened. Rejects where none is open.
   */
  async result(type: "image/png" | "source" = "image/png"): Promise<Blob> {
    return (await this.ask((id) => ({ wavepaint: "result", id, type }))) as Blob;
  }

  /** The mask as PNG, white = hole. Rejects where no image is open. */
  async mask(): Promise<Blob> {
    return (await this.ask((id) => ({ wavepaint: "mask", id }))) as Blob;
  }

  private async ask(message: (id: number) => Ask): Promise<Blob | null> {
    await this.ready.promise;
    const id = this.asked++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.frame.contentWindow?.postMessage(message(id), location.origin);
    });
  }

  private readonly receive = (event: MessageEvent<Answer>): void => {
    if (event.source !== this.frame.contentWindow || event.origin !== location.origin) return;
    const answer = event.data;
    switch (answer.wavepaint) {
      case "ready":
        this.heard = true;
        clearTimeout(this.patience);
        if (!this.failure.hidden) this.ready = nextReady(); // later than anybody would have waited
        this.showFailure(null);
        this.ready.resolve();
        this.dispatchEvent(new Event("ready"));
        break;
      case "change":
        this.dispatchEvent(new Event("change"));
        break;
      case "answer":
        this.take(answer.id)?.resolve(answer.value);
        break;
      case "failure":
        this.take(answer.id)?.reject(new Error(answer.reason));
    }
  };

  private take(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  /** Expect a sign of life within this time; the last call counts. */
  private waitFor(milliseconds: number): void {
    clearTimeout(this.patience);
    this.patience = window.setTimeout(() => this.fail(), milliseconds);
  }

  private fail(): void {
    const message = `the editor cannot be loaded from ${this.frame.src}`;
    this.showFailure("The editor cannot be loaded.");
    this.rejectAll(new Error(message));
    this.dispatchEvent(new ErrorEvent("error", { message }));
  }

  private showFailure(text: string | null): void {
    this.failure.textContent = text;
    this.failure.hidden = text === null;
    this.frame.hidden = text !== null;
  }

  private rejectAll(error: Error): void {
    this.ready.reject(error);
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

function nextReady(): Ready {
  let settle: Omit<Ready, "promise"> | null = null;
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  promise.catch(() => undefined); // nobody may have asked for anything
  return { promise, ...(settle as unknown as Omit<Ready, "promise">) };
}

declare global {
  interface HTMLElementTagNameMap {
    "wavepaint-editor": WavepaintEditor;
  }
}
