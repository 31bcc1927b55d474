/** What may be asked of a fill; the meaning and the defaults are those of `wavepaint.Options`. */

import type { Mask } from "./planes";

/** Where detail comes from: copied from the image itself, noise like that of the surroundings, or nothing added. */
export type Detail = "image" | "grain" | "network";

export interface DetailOptions {
  readonly detail: Detail;
  /** Another whole number, not negative, gives another plausible result, for detail "image". */
  readonly seed: number;
  /** Of the size of the image, 1 = not to copy from, for detail "image". */
  readonly exclude: Mask | null;
}

export const DEFAULT_OPTIONS: DetailOptions = { detail: "image", seed: 0, exclude: null };
