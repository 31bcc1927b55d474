import { type Point, clamp } from "../geometry";
import type { EditedImage } from "../image/edited_image";
import type { Dab } from "../image/shapes";
import type { TileChange } from "../image/sheet";
import type { Stage } from "../view/stage";
import type { PointerHandlers } from "../view/pointer";
import { type DrawingTool, type Gesture, ROUND, type ToolName, type ToolOptions, startGesture } from "./tools";

/** CSS pixels that an arrow key moves the crosshair. */
const STEP = 8;
const LONG_STEP = 48;
/** Share of a pen's stroke width that is left at no pressure. */
const LIGHTEST = 0.25;
/** How long the size of the brush is shown after it was changed. */
const SIZING_MILLISECONDS = 800;

/** What drawing needs to know about and tell the page. */
export interface DrawingHost {
  readonly tool: ToolName;
  /** Diameter of the brush in pixels of the image. */
  readonly brushSize: number;
  readonly toolOptions: ToolOptions;
  readonly spaceHeld: boolean;
  drawn(label: string, changes: TileChange[]): void;
  say(text: string): void;
  /** Whether nothing may be drawn now. */
  readonly locked: boolean;
  viewChanged(): void;
  resizeBrush(factor: number): void;
}

/** Turns pointers, or the crosshair and keys, into gestures on one image. */
export class Drawing implements PointerHandlers {
  private gesture: Gesture | null = null;
  private penDown = false;
  private pointer: Point | null = null;
  private waiting: (() => void)[] = [];
  /** Where the last stroke of a round tool ended: a straight one goes on from there. */
  private lastEnd: Dab | null = null;
  /** Whether the size of the brush is being chosen, and shown in the middle of the view. */
  private sizing = 0;

  constructor(
    private readonly image: EditedImage,
    private readonly stage: Stage,
    private readonly cursor: HTMLElement,
    private readonly host: DrawingHost,
  ) {}

  /** Resolves as soon as no gesture is under way. */
  quiet(): Promise<void> {
    return this.gesture ? new Promise((resolve) => this.waiting.push(resolve)) : Promise.resolve();
  }

  get active(): boolean {
    return this.gesture !== null;
  }

  pans(): boolean {
    return this.host.tool === "hand" || this.host.spaceHeld;
  }

  begin(point: Point, pressure: number, straight: boolean): void {
    if (this.host.locked) return;
    if (this.penDown) this.cancel();
    this.hideCrosshair();
    const dab = this.dab(point, pressure);
    this.start(straight && this.isRound && this.lastEnd ? { ...this.lastEnd, radius: dab.radius } : dab);
    this.go(dab);
  }

  draw(points: readonly { point: Point; pressure: number }[]): void {
    if (!this.gesture) return;
    for (const { point, pressure } of points) this.go(this.dab(point, pressure));
  }

  end(): void {
    const gesture = this.gesture;
    if (!gesture) return;
    const changes = gesture.finish();
    this.clear();
    if (!this.isRound) this.lastEnd = null;
    this.host.drawn(gesture.label, changes);
  }

  cancel(): void {
    this.gesture?.cancel();
    this.clear();
    this.lastEnd = null;
  }

  hover(point: Point | null, pointerType: string, straight = false): void {
    this.pointer = pointerType === "touch" ? null : point;
    this.showCursor();
    if (!this.gesture) this.showLine(straight && this.isRound ? point : null);
  }

  pan(dx: number, dy: number): void {
    this.stage.camera.panBy(dx, dy);
    this.host.viewChanged();
  }

  zoom(at: Point, factor: number): void {
    this.stage.camera.zoomAt(at, factor);
    this.host.viewChanged();
  }

  resize(factor: number): void {
    this.host.resizeBrush(factor);
  }

  /** Move the crosshair (or, with the hand, the image) as an arrow key says. */
  step(dx: number, dy: number, far: boolean): void {
    const length = far ? LONG_STEP : STEP;
    if (this.host.tool === "hand") {
      this.pan(-dx * length, -dy * length);
      return;
    }
    const { width, height } = this.image.size;
    const { camera } = this.stage;
    const from = this.stage.crosshair ?? this.middle();
    const distance = Math.max(1, Math.round(length / camera.scale));
    const to = {
      x: clamp(from.x + dx * distance, 0.5, width - 0.5),
      y: clamp(from.y + dy * distance, 0.5, height - 0.5),
    };
    this.stage.crosshair = to;
    camera.reveal(to);
    if (this.gesture) this.go({ ...to, radius: this.radius });
    this.host.viewChanged();
    this.showCursor();
    this.host.say(`${Math.floor(to.x)}, ${Math.floor(to.y)}`);
  }

  /** Put the pen down at the crosshair, or lift it. */
  togglePen(): void {
    if (this.penDown) {
      this.end();
      return;
    }
    if (this.host.tool === "hand" || this.gesture || this.host.locked) return;
    const at = this.stage.crosshair ?? this.middle();
    this.stage.crosshair = at;
    this.start({ ...at, radius: this.radius });
    this.penDown = true;
    this.host.say("Drawing: move with the arrow keys, Enter to finish, Escape to drop.");
  }

  /** Show the circle of the brush where the pointer, or else the crosshair, is. */
  showCursor(): void {
    const { crosshair, camera } = this.stage;
    const at = this.pointer ?? (crosshair && camera.toScreen(crosshair)) ?? (this.sizing ? camera.middle : null);
    this.cursor.hidden = !at || !this.isRound || this.host.spaceHeld;
    if (!at) return;
    const size = this.host.brushSize * camera.scale;
    this.cursor.style.width = this.cursor.style.height = `${size}px`;
    this.cursor.style.transform = `translate(${at.x - size / 2}px, ${at.y - size / 2}px)`;
  }

  /** Show for a moment how large the brush is, though no pointer is over the image. */
  showSize(): void {
    clearTimeout(this.sizing);
    this.sizing = window.setTimeout(() => {
      this.sizing = 0;
      this.showCursor();
    }, SIZING_MILLISECONDS);
    this.showCursor();
  }

  hideCrosshair(): void {
    this.stage.crosshair = null;
    this.stage.invalidate();
  }

  private get isRound(): boolean {
    return ROUND[this.host.tool] !== undefined;
  }

  private get radius(): number {
    return this.host.brushSize / 2;
  }

  /** Show the straight line that a press would draw, or none. */
  private showLine(to: Point | null): void {
    const { stage, lastEnd } = this;
    if (to && lastEnd) stage.outline = { points: [lastEnd, stage.camera.toImage(to)], closed: false };
    else if (stage.outline) stage.outline = null;
    else return;
    stage.invalidate();
  }

  private start(dab: Dab): void {
    const { tool, toolOptions } = this.host;
    this.gesture = startGesture(tool as DrawingTool, this.image, dab, toolOptions);
    this.go(dab);
  }

  private go(dab: Dab): void {
    if (!this.gesture) return;
    this.lastEnd = dab;
    const changed = this.gesture.moveTo(dab);
    this.stage.outline = this.gesture.outline;
    this.stage.invalidate(changed);
  }

  private clear(): void {
    this.gesture = null;
    this.penDown = false;
    this.stage.outline = null;
    this.stage.invalidate();
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  private dab(screen: Point, pressure: number): Dab {
    return { ...this.stage.camera.toImage(screen), radius: this.radius * (LIGHTEST + (1 - LIGHTEST) * pressure) };
  }

  private middle(): Point {
    const { width, height } = this.image.size;
    return { x: width / 2, y: height / 2 };
  }
}
