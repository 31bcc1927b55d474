import type { Point } from "../geometry";
import { KEEP, PENDING, type Picture, type Stroke } from "../image/picture";
import type { Samples } from "../image/raster";
import { type Dab, polygon, rectangle, sweep } from "../image/shapes";
import type { TileChange } from "../image/sheet";
import type { Outline } from "../view/stage";

export const TOOLS = ["brush", "eraser", "rectangle", "lasso", "hand"] as const;
export type ToolName = (typeof TOOLS)[number];
export type DrawingTool = Exclude<ToolName, "hand">;

/** One use of a tool, from press to release. Points are picture coordinates. */
export interface Gesture {
  readonly label: string;
  /** Go on to a point. Returns the tiles that look different now. */
  moveTo(dab: Dab): Samples[];
  readonly outline: Outline | null;
  finish(): TileChange[];
  cancel(): void;
}

export function startGesture(tool: DrawingTool, picture: Picture, at: Dab): Gesture {
  switch (tool) {
    case "brush":
      return new BrushGesture("Brush stroke", picture.stroke(PENDING), at);
    case "eraser":
      return new BrushGesture("Eraser stroke", picture.stroke(KEEP), at);
    case "rectangle":
      return new RectangleGesture(picture, at);
    case "lasso":
      return new LassoGesture(picture, at);
  }
}

class BrushGesture implements Gesture {
  readonly outline = null;

  constructor(
    readonly label: string,
    private readonly stroke: Stroke,
    private last: Dab,
  ) {}

  moveTo(dab: Dab): Samples[] {
    this.stroke.add(sweep(this.last, dab));
    this.last = dab;
    return this.stroke.takeFresh();
  }

  finish(): TileChange[] {
    return this.stroke.finish();
  }

  cancel(): void {
    this.stroke.rollBack();
  }
}

abstract class ShapeGesture implements Gesture {
  abstract readonly label: string;
  abstract readonly outline: Outline;

  constructor(private readonly picture: Picture) {}

  abstract moveTo(point: Point): Samples[];
  protected abstract addTo(stroke: Stroke): void;

  finish(): TileChange[] {
    const stroke = this.picture.stroke(PENDING);
    this.addTo(stroke);
    return stroke.finish();
  }

  cancel(): void {
    // Nothing was written yet.
  }
}

class RectangleGesture extends ShapeGesture {
  readonly label = "Rectangle";
  private corner: Point;

  constructor(
    picture: Picture,
    private readonly start: Point,
  ) {
    super(picture);
    this.corner = start;
  }

  get outline(): Outline {
    const { start: a, corner: b } = this;
    return { points: [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }], closed: true };
  }

  moveTo(point: Point): Samples[] {
    this.corner = point;
    return [];
  }

  protected addTo(stroke: Stroke): void {
    stroke.add(rectangle(this.start, this.corner));
  }
}

class LassoGesture extends ShapeGesture {
  readonly label = "Lasso";
  private readonly points: Point[];

  constructor(picture: Picture, start: Point) {
    super(picture);
    this.points = [start];
  }

  get outline(): Outline {
    return { points: this.points, closed: false };
  }

  moveTo(point: Point): Samples[] {
    this.points.push(point);
    return [];
  }

  protected addTo(stroke: Stroke): void {
    stroke.add(polygon(this.points));
  }
}
