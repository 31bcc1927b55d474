import { type Box, type Size, boxBetween, intersection } from "../geometry";
import { History, type Step } from "./history";
import { FILLED, type HoleState, KEEP, type Mark, PENDING } from "./marks";
import { type Raster, type Samples, allocateLike, crop, mismatch } from "./raster";
import { CELL, type Cell } from "./regions";
import { eachRun } from "./runs";
import { Edit, Sheet, TILE, type TileChange } from "./sheet";
import { Stroke } from "./stroke";

/** What is sent to a filler. */
export interface FillRequest {
  /** The samples as the page shows them; those in holes are zero: nobody needs to know what was painted over. */
  readonly image: Raster;
  /** One byte per pixel of `image`, 1 = hole. */
  readonly mask: Uint8Array<ArrayBuffer>;
  /** One byte per pixel of `image`, 1 = not to copy from; null = nowhere. */
  readonly exclude?: Uint8Array<ArrayBuffer> | null;
  /** Another number gives another plausible result; 0 by default. */
  readonly seed?: number;
}

/**
 * An opened image, the mask painted on it and what the holes were filled with.
 *
 * The source's samples are never written to. Filled samples lie on a sheet above them, so that everything outside the
 * mask is the source's own by construction, and the eraser brings the original back.
 */
export class EditedImage {
  readonly holes: Sheet<Uint8Array<ArrayBuffer>>;
  readonly fills: Sheet<Samples>;
  /** 1 = not to copy from. */
  readonly avoided: Sheet<Uint8Array<ArrayBuffer>>;
  readonly history = new History();

  constructor(public source: Raster) {
    this.holes = new Sheet(source, () => new Uint8Array(TILE * TILE));
    this.fills = new Sheet(source, (index) => this.sourceTile(index));
    this.avoided = new Sheet(source, () => new Uint8Array(TILE * TILE));
  }

  get size(): Size {
    return this.source;
  }

  /** Let go of the source's samples, which its file can give again, until `wake`. */
  sleep(): void {
    this.source = { ...this.source, data: allocateLike(this.source.data, 0) };
  }

  wake(source: Raster): void {
    this.source = source;
  }

  holeAt(x: number, y: number): HoleState {
    const tile = this.holes.tile(this.holes.indexAt(x, y));
    return (tile ? tile[(y % TILE) * TILE + (x % TILE)] : KEEP) as HoleState;
  }

  /** Start a stroke; `Stroke.add` may be called many times before it is finished. */
  stroke(mark: Mark): Stroke {
    return new Stroke(this, mark);
  }

  /** Holes wherever `white` is not zero: one byte per pixel of the image; see `Stroke.grow`. */
  addMask(white: Uint8Array, grow = 0): TileChange[] {
    const { width, height } = this.size;
    const stroke = this.stroke("hole");
    stroke.add((span) => {
      for (let y = 0; y < height; y++) {
        eachRun(
          width,
          (x) => white[y * width + x] !== 0,
          (first, behind) => span(y, first, behind),
        );
      }
    });
    stroke.grow(grow);
    return stroke.finish();
  }

  /** The whole mask: one byte per pixel, 255 = hole (filled or not), 0 = keep. */
  mask(): Uint8Array<ArrayBuffer> {
    const { width, height } = this.size;
    const out = new Uint8Array(width * height);
    this.eachRow(this.holes, { left: 0, top: 0, width, height }, (row, offset) => {
      for (let x = 0; x < row.length; x++) if (row[x] !== KEEP) out[offset + x] = 255;
    });
    return out;
  }

  get hasPending(): boolean {
    return this.holes.written().some((index) => this.tilePending(index));
  }

  get hasFilled(): boolean {
    return this.holes.written().some((index) => this.holes.tile(index)?.includes(FILLED));
  }

  /** Whether anything is marked: holes, filled or not, or places not to copy from. */
  get hasMarks(): boolean {
    return this.hasPending || this.hasFilled || this.avoided.written().some((index) => this.avoidsIn(index));
  }

  /** The cells of the planning grid that hold a pending pixel. */
  pendingCells(): Cell[] {
    const cells: Cell[] = [];
    for (const index of this.holes.written()) {
      const tile = this.holes.tile(index);
      if (!tile || !this.tilePending(index)) continue;
      const { left, top } = this.holes.origin(index);
      for (let y = 0; y < TILE; y += CELL) {
        for (let x = 0; x < TILE; x += CELL) {
          if (cellPending(tile, x, y)) cells.push([(left + x) / CELL, (top + y) / CELL]);
        }
      }
    }
    return cells;
  }

