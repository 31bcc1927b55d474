import type { Size } from "../geometry";
import type { Samples } from "./raster";

/** Side of a tile in pixels. */
export const TILE = 256;

/** One tile's replacement; `undefined` stands for the sheet's background. */
export interface TileChange {
  readonly sheet: Sheet<Samples>;
  readonly index: number;
  readonly before: Samples | undefined;
  readonly after: Samples | undefined;
}

export function apply(changes: readonly TileChange[]): void {
  for (const { sheet, index, after } of changes) sheet.replace(index, after);
}

export function takeBack(changes: readonly TileChange[]): void {
  for (const { sheet, index, before } of [...changes].reverse()) sheet.replace(index, before);
}

/** Whether nothing has been written since to the tiles that changed. */
export function areShown(changes: readonly TileChange[]): boolean {
  const seen = new Map<Sheet<Samples>, Set<number>>();
  return [...changes].reverse().every(({ sheet, index, after }) => {
    const indices = seen.get(sheet) ?? new Set();
    if (indices.has(index)) return true; // an earlier change of the same tile
    seen.set(sheet, indices.add(index));
    return sheet.tile(index) === after;
  });
}

/**
 * An image-sized layer that stores only the tiles somebody has written to.
 *
 * Tiles are replaced, never changed, once their edit is finished. So a step of the undo history is a list of
 * references, a renderer can cache by identity, and an edit of a 24-megapixel image costs what it touches.
 */
export class Sheet<T extends Samples> {
  readonly columns: number;
  readonly rows: number;
  private readonly tiles = new Map<number, T>();

  /** `background` makes a new tile that holds what the sheet shows where nobody has written. */
  constructor(
    readonly size: Size,
    readonly background: (index: number) => T,
  ) {
    this.columns = Math.ceil(size.width / TILE);
    this.rows = Math.ceil(size.height / TILE);
  }

  tile(index: number): T | undefined {
    return this.tiles.get(index);
  }

  indexAt(x: number, y: number): number {
    return Math.floor(y / TILE) * this.columns + Math.floor(x / TILE);
  }

  /** Left and top of a tile in pixels. */
  origin(index: number): { left: number; top: number } {
    return { left: (index % this.columns) * TILE, top: Math.floor(index / this.columns) * TILE };
  }

  /** Indices of the tiles that hold something. */
  written(): number[] {
    return [...this.tiles.keys()];
  }

  /** Put a tile, or with `undefined` the background, in place: for `Edit` and the history only. */
  replace(index: number, tile: T | undefined): void {
    if (tile) this.tiles.set(index, tile);
    else this.tiles.delete(index);
  }
}

/** A set of changes to one sheet that is finished or taken back as a whole. */
export class Edit<T extends Samples> {
  private readonly before = new Map<number, T | undefined>();
  private readonly fresh = new Set<number>();

  constructor(readonly sheet: Sheet<T>) {}

  /** The tile to write into: a private copy from the first call on. */
  writable(index: number): T {
    const current = this.sheet.tile(index);
    this.fresh.add(index);
    if (this.before.has(index)) return current as T;
    const copy = current ? (current.slice() as T) : this.sheet.background(index);
    this.before.set(index, current);
    this.sheet.replace(index, copy);
    return copy;
  }

  /** Whether this edit has written to a tile. */
  has(index: number): boolean {
    return this.before.has(index);
  }

  /** Indices of the tiles this edit has written to. */
  touched(): number[] {
    return [...this.before.keys()];
  }

  /** A tile that was written to as it was before. */
  original(index: number): T | undefined {
    return this.before.get(index);
  }

  /** The tiles written since the last call: what a renderer has to draw again. */
  takeFresh(): number[] {
    const indices = [...this.fresh];
    this.fresh.clear();
    return indices;
  }

  finish(): TileChange[] {
    const sheet = this.sheet as unknown as Sheet<Samples>;
    return [...this.before].map(([index, before]) => ({ sheet, index, before, after: this.sheet.tile(index) }));
  }

  rollBack(): void {
    for (const [index, tile] of this.before) this.sheet.replace(index, tile);
    this.before.clear();
  }
}
