import { type Box, boxBetween } from "../geometry";
import { grown } from "./growing";
import { KEEP, type Mark, PENDING } from "./marks";
import type { EditedImage } from "./edited_image";
import type { Samples } from "./raster";
import { eachRun } from "./runs";
import type { Shape } from "./shapes";
import { Edit, TILE, type TileChange } from "./sheet";

/** Marks being painted or erased; erasing a filled hole brings the source's samples back. */
export class Stroke {
  private readonly holes: Edit<Uint8Array<ArrayBuffer>>;
  private readonly fills: Edit<Samples>;
  private readonly avoided: Edit<Uint8Array<ArrayBuffer>>;

  constructor(
    private readonly image: EditedImage,
    private readonly mark: Mark,
  ) {
    this.holes = new Edit(image.holes);
    this.fills = new Edit(image.fills);
    this.avoided = new Edit(image.avoided);
  }

  private get edits(): readonly Edit<Samples>[] {
    return [this.holes, this.fills, this.avoided] as unknown as Edit<Samples>[];
  }

  add(shape: Shape): void {
    const { width, height } = this.image.size;
    shape((y, left, right) => {
      if (y < 0 || y >= height) return;
      const stop = Math.min(right, width);
      for (let start = Math.max(left, 0); start < stop;) {
        const end = Math.min(stop, (Math.floor(start / TILE) + 1) * TILE);
        this.addWithinTile(y, start, end);
        start = end;
      }
    });
  }

  /**
   * Grow the hole that this stroke has made by some pixels in every direction, or shrink it where `pixels` is below zero:
   * by a disc, and no further than to what was a hole before.
   */
  grow(pixels: number): void {
    if (pixels === 0 || this.mark !== "hole") return;
    const box = this.freshBox(Math.abs(pixels) + 1);
    if (!box) return;
    const { width, height } = box;
    const own = this.statesOf(box, (state, before) => state === PENDING && before !== PENDING);
    if (pixels > 0) {
      const wide = grown(own, box, pixels);
      this.eachRunOf(
        box,
        (at) => wide[at] > own[at],
        (y, left, right) => this.addRun(y, left, right),
      );
      return;
    }
    const outside = this.statesOf(box, (state) => state !== PENDING);
    const near = grown(outside, { width, height }, -pixels);
    this.eachRunOf(
      box,
      (at) => own[at] !== 0 && near[at] !== 0,
      (y, left, right) => this.takeBack(y, left, right),
    );
  }

  /** The tiles changed in place since the last call: what a renderer has to draw again. */
  takeFresh(): Samples[] {
    return this.edits
      .flatMap((edit) => edit.takeFresh().map((index) => edit.sheet.tile(index)))
      .filter((tile) => tile !== undefined);
  }

  finish(): TileChange[] {
    return this.edits.flatMap((edit) => edit.finish());
  }

  rollBack(): void {
    for (const edit of this.edits) edit.rollBack();
  }

  private addRun(y: number, left: number, right: number): void {
    this.add((span) => span(y, left, right));
  }

  private addWithinTile(y: number, left: number, right: number): void {
    const { holes, fills, source, avoided } = this.image;
    const index = holes.indexAt(left, y);
    const start = (y % TILE) * TILE + (left % TILE);
    const end = start + right - left;
    if (this.mark === "hole") this.holes.writable(index).fill(PENDING, start, end);
    if (this.mark === "avoid") this.avoided.writable(index).fill(1, start, end);
    if (this.mark !== "erase") return;
    if (avoided.tile(index)) this.avoided.writable(index).fill(0, start, end);
    if (holes.tile(index)) this.holes.writable(index).fill(KEEP, start, end);
    if (holes.tile(index) && fills.tile(index)) {
      const { channels, width, data } = source;
      const from = (y * width + left) * channels;
      this.fills.writable(index).set(data.subarray(from, from + (right - left) * channels), start * channels);
    }
  }

  /** Make a run what it was before the stroke. */
  private takeBack(y: number, left: number, right: number): void {
    for (let x = left; x < right; x++) {
      const index = this.image.holes.indexAt(x, y);
      const at = (y % TILE) * TILE + (x % TILE);
      this.holes.writable(index)[at] = this.holes.original(index)?.[at] ?? KEEP;
    }
  }

  /** The box around all pixels that this stroke made a hole, and some more. */
  private freshBox(margin: number): Box | null {
    const { width, height } = this.image.size;
    let [left, top, right, bottom] = [width, height, 0, 0];
    for (const index of this.holes.touched()) {
      const [tile, before] = [this.image.holes.tile(index), this.holes.original(index)];
      const origin = this.image.holes.origin(index);
      for (let at = 0; tile && at < tile.length; at++) {
        if (tile[at] !== PENDING || before?.[at] === PENDING) continue;
        const [x, y] = [origin.left + (at % TILE), origin.top + Math.floor(at / TILE)];
        [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
      }
    }
    if (right <= left) return null;
    return boxBetween(
      Math.max(0, left - margin),
      Math.max(0, top - margin),
      Math.min(width, right + margin),
      Math.min(height, bottom + margin),
    );
  }

  /** One byte per pixel of a box: 1 where `test`, given the state now and before the stroke, holds. */
  private statesOf(box: Box, test: (state: number, before: number) => boolean): Uint8Array<ArrayBuffer> {
    const { holes } = this.image;
    const out = new Uint8Array(box.width * box.height);
    for (let row = 0, to = 0; row < box.height; row++) {
      const y = box.top + row;
      for (let x = box.left; x < box.left + box.width; x++, to++) {
        const index = holes.indexAt(x, y);
        const at = (y % TILE) * TILE + (x % TILE);
        const state = holes.tile(index)?.[at] ?? KEEP;
        const before = this.holes.has(index) ? (this.holes.original(index)?.[at] ?? KEEP) : state;
        out[to] = Number(test(state, before));
      }
    }
    return out;
  }

  private eachRunOf(
    box: Box,
    belongs: (at: number) => boolean,
    use: (y: number, left: number, right: number) => void,
  ): void {
    for (let row = 0; row < box.height; row++) {
      const start = row * box.width;
      eachRun(
        box.width,
        (column) => belongs(start + column),
        (first, behind) => use(box.top + row, box.left + first, box.left + behind),
      );
    }
  }
}
