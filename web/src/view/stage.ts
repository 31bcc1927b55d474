import { type Point, clamp } from "../geometry";
import type { EditedImage } from "../image/edited_image";
import { type Samples, hasAlpha, toRgba } from "../image/raster";
import { type Sheet, TILE } from "../image/sheet";
import { Camera } from "./camera";
import { MarksLayer } from "./marks_layer";
import { type Bitmap, DISPLAY_TILE, Pyramid, bitmapOf } from "./pyramid";

/** Milliseconds of one frame that may go into making tiles; the overview stands in for the rest. */
const TILE_BUDGET = 10;
/** Device pixels per image pixel from which on pixels are shown as squares. */
const PIXELATED_FROM = 4;

const CHECKER_SIDE = 8;

/** A shape that is being drawn, in image coordinates. */
export interface Outline {
  readonly points: readonly Point[];
  readonly closed: boolean;
}

/**
 * Draws what the viewport shows of an image, and no more: the source from display tiles, the filled tiles above it,
 * the mask above those.
 */
export class Stage {
  readonly camera: Camera;
  /** Left of this share of the viewport's width the source is shown; null = the result everywhere. */
  divider: number | null = null;
  /** Also tint holes that have been filled. */
  showFilled = false;
  showMask = true;
  /** Show the source alone, without fills and marks. */
  showSource = false;
  outline: Outline | null = null;
  crosshair: Point | null = null;

  private readonly imageCanvas = layer("image");
  private readonly overlay = layer("overlay");
  private readonly pyramid: Pyramid;
  private readonly colorSpace: PredefinedColorSpace;
  private fillBitmaps = new WeakMap<Samples, Bitmap>();
  private readonly marks: MarksLayer;
  private readonly observer: ResizeObserver;
  private frame = 0;
  private ratio = 1;

  constructor(
    private readonly host: HTMLElement,
    private readonly image: EditedImage,
    displayP3: boolean,
    private readonly drawn: () => void,
  ) {
    this.camera = new Camera(image.size);
    this.colorSpace = displayP3 ? "display-p3" : "srgb";
    this.pyramid = new Pyramid(image.source, this.colorSpace);
    this.marks = new MarksLayer(image);
    host.prepend(this.imageCanvas, this.overlay);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  dispose(): void {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    this.imageCanvas.remove();
    this.overlay.remove();
  }

  /** Draw with the next frame; `changed` are tiles that were written to in place. */
  invalidate(changed: readonly Samples[] = []): void {
    for (const tile of changed) {
      this.fillBitmaps.delete(tile);
      this.marks.forget(tile);
    }
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
      this.drawn();
    });
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (width === 0 || height === 0) return;
    this.ratio = window.devicePixelRatio;
    for (const canvas of [this.imageCanvas, this.overlay]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.camera.resize({ width, height });
    this.invalidate();
  }

  private draw(): void {
    const base = this.imageCanvas.getContext("2d", { colorSpace: this.colorSpace });
    const overlay = this.overlay.getContext("2d");
    if (!base || !overlay) return;
    for (const context of [base, overlay]) context.clearRect(0, 0, this.imageCanvas.width, this.imageCanvas.height);
    base.imageSmoothingEnabled = this.scale < PIXELATED_FROM;
    base.imageSmoothingQuality = "medium";

    if (!this.drawSource(base)) this.invalidate();
    const share = this.showSource ? 1 : (this.divider ?? 0);
    const split = Math.round(share * this.imageCanvas.width);
    clipFrom(base, split, () => this.drawFills(base));
    if (hasAlpha(this.image.source)) this.drawChecker(base);
    clipFrom(overlay, split, () => this.drawHoles(overlay));
    this.drawOutline(overlay);
    this.drawCrosshair(overlay);
  }

  /** Device pixels per image pixel. */
  private get scale(): number {
    return this.camera.scale * this.ratio;
  }

  /** Whole device pixels, so that neighbouring tiles neither overlap nor leave a hairline between them. */
  private deviceX(x: number): number {
    return Math.round((x - this.camera.x) * this.scale);
  }

  private deviceY(y: number): number {
    return Math.round((y - this.camera.y) * this.scale);
  }

  /** Returns false when tiles are still missing. */
  private drawSource(context: CanvasRenderingContext2D): boolean {
    const { width, height } = this.image.size;
    const level = clamp(Math.round(Math.log2(1 / this.scale)), 0, this.pyramid.overviewLevel);
    const side = DISPLAY_TILE << level;
    const deadline = performance.now() + TILE_BUDGET;
    let complete = true;
    const first = {
      x: Math.floor(Math.max(0, this.camera.x) / side),
      y: Math.floor(Math.max(0, this.camera.y) / side),
    };
    const right = Math.min(width, this.camera.x + this.imageCanvas.width / this.scale);
    const bottom = Math.min(height, this.camera.y + this.imageCanvas.height / this.scale);
    for (let row = first.y; row * side < bottom; row++) {
      for (let column = first.x; column * side < right; column++) {
        const [left, top] = [column * side, row * side];
        const size = { width: Math.min(side, width - left), height: Math.min(side, height - top) };
        const tile = this.pyramid.tile(level, column, row, performance.now() < deadline);
        if (tile) {
          this.place(context, tile, 0, 0, size.width / 2 ** level, size.height / 2 ** level, left, top, size);
        } else {
          const step = 2 ** this.pyramid.overviewLevel;
          const { overview } = this.pyramid;
          this.place(
            context,
            overview,
            left / step,
            top / step,
            size.width / step,
            size.height / step,
            left,
            top,
            size,
          );
          complete = false;
        }
      }
    }
    return complete;
  }

