import { type UseStore, clear, createStore, get, set } from "idb-keyval";
import { FILLED, KEEP } from "../image/marks";
import type { EditedImage } from "../image/edited_image";
import type { Samples } from "../image/raster";
import type { Sheet, TileChange } from "../image/sheet";

/** How long after a change it is stored: strokes come in bursts. */
const DELAY_MILLISECONDS = 400;

/** The images that were worked on, and which of them was shown. */
export interface StoredWork {
  readonly files: readonly File[];
  readonly current: number;
}

type Tiles = readonly (readonly [index: number, tile: Samples])[];
/** Of one image, the tiles of each of its sheets. */
interface StoredMarks {
  readonly holes: Tiles;
  readonly fills: Tiles;
  readonly avoided: Tiles;
}

/**
 * Work kept in this browser's own storage, for a reload or a crash of the tab. A storage that is full or forbidden costs only
 * that: `failed` is called once.
 */
export class WorkStore {
  private readonly store: UseStore | null;
  private files: readonly File[] = [];
  private begun = false;
  private timer = 0;

  constructor(
    private readonly isOn: () => boolean,
    private readonly failed: () => void,
  ) {
    this.store = openStore();
  }

  /** What was kept at the last visit; null for nothing. */
  async stored(): Promise<StoredWork | null> {
    if (!this.store || !this.isOn()) return null;
    return (await get<StoredWork>("work", this.store).catch(() => undefined)) ?? null;
  }

  /** Other images are worked on from now on. What was kept of others goes with the first change. */
  begin(files: readonly File[]): void {
    clearTimeout(this.timer);
    this.files = files;
    this.begun = false;
  }

  /** Continue with stored work. */
  resume({ files }: StoredWork): void {
    this.files = files;
    this.begun = true;
  }

  /** Store how one image stands, soon. */
  keep(index: number, image: EditedImage): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.write(index, image), DELAY_MILLISECONDS);
  }

  /** Bring back what was kept of one image, as one step; none for an image that had no marks. */
  async restore(index: number, image: EditedImage): Promise<TileChange[]> {
    const marks = this.store && this.begun ? await get<StoredMarks>(keyOf(index), this.store).catch(() => null) : null;
    return marks
      ? [...put(image.holes, marks.holes), ...put(image.fills, marks.fills), ...put(image.avoided, marks.avoided)]
      : [];
  }

  /** Remove all that is kept, at once. */
  async forget(): Promise<void> {
    clearTimeout(this.timer);
    this.begun = false;
    if (this.store) await clear(this.store).catch(() => undefined);
  }

  private async write(index: number, image: EditedImage): Promise<void> {
    const { store, files } = this;
    if (!store || !this.isOn()) return;
    try {
      if (!this.begun) {
        await clear(store);
        this.begun = true;
      }
      await set("work", { files, current: index } satisfies StoredWork, store);
      await set(keyOf(index), marksOf(image), store);
    } catch {
      this.failed();
    }
  }
}

const keyOf = (index: number): string => `image ${index}`;

function openStore(): UseStore | null {
  try {
    return createStore("wavepaint", "work");
  } catch {
    return null; // storage is blocked
  }
}

function marksOf(image: EditedImage): StoredMarks {
  const holes = tilesOf(image.holes, (tile) => tile.some((state) => state !== KEEP));
  const filled = new Set(holes.filter(([, tile]) => tile.includes(FILLED)).map(([index]) => index));
  const fills = tilesOf(image.fills, (_, index) => filled.has(index));
  return { holes, fills, avoided: tilesOf(image.avoided, (tile) => tile.includes(1)) };
}

function tilesOf<T extends Samples>(sheet: Sheet<T>, included: (tile: T, index: number) => boolean): [number, T][] {
  return sheet
    .written()
    .map((index): [number, T] => [index, sheet.tile(index) as T])
    .filter(([index, tile]) => included(tile, index));
}

function put<T extends Samples>(sheet: Sheet<T>, tiles: Tiles): TileChange[] {
  return tiles.map(([index, after]) => {
    const before = sheet.tile(index);
    sheet.replace(index, after as T);
    return { sheet: sheet as unknown as Sheet<Samples>, index, before, after };
  });
}
