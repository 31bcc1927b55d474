/** The work in progress, and the share of it that is done: 0 to 1. */
export interface Progress {
  readonly doing: "loading" | "filling" | "looking";
  readonly share: number;
}