  private place(
    context: CanvasRenderingContext2D,
    bitmap: Bitmap,
    sourceX: number,
    sourceY: number,
    sourceWidth: number,
    sourceHeight: number,
    left: number,
    top: number,
    size: { width: number; height: number },
  ): void {
    const [x, y] = [this.deviceX(left), this.deviceY(top)];
    const width = this.deviceX(left + size.width) - x;
    const height = this.deviceY(top + size.height) - y;
    if (hasAlpha(this.image.source)) context.clearRect(x, y, width, height);
    context.drawImage(bitmap, sourceX, sourceY, sourceWidth, sourceHeight, x, y, width, height);
  }

  private drawFills(context: CanvasRenderingContext2D): void {
    const { channels } = this.image.source;
    this.eachTile(this.image.fills, (tile, left, top, size) => {
      let bitmap = this.fillBitmaps.get(tile);
      if (!bitmap) {
        const raster = { width: TILE, height: TILE, channels, data: tile };
        // Without the tile's unused margin, which would shine through at the image's edge when it is scaled.
        bitmap = bitmapOf(toRgba(raster, { left: 0, top: 0, ...size }, 1), size.width, this.colorSpace);
        this.fillBitmaps.set(tile, bitmap);
      }
      this.place(context, bitmap, 0, 0, size.width, size.height, left, top, size);
    });
  }

  private drawHoles(context: CanvasRenderingContext2D): void {
    if (!this.showMask) return;
    context.imageSmoothingEnabled = this.scale < PIXELATED_FROM;
    const { ratio, showFilled } = this;
    this.marks.draw(context, {
      ratio,
      showFilled,
      eachTile: (sheet, visit) => this.eachTile(sheet, visit),
      place: (onto, bitmap, left, top, size) => {
        const [x, y] = [this.deviceX(left), this.deviceY(top)];
        const [right, bottom] = [this.deviceX(left + size.width), this.deviceY(top + size.height)];
        onto.drawImage(bitmap, 0, 0, size.width, size.height, x, y, right - x, bottom - y);
      },
    });
  }

  private eachTile<T extends Samples>(
    sheet: Sheet<T>,
    visit: (tile: T, left: number, top: number, size: { width: number; height: number }) => void,
  ): void {
    const { width, height } = this.image.size;
    for (const index of sheet.written()) {
      const { left, top } = sheet.origin(index);
      const size = { width: Math.min(TILE, width - left), height: Math.min(TILE, height - top) };
      const visible =
        this.deviceX(left) < this.imageCanvas.width &&
        this.deviceY(top) < this.imageCanvas.height &&
        this.deviceX(left + size.width) > 0 &&
        this.deviceY(top + size.height) > 0;
      const tile = sheet.tile(index);
      if (visible && tile) visit(tile, left, top, size);
    }
  }

  private drawChecker(context: CanvasRenderingContext2D): void {
    const square = document.createElement("canvas");
    const side = CHECKER_SIDE * Math.ceil(this.ratio);
    square.width = square.height = 2 * side;
    const painter = square.getContext("2d");
    if (!painter) return;
    painter.fillStyle = "#ffffff";
    painter.fillRect(0, 0, 2 * side, 2 * side);
    painter.fillStyle = "#d4d4d8";
    painter.fillRect(0, 0, side, side);
    painter.fillRect(side, side, side, side);
    const { width, height } = this.image.size;
    const [x, y] = [this.deviceX(0), this.deviceY(0)];
    context.save();
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = context.createPattern(square, "repeat") ?? "#ffffff";
    context.fillRect(x, y, this.deviceX(width) - x, this.deviceY(height) - y);
    context.restore();
  }

  private drawOutline(context: CanvasRenderingContext2D): void {
    if (!this.outline) return;
    context.beginPath();
    for (const { x, y } of this.outline.points) context.lineTo(this.deviceX(x) + 0.5, this.deviceY(y) + 0.5);
    if (this.outline.closed) context.closePath();
    this.strokeTwice(context, [6 * this.ratio, 6 * this.ratio]);
  }

  private drawCrosshair(context: CanvasRenderingContext2D): void {
    if (!this.crosshair) return;
    const [x, y] = [this.deviceX(this.crosshair.x) + 0.5, this.deviceY(this.crosshair.y) + 0.5];
    const reach = 10 * this.ratio;
    context.beginPath();
    context.moveTo(x - reach, y);
    context.lineTo(x + reach, y);
    context.moveTo(x, y - reach);
    context.lineTo(x, y + reach);
    this.strokeTwice(context, []);
  }

  /** Dark below light: visible on any image. */
  private strokeTwice(context: CanvasRenderingContext2D, dash: number[]): void {
    context.setLineDash([]);
    context.lineWidth = 3 * this.ratio;
    context.strokeStyle = "rgb(0 0 0 / 60%)";
    context.stroke();
    context.setLineDash(dash);
    context.lineWidth = 1.5 * this.ratio;
    context.strokeStyle = "#ffffff";
    context.stroke();
  }
}

function layer(name: string): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.className = `layer ${name}`;
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

function clipFrom(context: CanvasRenderingContext2D, left: number, draw: () => void): void {
  context.save();
  context.beginPath();
  context.rect(left, 0, context.canvas.width, context.canvas.height);
  context.clip();
  draw();
  context.restore();
}
