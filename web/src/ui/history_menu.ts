import type { Box } from "../geometry";
import type { Step } from "../image/history";
import type { EditedImage } from "../image/edited_image";
import { TILE } from "../image/sheet";
import { thumbnail } from "../image/thumbnail";
import { element } from "./dom";
import { canvasOf } from "./results";

const SIDE = 72;

/** Remember what a step made of the image where it changed it. */
export function portray(step: Step, of: EditedImage): void {
  step.thumbnail = thumbnail(of, changedBox(step, of), SIDE);
}

function changedBox({ changes }: Step, { size }: EditedImage): Box {
  let [left, top, right, bottom] = [size.width, size.height, 0, 0];
  for (const { sheet, index } of changes) {
    const origin = sheet.origin(index);
    [left, top] = [Math.min(left, origin.left), Math.min(top, origin.top)];
    [right, bottom] = [Math.max(right, origin.left + TILE), Math.max(bottom, origin.top + TILE)];
  }
  [right, bottom] = [Math.min(right, size.width), Math.min(bottom, size.height)];
  return { left, top, width: right - left, height: bottom - top };
}

/** Write the menu of steps; `go` is called with how many of them are to be done. */
export function showHistory({ history }: EditedImage, go: (position: number) => void): void {
  const { steps, position } = history;
  const entry = (label: string, at: number, image?: ImageData): HTMLElement => {
    const button = document.createElement("button");
    button.type = "button";
    if (image) button.append(canvasOf(image));
    const text = document.createElement("strong");
    text.textContent = label;
    button.append(text);
    if (at === position) button.setAttribute("aria-current", "step");
    button.addEventListener("click", () => go(at));
    return button;
  };
  const entries = steps.map(({ label, thumbnail: image }, index) => entry(label, index + 1, image));
  // The newest first, as it is the one that is wanted back most often.
  element("history-menu", HTMLElement).replaceChildren(...[entry("The beginning", 0), ...entries].reverse());
}
