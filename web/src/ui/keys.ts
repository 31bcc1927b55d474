import { type Command, commandFor } from "./shortcuts";

/** How long Space is held before it shows the original: a press to move the image comes sooner. */
const HOLD_MILLISECONDS = 150;

export interface KeysHost {
  readonly stage: HTMLElement;
  readonly singleKeys: boolean;
  run(command: Command, far: boolean): void;
  /** Space is held: a drag moves the image. */
  holdSpace(held: boolean): void;
  /** The original is to be shown in the place of the result. */
  peek(shown: boolean): void;
}

export function listenToKeys(host: KeysHost): void {
  let held = 0;
  const release = (): void => {
    clearTimeout(held);
    if (!held) return;
    held = 0;
    host.holdSpace(false);
    host.peek(false);
  };
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (document.querySelector("dialog[open]") || target.matches(WRITING)) return;
    const onImage = target === host.stage;
    if (event.key === " " && (onImage || target === document.body)) {
      event.preventDefault();
      if (held) return; // the key repeats
      host.holdSpace(true);
      held = window.setTimeout(() => host.peek(true), HOLD_MILLISECONDS);
      return;
    }
    const command = commandFor(event, onImage, host.singleKeys);
    if (!command || (command === "copy" && !getSelection()?.isCollapsed)) return;
    event.preventDefault();
    host.run(command, event.shiftKey);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") release();
  });
  window.addEventListener("blur", release);
  // A drag with Space moves the image, and does not show the original.
  host.stage.addEventListener("pointerdown", () => {
    clearTimeout(held);
    host.peek(false);
  });
}

/** Fields that keys write into. */
const WRITING = "input:not([type=radio], [type=range], [type=checkbox])";

/** Have a button show the original while it is held; a short press remains a click. */
export function peekWhileHeld(button: HTMLElement, peek: (shown: boolean) => void): void {
  let timer = 0;
  let shown = false;
  const start = (): void => {
    timer = window.setTimeout(() => {
      shown = true;
      peek(true);
    }, 2 * HOLD_MILLISECONDS);
  };
  const end = (): void => {
    clearTimeout(timer);
    if (shown) peek(false);
  };
  button.addEventListener("pointerdown", () => {
    shown = false;
    start();
  });
  for (const type of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(type, end);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  const swallow = (event: MouseEvent): void => {
    if (!shown) return;
    shown = false;
    event.stopImmediatePropagation();
  };
  button.addEventListener("click", swallow, { capture: true });
}
