/** What a pixel of the mask is: kept as it was, a hole still to be filled, or a hole that has been filled. */
export const KEEP = 0;
export const PENDING = 1;
export const FILLED = 2;
export type HoleState = typeof KEEP | typeof PENDING | typeof FILLED;

/** What a stroke does to the pixels it covers: makes them a hole, not to be copied from, or the source's again. */
export type Mark = "hole" | "avoid" | "erase";
