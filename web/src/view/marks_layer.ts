import type { EditedImage } from "../image/edited_image";
import type { Samples } from "../image/raster";
import { type Sheet, TILE } from "../image/sheet";
import { AVOID_STRIPES, HOLE_STRIPES, hatch, markPixels } from "./hatch";
import { type Bitmap, bitmapOf } from "./pyramid";

/** Calls back with every tile in view: its samples, and what of it lies inside the image. */
export type EachTile = <T extends Samples>(
  sheet: Sheet<T>,
  visit: (tile: T, left: number, top: number, size: { width: number; height: number }) => void,
) => void;

/** Draws a tile's bitmap where it belongs. */
export type PlaceTile = (
  context: CanvasRenderingContext2D,
  bitmap: Bitmap,
  left: number,
  top: number,
  size: { width: number; height: number },
) => void;

/** Draws holes and places not to copy from, each striped in its own way. */
export class MarksLayer {
  private bitmaps = new WeakMap<Samples, Bitmap>();
  private withFilled = false;
  private patterns: (CanvasPattern | null)[] = [];
  private ratio = 0;
  private readonly scratch = document.createElement("canvas");

  constructor(private readonly image: EditedImage) {}

  forget(tile: Samples): void {
    this.bitmaps.delete(tile);
  }

  draw(
    context: CanvasRenderingContext2D,
    view: {
      readonly ratio: number;
      readonly showFilled: boolean;
      readonly eachTile: EachTile;
      readonly place: PlaceTile;
    },
  ): void {
    if (this.withFilled !== view.showFilled) {
      this.bitmaps = new WeakMap();
      this.withFilled = view.showFilled;
    }
    if (this.ratio !== view.ratio) {
      this.ratio = view.ratio;
      this.patterns = [hatch(HOLE_STRIPES, view.ratio, false), hatch(AVOID_STRIPES, view.ratio, true)];
    }
    this.stripe(context, this.image.holes, this.patterns[0], view);
    if (this.image.avoided.written().length === 0) return;
    const { scratch } = this;
    const { width, height } = context.canvas;
    if (scratch.width !== width || scratch.height !== height) [scratch.width, scratch.height] = [width, height];
    const apart = scratch.getContext("2d");
    if (!apart) return;
    apart.clearRect(0, 0, width, height);
    this.stripe(apart, this.image.avoided, this.patterns[1], view);
    context.drawImage(scratch, 0, 0);
  }

  /** Draw a sheet's marks on an empty canvas. */
  private stripe(
    context: CanvasRenderingContext2D,
    sheet: Sheet<Uint8Array<ArrayBuffer>>,
    pattern: CanvasPattern | null,
    { showFilled, eachTile, place }: { showFilled: boolean; eachTile: EachTile; place: PlaceTile },
  ): void {
    let any = false;
    eachTile(sheet, (tile, left, top, size) => {
      let bitmap = this.bitmaps.get(tile);
      if (!bitmap) {
        bitmap = bitmapOf(markPixels(tile, showFilled), TILE, "srgb");
        this.bitmaps.set(tile, bitmap);
      }
      place(context, bitmap, left, top, size);
      any = true;
    });
    if (!any || !pattern) return;
    context.save();
    context.globalCompositeOperation = "source-in";
    context.fillStyle = pattern;
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
    context.restore();
  }
}
