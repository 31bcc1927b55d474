import type { Raster } from "../image/raster";
import type { FillProgress } from "./filler";

export const DAMAGE_KINDS = ["scratches", "dust", "stamps"] as const;
export type DamageKind = (typeof DAMAGE_KINDS)[number];

export interface Finding {
  readonly kinds: readonly DamageKind[];
  /** 0 to 1; more finds fainter damage, and takes more that is none for it. */
  readonly sensitivity: number;
}

/** Something that finds damage: a server, or a network in the page. */
export interface Finder {
  /**
   * The damage of an image: one byte per pixel, 1 = damage, not grown. Rejects with a FillError that can be shown, or
   * with the signal's reason when it is aborted.
   */
  find(
    image: Raster,
    finding: Finding,
    signal: AbortSignal,
    report?: (progress: FillProgress) => void,
  ): Promise<Uint8Array>;
}
