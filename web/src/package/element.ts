import { folderOf } from "./address";
import type { Answer, Ask } from "../messages";

interface Waiting {
  resolve(value: Blob | null): void;
  reject(error: Error): void;
}

/**
 * `<wavepaint-editor>`: the mask editor inside another page of the same site.
 *
 * Attributes: `src`, the folder of the static site, where this module lies unless another is named; `label`, what
 * screen readers call it. It fires `ready` when it can be used and `change` after each fill.
 */
export class WavepaintEditor extends HTMLElement {
  private readonly frame = document.createElement("iframe");
  private readonly waiting = new Map<number, Waiting>();
  private asked = 0;
  private becomeReady: () => void = () => undefined;
  private ready = this.nextReady();

  constructor() {
    super();
    const style = document.createElement("style");
    style.textContent =
      ":host { display: block; min-height: 24rem } iframe { display: block; width: 100%; height: 100%; min-height: inherit; border: 0 }";
    this.frame.allow = "cross-origin-isolated; clipboard-read";
    this.attachShadow({ mode: "open" }).append(style, this.frame);
  }

  connectedCallback(): void {
    window.addEventListener("message", this.receive);
    this.frame.title = this.getAttribute("label") ?? "Photograph editor";
    this.frame.src = new URL(
      "index.html",
      new URL(this.getAttribute("src") ?? folderOf(import.meta.url), document.baseURI),
    ).href;
  }

  disconnectedCallback(): void {
    window.removeEventListener("message", this.receive);
    for (const { reject } of this.waiting.values()) reject(new Error("the editor was removed"));
    this.waiting.clear();
    this.ready = this.nextReady();
  }

  /** Open a picture in place of the one that is there. Rejects where it cannot be read. */
  async open(file: Blob, name = file instanceof File ? file.name : "picture.png"): Promise<void> {
    await this.ask((id) => ({ wavepaint: "open", id, file, name }));
  }

  /**
   * The picture as it stands: PNG, outside the mask exactly the source's samples; or with "source" in the format of the
   * picture that was opened. Rejects where none is open.
   */
  async result(type: "image/png" | "source" = "image/png"): Promise<Blob> {
    return (await this.ask((id) => ({ wavepaint: "result", id, type }))) as Blob;
  }

  /** The mask as PNG, white = hole. Rejects where no picture is open. */
  async mask(): Promise<Blob> {
    return (await this.ask((id) => ({ wavepaint: "mask", id }))) as Blob;
  }

  private async ask(message: (id: number) => Ask): Promise<Blob | null> {
    await this.ready;
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
        this.becomeReady();
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

  private nextReady(): Promise<void> {
    return new Promise((resolve) => (this.becomeReady = resolve));
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "wavepaint-editor": WavepaintEditor;
  }
}
