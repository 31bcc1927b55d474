import { type Point, type Size, clamp } from "../geometry";

/** CSS pixels per image pixel at most. */
const MAX_SCALE = 32;
/** Small images are enlarged at most this much when they are fitted. */
const MAX_FITTED_SCALE = 3;
/** The whole image may be shrunk to this share of the size at which it fits. */
const MIN_SHARE = 0.5;
/** CSS pixels around an image that is fitted into the viewport. */
const MARGIN = 16;

/** Which part of the image the viewport shows. Screen coordinates are CSS pixels in the viewport. */
export class Camera {
  /** CSS pixels per image pixel. */
  scale = 1;
  /** Image coordinates of the viewport's top left corner. */
  x = 0;
  y = 0;
  /** The image follows the viewport's size until somebody zooms or pans. */
  private fitted = true;
  private viewport: Size = { width: 1, height: 1 };

  constructor(private readonly image: Size) {}

  resize(viewport: Size): void {
    const center = this.toImage(this.middle);
    this.viewport = viewport;
    if (this.fitted) this.fit();
    else this.show(center, this.middle);
  }

  fit(): void {
    this.scale = this.fittedScale;
    this.center();
    this.fitted = true;
  }

  zoomAt(screen: Point, factor: number): void {
    const fixed = this.toImage(screen);
    this.scale = clamp(this.scale * factor, Math.min(1, this.fittingScale) * MIN_SHARE, MAX_SCALE);
    this.fitted = false;
    this.show(fixed, screen);
  }

  zoomTo(scale: number): void {
    this.zoomAt(this.middle, scale / this.scale);
  }

  panBy(dx: number, dy: number): void {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.fitted = false;
    this.keepInSight();
  }

  /** Pan, if need be, so that a point of the image is inside the viewport. */
  reveal(point: Point): void {
    const screen = this.toScreen(point);
    const { width, height } = this.viewport;
    const dx = clamp(screen.x, 2 * MARGIN, width - 2 * MARGIN) - screen.x;
    const dy = clamp(screen.y, 2 * MARGIN, height - 2 * MARGIN) - screen.y;
    if (dx !== 0 || dy !== 0) this.panBy(dx, dy);
  }

  toImage({ x, y }: Point): Point {
    return { x: this.x + x / this.scale, y: this.y + y / this.scale };
  }

  toScreen({ x, y }: Point): Point {
    return { x: (x - this.x) * this.scale, y: (y - this.y) * this.scale };
  }

  /** The middle of the viewport in screen coordinates. */
  get middle(): Point {
    return { x: this.viewport.width / 2, y: this.viewport.height / 2 };
  }

  /** CSS pixels per image pixel when the image is fitted. */
  get fittedScale(): number {
    return Math.min(this.fittingScale, MAX_FITTED_SCALE);
  }

  private get fittingScale(): number {
    const { width, height } = this.viewport;
    return Math.max(
      1 / MAX_SCALE,
      Math.min((width - 2 * MARGIN) / this.image.width, (height - 2 * MARGIN) / this.image.height),
    );
  }

  private center(): void {
    this.x = (this.image.width - this.viewport.width / this.scale) / 2;
    this.y = (this.image.height - this.viewport.height / this.scale) / 2;
  }

  private show(point: Point, screen: Point): void {
    this.x = point.x - screen.x / this.scale;
    this.y = point.y - screen.y / this.scale;
    this.keepInSight();
  }

  /** The middle of the viewport always shows some of the image. */
  private keepInSight(): void {
    const halfWidth = this.viewport.width / this.scale / 2;
    const halfHeight = this.viewport.height / this.scale / 2;
    this.x = clamp(this.x, -halfWidth, this.image.width - halfWidth);
    this.y = clamp(this.y, -halfHeight, this.image.height - halfHeight);
  }
}
