import type { Point } from "../geometry";
import type { Mark } from "../image/marks";
import type { EditedImage } from "../image/edited_image";
import type { Samples } from "../image/raster";
import { type Dab, polygon, rectangle, sweep } from "../image/shapes";
import type { TileChange } from "../image/sheet";
import type { Stroke } from "../image/stroke";
import { matchColour } from "../image/wand";
import type { Outline } from "../view/stage";

export const TOOLS = ["brush", "eraser", "rectangle", "lasso", "wand", "avoid", "hand"] as const;
export type ToolName = (typeof TOOLS)[number];
export type DrawingTool = Exclude<ToolName, "hand">;

/** Tools that draw with a round tip, and what they make of what they touch. */
export const ROUND: Partial<Record<ToolName, readonly [label: string, mark: Mark]>> = {
  brush: ["Brush stroke", "hole"],
  eraser: ["Eraser stroke", "erase"],
  avoid: ["Avoid", "avoid"],
};

/** How tools that are not round mark, and how much is added around what is marked. */
export interface ToolOptions {
  /** Pixels to grow what is marked by; to shrink, below zero. */
  readonly grow: number;
  /** Of the magic wand: steps of 8 bits. */
  readonly tolerance: number;
  /** Whether the magic wand marks its colour all over the image. */
  readonly everywhere: boolean;
}

/** One use of a tool, from press to release. Points are image coordinates. */
export interface Gesture {
  readonly label: string;
  /** Go on to a point. Returns the tiles that look different now. */
  moveTo(dab: Dab): Samples[];
  readonly outline: Outline | null;
  finish(): TileChange[];
  cancel(): void;
}

export function startGesture(tool: DrawingTool, image: EditedImage, at: Dab, options: ToolOptions): Gesture {
  const round = ROUND[tool];
  if (round) return new BrushGesture(round[0], image.stroke(round[1]), at, options.grow);
  if (tool === "wand") return new WandGesture(image, at, options);
  const corners = tool === "rectangle" ? new Rectangle(at) : new Lasso(at);
  return new ShapeGesture(image, corners, options.grow);
}

class BrushGesture implements Gesture {
  readonly outline = null;

  constructor(
    readonly label: string,
    private readonly stroke: Stroke,
    private last: Dab,
    private readonly grow: number,
  ) {}

  moveTo(dab: Dab): Samples[] {
    this.stroke.add(sweep(this.last, dab));
    this.last = dab;
    return this.stroke.takeFresh();
  }

  finish(): TileChange[] {
    this.stroke.grow(this.grow);
    return this.stroke.finish();
  }

  cancel(): void {
    this.stroke.rollBack();
  }
}

/** What a rectangle and a lasso differ in. */
interface Corners {
  readonly label: string;
  readonly outline: Outline;
  moveTo(point: Point): void;
}

class ShapeGesture implements Gesture {
  readonly label: string;

  constructor(
    private readonly image: EditedImage,
    private readonly corners: Corners,
    private readonly grow: number,
  ) {
    this.label = corners.label;
  }

  get outline(): Outline {
    return this.corners.outline;
  }

  moveTo(point: Point): Samples[] {
    this.corners.moveTo(point);
    return [];
  }

  finish(): TileChange[] {
    const stroke = this.image.stroke("hole");
    stroke.add(polygon(this.outline.points));
    stroke.grow(this.grow);
    return stroke.finish();
  }

  cancel(): void {
    // Nothing was written yet.
  }
}

class Rectangle implements Corners {
  readonly label = "Rectangle";
  private end: Point;

  constructor(private readonly start: Point) {
    this.end = start;
  }

  get outline(): Outline {
    return { points: rectangle(this.start, this.end), closed: true };
  }

  moveTo(point: Point): void {
    this.end = point;
  }
}

class Lasso implements Corners {
  readonly label = "Lasso";
  private readonly points: Point[];

  constructor(start: Point) {
    this.points = [start];
  }

  get outline(): Outline {
    return { points: this.points, closed: false };
  }

  moveTo(point: Point): void {
    this.points.push(point);
  }
}

class WandGesture implements Gesture {
  readonly label = "Magic wand";
  readonly outline = null;

  constructor(
    private readonly image: EditedImage,
    private at: Point,
    private readonly options: ToolOptions,
  ) {}

  moveTo(point: Point): Samples[] {
    this.at = point;
    return [];
  }

  finish(): TileChange[] {
    const { width, height } = this.image.size;
    const { x, y } = this.at;
    if (x < 0 || y < 0 || x >= width || y >= height) return [];
    const { tolerance, everywhere, grow } = this.options;
    return this.image.addMask(matchColour(this.image, this.at, tolerance, everywhere), grow);
  }

  cancel(): void {
    // Nothing was written yet.
  }
}
