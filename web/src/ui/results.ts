import { element } from "./dom";
import type { Filling } from "./filling";

/** The strip over the image: the last results for one hole, and a button for another. */
export class Results {
  private readonly strip = element("results", HTMLElement);
  private readonly list = element("result-list", HTMLElement);

  constructor(private readonly filling: Filling) {
    element("again", HTMLButtonElement).addEventListener("click", () => void filling.tryAgain());
  }

  refresh(): void {
    const { attempts, shown } = this.filling.choices;
    this.strip.hidden = attempts.length === 0;
    element("again", HTMLButtonElement).disabled = this.filling.busy;
    this.list.hidden = attempts.length < 2;
    this.list.replaceChildren(
      ...attempts.map(({ thumbnail }, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.disabled = this.filling.busy;
        button.setAttribute("aria-label", `Result ${index + 1}`);
        button.setAttribute("aria-pressed", String(index === shown));
        button.append(canvasOf(thumbnail));
        button.addEventListener("click", () => {
          this.filling.choose(index);
          (this.list.children[index] as HTMLElement | undefined)?.focus();
        });
        return button;
      }),
    );
  }
}

export function canvasOf(image: ImageData): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}
