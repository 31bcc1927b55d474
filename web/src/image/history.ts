import { type TileChange, apply, takeBack } from "./sheet";

/** Something the user did, by the name the page says when it is undone. */
export interface Step {
  readonly label: string;
  readonly changes: TileChange[];
  /** What it made of the image, small. */
  thumbnail?: ImageData;
}

/** Bytes of tiles that steps may hold on to; beyond it the oldest steps are forgotten. */
const DEFAULT_BUDGET = 256 * 2 ** 20;

/** Undo and redo as lists of replaced tiles. */
export class History {
  private readonly done: Step[] = [];
  private readonly undone: Step[] = [];

  constructor(private readonly budget = DEFAULT_BUDGET) {}

  /**
   * Record a finished step. With `join`, its changes become part of that step if it is still the latest one:
   * a stroke and the result that it set off are undone together.
   */
  record(step: Step, join?: Step): Step {
    this.undone.length = 0;
    const latest = this.done.at(-1);
    if (join && latest === join) {
      latest.changes.push(...step.changes);
      return latest;
    }
    this.done.push(step);
    this.forgetOldest();
    return step;
  }

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** All steps that can be undone or done again, oldest first. */
  get steps(): readonly Step[] {
    return [...this.done, ...[...this.undone].reverse()];
  }

  /** How many of `steps` are done. */
  get position(): number {
    return this.done.length;
  }

  undo(): Step | undefined {
    const step = this.done.pop();
    if (!step) return undefined;
    takeBack(step.changes);
    this.undone.push(step);
    return step;
  }

  redo(): Step | undefined {
    const step = this.undone.pop();
    if (!step) return undefined;
    apply(step.changes);
    this.done.push(step);
    return step;
  }

  private forgetOldest(): void {
    let bytes = 0;
    for (let index = this.done.length - 1; index >= 0; index--) {
      for (const { before, after } of this.done[index].changes) {
        bytes += (before?.byteLength ?? 0) + (after?.byteLength ?? 0);
      }
      // The latest step always stays, however large it is.
      if (bytes > this.budget && index < this.done.length - 1) {
        this.done.splice(0, index + 1);
        return;
      }
    }
  }
}
