import type { Progress } from "../progress";
import type { FillRequest } from "../image/edited_image";
import type { Raster } from "../image/raster";

export interface Filled {
  readonly raster: Raster;
  /** What filling took, without what went before: loading, waiting for its turn, or for a person. */
  readonly seconds: number;
}

/** How far a fill is; "waiting" for a server that is busy. */
export type FillProgress = Progress | { readonly doing: "waiting"; readonly share: 0 };

/** Something that fills holes: a server, or a model in the page. */
export interface Filler {
  /**
   * Fill the holes of a region. The raster has the size, channels and depth of `request.image`; only its samples inside
   * the holes are used. `report` is called with the progress by those that know it. Rejects with a FillError that can be shown,
   * or with the signal's reason when it is aborted.
   */
  fill(request: FillRequest, signal: AbortSignal, report?: (progress: FillProgress) => void): Promise<Filled>;
}

/** A fill that did not succeed, in words for the person who asked for it. */
export class FillError extends Error {}
