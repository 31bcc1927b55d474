import { element } from "./dom";

/** How long a message stays in sight; screen readers keep it. */
const MESSAGE_MILLISECONDS = 5000;
/** How often a message that can wait is tried again. */
const TURN_MILLISECONDS = 250;

/** The messages of the page: a line in a corner, which screen readers read out, and an alert for what must not be missed. */
export class Notices {
  private readonly status = element("status", HTMLElement);
  private readonly alert = element("alert", HTMLElement);
  private fading = 0;

  /** `isIdle`: whether no work is running that a message would interrupt. */
  constructor(private readonly isIdle: () => boolean) {
    element("alert-close", HTMLButtonElement).addEventListener("click", () => this.warn(null));
  }

  /** Show a line for some seconds, and have it read out. */
  say(text: string): void {
    this.announce(text);
    this.status.classList.remove("old", "hidden");
    this.fading = window.setTimeout(() => this.status.classList.add("old"), MESSAGE_MILLISECONDS);
  }

  /** Have a line read out that the image shows by itself. */
  announce(text: string): void {
    this.status.textContent = text;
    this.status.classList.add("hidden");
    clearTimeout(this.fading);
  }

  /** Show a line as `say` does, unless it was the last one. */
  sayOnce(text: string): void {
    if (this.status.textContent !== text) this.say(text);
  }

  /** Show a line once the page is idle and the message before it has faded. */
  sayInTurn(text: string): void {
    const { textContent, classList } = this.status;
    if (this.isIdle() && (!textContent || classList.contains("old") || classList.contains("hidden"))) this.say(text);
    else window.setTimeout(() => this.sayInTurn(text), TURN_MILLISECONDS);
  }

  /** Show something that should not be missed, or with null nothing any more. */
  warn(text: string | null): void {
    this.alert.hidden = text === null;
    element("alert-text", HTMLElement).textContent = text ?? "";
  }
}

export const wordsOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
