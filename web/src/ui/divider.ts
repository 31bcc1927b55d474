import { clamp } from "../geometry";

const STEP = 0.02;

/** The handle between before and after: dragged, or moved with the arrow keys as the slider it is. */
export class Divider {
  /** Share of the stage's width that shows the source. */
  share = 0.5;

  constructor(
    private readonly handle: HTMLElement,
    private readonly stage: HTMLElement,
    private readonly moved: () => void,
  ) {
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = stage.getBoundingClientRect();
      this.move((event.clientX - box.left) / box.width);
    });
    handle.addEventListener("keydown", (event) => {
      const target = {
        ArrowLeft: this.share - STEP,
        ArrowDown: this.share - STEP,
        ArrowRight: this.share + STEP,
        ArrowUp: this.share + STEP,
        Home: 0,
        End: 1,
      }[event.key];
      if (target === undefined) return;
      event.preventDefault();
      this.move(target);
    });
  }

  get shown(): boolean {
    return !this.handle.hidden;
  }

  show(shown: boolean): void {
    this.handle.hidden = !shown;
    this.stage.classList.toggle("comparing", shown);
    this.move(this.share);
  }

  private move(share: number): void {
    this.share = clamp(share, 0, 1);
    this.handle.style.left = `${100 * this.share}%`;
    const percent = Math.round(100 * this.share);
    this.handle.setAttribute("aria-valuenow", String(percent));
    this.handle.setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
    this.moved();
  }
}
