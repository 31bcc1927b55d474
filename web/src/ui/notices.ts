import { element } from "./dom";

/** How long a message stays in sight; screen readers keep it. */
const MESSAGE_MILLISECONDS = 5000;
/** How often what can wait looks whether its turn has come. */
const TURN_MILLISECONDS = 250;

/** What the page tells: a line in a corner, which screen readers read out, and an alert for what must not be missed. */
export class Notices {
  private readonly status = element("status", HTMLElement);
  private readonly alert = element("alert", HTMLElement);
  private fading = 0;

  /** `isIdle`: whether nothing is going on that a message would interrupt. */
  constructor(private readonly isIdle: () => boolean) {
    element("alert-close", HTMLButtonElement).addEventListener("click", () => this.warn(null));
  }

  /** Show a line for some seconds, and have it read out. */
  say(text: string): void {
    this.tell(text);
    this.status.classList.remove("old", "hidden");
    this.fading = window.setTimeout(() => this.status.classList.add("old"), MESSAGE_MILLISECONDS);
  }

  /** Have a line read out that the image shows by itself. */
  tell(text: string): void {
    this.status.textContent = text;
    this.status.classList.add("hidden");
    clearTimeout(this.fading);
  }

  /** Say what is going on, unless that was said last. */
  sayOnce(text: string): void {
    if (this.status.textContent !== text) this.say(text);
  }

  /** Tell what can wait until nothing is going on and the message before it has been read. */
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
