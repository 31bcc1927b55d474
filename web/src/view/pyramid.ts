import { boxBetween } from "../geometry";
import { type Raster, toRgba } from "../image/raster";

/** Side of a display tile in its own pixels. */
export const DISPLAY_TILE = 512;
/** Tiles kept: about two 4K screens full, 128 MiB. */
const CAPACITY = 128;
/** Longest side of the overview that stands in for tiles not made yet. */
const OVERVIEW = 1024;

export type Bitmap = HTMLCanvasElement;

export function bitmapOf(
  rgba: Uint8ClampedArray<ArrayBuffer>,
  width: number,
  colorSpace: PredefinedColorSpace,
): Bitmap {
  const canvas = document.createElement("canvas");
  const height = rgba.length / 4 / width;
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { colorSpace })?.putImageData(new ImageData(rgba, width, height, { colorSpace }), 0, 0);
  return canvas;
}

/** Display tiles of an unchanging raster, reduced by powers of two, made when they come into view. */
export class Pyramid {
  /** The whole raster, reduced by 2 ** `overviewLevel`. */
  readonly overview: Bitmap;
  readonly overviewLevel: number;
  private readonly tiles = new Map<string, Bitmap>();

  constructor(
    private readonly raster: Raster,
    private readonly colorSpace: PredefinedColorSpace,
  ) {
    this.overviewLevel = Math.max(0, Math.ceil(Math.log2(Math.max(raster.width, raster.height) / OVERVIEW)));
    this.overview = this.render(this.overviewLevel, 0, 0, raster.width, raster.height);
  }

  /** The tile if it is there or may be made. */
  tile(level: number, column: number, row: number, mayMake: boolean): Bitmap | null {
    const key = `${level}/${column}/${row}`;
    let bitmap = this.tiles.get(key);
    if (bitmap) {
      this.tiles.delete(key); // to the young end of the map's order
    } else if (mayMake) {
      const side = DISPLAY_TILE << level;
      const [left, top] = [column * side, row * side];
      const right = Math.min(left + side, this.raster.width);
      bitmap = this.render(level, left, top, right, Math.min(top + side, this.raster.height));
    } else {
      return null;
    }
    this.tiles.set(key, bitmap);
    for (const oldest of this.tiles.keys()) {
      if (this.tiles.size <= CAPACITY) break;
      this.tiles.delete(oldest);
    }
    return bitmap;
  }

  private render(level: number, left: number, top: number, right: number, bottom: number): Bitmap {
    const step = 1 << level;
    const rgba = toRgba(this.raster, boxBetween(left, top, right, bottom), step);
    return bitmapOf(rgba, Math.ceil((right - left) / step), this.colorSpace);
  }
}