  /** The image as it stands: the source outside the filled holes. */
  current(box: Box = { left: 0, top: 0, ...this.size }): Raster {
    const result = crop(this.source, box);
    const { channels } = this.source;
    for (const index of this.fills.written()) {
      const part = intersection(box, this.tileBox(index));
      const tile = this.fills.tile(index);
      if (!part || !tile) continue;
      const { left, top } = this.fills.origin(index);
      for (let y = part.top; y < part.top + part.height; y++) {
        const from = ((y - top) * TILE + part.left - left) * channels;
        const to = ((y - box.top) * box.width + part.left - box.left) * channels;
        result.data.set(tile.subarray(from, from + part.width * channels), to);
      }
    }
    return result;
  }

  /** What a filler needs to fill the pending holes of a region. */
  request(region: Box, seed = 0): FillRequest {
    const image = this.current(region);
    const mask = new Uint8Array(region.width * region.height);
    const { channels } = image;
    this.eachRow(this.holes, region, (row, offset) => {
      eachRun(
        row.length,
        (x) => row[x] === PENDING,
        (first, behind) => {
          mask.fill(1, offset + first, offset + behind);
          image.data.fill(0, (offset + first) * channels, (offset + behind) * channels);
        },
      );
    });
    return { image, mask, exclude: this.excluded(region), seed };
  }

  private excluded(region: Box): Uint8Array<ArrayBuffer> | null {
    const exclude = new Uint8Array(region.width * region.height);
    this.eachRow(this.avoided, region, (row, offset) => exclude.set(row, offset));
    return exclude.includes(1) ? exclude : null;
  }

  /**
   * Paste a filler's answer: only pixels inside `core` that were asked for and are still pending.
   * Throws a RangeError when the answer is of another size or kind than the region.
   */
  paste(region: Box, core: Box, asked: Uint8Array, answer: Raster): TileChange[] {
    const problem = mismatch({ ...this.source, width: region.width, height: region.height }, answer);
    if (problem) throw new RangeError(problem);
    const { channels } = this.source;
    const holes = new Edit(this.holes);
    const fills = new Edit(this.fills);
    for (const index of this.holes.written()) {
      const part = intersection(core, this.tileBox(index));
      const states = this.holes.tile(index);
      if (!part || !states || !this.tilePending(index)) continue;
      const { left, top } = this.holes.origin(index);
      for (let row = 0; row < part.height; row++) {
        const start = (part.top + row - top) * TILE + part.left - left;
        const from = (part.top + row - region.top) * region.width + part.left - region.left;
        eachRun(
          part.width,
          (column) => states[start + column] === PENDING && asked[from + column] !== 0,
          (first, behind) => {
            holes.writable(index).fill(FILLED, start + first, start + behind);
            const samples = answer.data.subarray((from + first) * channels, (from + behind) * channels);
            fills.writable(index).set(samples, (start + first) * channels);
          },
        );
      }
    }
    return [...holes.finish(), ...fills.finish()];
  }

  /** Take every hole back, so that the image is the source again. */
  clear(): TileChange[] {
    const { width, height } = this.size;
    const stroke = this.stroke("erase");
    stroke.add((span) => {
      for (let y = 0; y < height; y++) span(y, 0, width);
    });
    return stroke.finish();
  }

  record(label: string, changes: TileChange[], join?: Step): Step | null {
    return changes.length ? this.history.record({ label, changes }, join) : null;
  }

  private tileBox(index: number): Box {
    const { left, top } = this.holes.origin(index);
    const { width, height } = this.size;
    return boxBetween(left, top, Math.min(left + TILE, width), Math.min(top + TILE, height));
  }

  private sourceTile(index: number): Samples {
    const { channels, data } = this.source;
    const box = this.tileBox(index);
    const tile = allocateLike(data, TILE * TILE * channels);
    const part = crop(this.source, box).data;
    for (let row = 0; row < box.height; row++) {
      tile.set(part.subarray(row * box.width * channels, (row + 1) * box.width * channels), row * TILE * channels);
    }
    return tile;
  }

  private tilePending(index: number): boolean {
    return this.holes.tile(index)?.includes(PENDING) ?? false;
  }

  private avoidsIn(index: number): boolean {
    return this.avoided.tile(index)?.includes(1) ?? false;
  }

  /** The states inside a box, a piece of a row at a time, with the piece's offset in the box's pixels. */
  private eachRow(
    sheet: Sheet<Uint8Array<ArrayBuffer>>,
    box: Box,
    visit: (row: Uint8Array, offset: number) => void,
  ): void {
    for (const index of sheet.written()) {
      const part = intersection(box, this.tileBox(index));
      const tile = sheet.tile(index);
      if (!part || !tile) continue;
      const { left, top } = sheet.origin(index);
      for (let y = part.top; y < part.top + part.height; y++) {
        const from = (y - top) * TILE + part.left - left;
        visit(tile.subarray(from, from + part.width), (y - box.top) * box.width + part.left - box.left);
      }
    }
  }
}

function cellPending(tile: Uint8Array, left: number, top: number): boolean {
  for (let y = top; y < top + CELL; y++) {
    const start = y * TILE + left;
    if (tile.subarray(start, start + CELL).includes(PENDING)) return true;
  }
  return false;
}
