import { area } from "../geometry";
import type { EditedImage } from "../image/edited_image";
import { type Region, cellMeets, planRegions } from "../image/regions";
import type { TileChange } from "../image/sheet";
import { FillError, type FillProgress, type Filler } from "./filler";

export interface FillRun {
  readonly image: EditedImage;
  readonly filler: Filler;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Called before each request, and whenever the filler reports progress on it. */
  progress(done: number, total: number, within: FillProgress | null): void;
  /** Resolves when nobody is in the middle of a stroke, whose tiles a paste must not replace. */
  quiet(): Promise<void>;
  /** Called with what each answer changed, right after it was pasted. */
  pasted(changes: TileChange[]): void;
}

/**
 * Fill what is pending, one region after the other. Rejects with a FillError or the signal's reason; what was pasted
 * until then stays, the rest stays pending.
 */
export async function fillPending({ image, filler, seed, signal, progress, quiet, pasted }: FillRun): Promise<number> {
  const waiting = planRegions(image.pendingCells(), image.size);
  const total = waiting.length;
  while (waiting.length) {
    const done = total - waiting.length;
    progress(done, total, null);
    const { core, region } = takeBestKnown(waiting, image);
    const request = image.request(region, seed);
    const { raster } = await filler.fill(request, signal, (within) => progress(done, total, within));
    await quiet();
    signal.throwIfAborted();
    try {
      pasted(image.paste(region, core, request.mask, raster));
    } catch (error) {
      throw new FillError(`The answer does not fit: ${(error as Error).message}.`, { cause: error });
    }
  }
  return total;
}

/** Take out the region with the smallest share of unknown cells: large holes are filled from the outside in. */
function takeBestKnown(waiting: Region[], image: EditedImage): Region {
  if (waiting.length > 1) {
    const cells = image.pendingCells();
    const unknown = ({ region }: Region): number =>
      cells.filter((cell) => cellMeets(cell, region)).length / area(region);
    const shares = new Map(waiting.map((region) => [region, unknown(region)]));
    waiting.sort((a, b) => (shares.get(b) ?? 0) - (shares.get(a) ?? 0));
  }
  return waiting.pop() as Region;
}
