import { FormatError } from "../codec/bytes";
import { FillError, type FillProgress, type Filler } from "../fill/filler";
import { fillPending } from "../fill/run";
import type { Step } from "../image/history";
import { type TileChange, apply, areShown, takeBack } from "../image/sheet";
import { boundsOfHoles, thumbnail } from "../image/thumbnail";
import { type Notices, wordsOf } from "./notices";
import type { Session } from "./session";

/** How many results one can choose from. */
const MOST_ATTEMPTS = 4;
const THUMBNAIL_SIDE = 96;

/** One of several results for the same hole. */
export interface Attempt {
  readonly seed: number;
  readonly changes: readonly TileChange[];
  readonly thumbnail: ImageData;
}

export interface FillingHost {
  readonly session: Session | null;
  readonly fillsOnRelease: boolean;
  refresh(): void;
  /** The result has changed, by this step. */
  filled(step: Step): void;
}

/** Fills what is painted, and tries again with another seed. */
export class Filling {
  /** The results of the last fill, oldest first; empty when something else has changed them since. */
  private attempts: Attempt[] = [];
  private shown = 0;
  private step: Step | null = null;
  private running: AbortController | null = null;
  private again = false;

  constructor(
    private readonly filler: Filler,
    private readonly notices: Notices,
    private readonly host: FillingHost,
  ) {}

  get busy(): boolean {
    return this.running !== null;
  }

  /** Whether another result is being made in the place of one that is there: nothing may be drawn meanwhile. */
  get locked(): boolean {
    return this.busy && this.again;
  }

  /** What can be chosen from now, and which of them is on show. */
  get choices(): { readonly attempts: readonly Attempt[]; readonly shown: number } {
    const attempt = this.attempts.at(this.shown);
    const intact = this.locked || (attempt !== undefined && areShown(attempt.changes));
    return { attempts: intact ? this.attempts : [], shown: this.shown };
  }

  /** Fill what is pending. With `join`, undo takes the result back together with that step. */
  async fill(join?: Step): Promise<void> {
    const { session } = this.host;
    if (!session || this.busy) return;
    if (!session.image.hasPending) {
      this.notices.say("Nothing to fill: paint over what should go first.");
      return;
    }
    const { image } = session;
    this.forget();
    const changes: TileChange[] = [];
    let step = join;
    let whole = true;
    const done = await this.run(session, 0, (pasted) => {
      const recorded = image.record("Fill", pasted, step) ?? step;
      whole &&= changes.length === 0 || recorded === step;
      step = recorded;
      changes.push(...pasted);
    });
    if (this.host.session !== session) return;
    if (step && changes.length) {
      if (done && whole) this.keep(session, step, 0, changes);
      this.host.filled(step);
    }
    // Strokes made meanwhile wait for their turn.
    if (done && this.host.fillsOnRelease && image.hasPending) void this.fill();
  }

  /** Fill the last hole once more, with the next seed. */
  async tryAgain(): Promise<void> {
    const { session } = this.host;
    const { attempts, shown } = this.choices;
    const { step } = this;
    if (!session || !step || this.busy || attempts.length === 0) return;
    const before = attempts[shown].changes;
    const changes: TileChange[] = [];
    const seed = Math.max(...attempts.map((attempt) => attempt.seed)) + 1;
    takeBack(before);
    this.again = true;
    const done = await this.run(session, seed, (pasted) => changes.push(...pasted));
    this.again = false;
    if (done) {
      replaceEnd(step, before, changes);
      this.keep(session, step, seed, changes);
    } else {
      takeBack(changes);
      apply(before);
    }
    if (this.host.session !== session) return;
    session.stage.invalidate();
    if (done) this.host.filled(step);
    else this.host.refresh();
  }

  /** Show another of the results. */
  choose(index: number): void {
    const { session } = this.host;
    const { step } = this;
    if (!session || !step || this.busy || index === this.shown || this.choices.attempts.length === 0) return;
    const [from, to] = [this.attempts[this.shown].changes, this.attempts[index].changes];
    takeBack(from);
    apply(to);
    replaceEnd(step, from, to);
    this.shown = index;
    session.stage.invalidate();
    this.notices.announce(`Result ${index + 1} of ${this.attempts.length}.`);
    this.host.filled(step);
  }

  stop(): void {
    this.running?.abort();
    this.notices.say("Stopped.");
  }

  /** Stop without a word. */
  abort(): void {
    this.running?.abort();
  }

  /** Let go of the results that can be chosen from. */
  forget(): void {
    this.attempts = [];
    this.step = null;
  }

  /** Whether all was filled. */
  private async run(session: Session, seed: number, pasted: (changes: TileChange[]) => void): Promise<boolean> {
    const { image, stage, drawing } = session;
    const running = new AbortController();
    this.running = running;
    this.notices.warn(null);
    this.host.refresh();
    stage.invalidate();
    const started = performance.now();
    try {
      await fillPending({
        image,
        filler: this.filler,
        seed,
        signal: running.signal,
        quiet: () => drawing.quiet(),
        progress: (done, total, within) => this.notices.sayOnce(progressWords(done, total, within)),
        pasted: (changes) => {
          pasted(changes);
          stage.invalidate();
        },
      });
      this.notices.say(`Filled in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
      return true;
    } catch (error) {
      if (!running.signal.aborted) {
        this.notices.say("");
        this.notices.warn(error instanceof FillError || error instanceof FormatError ? error.message : wordsOf(error));
      }
      return false;
    } finally {
      if (this.running === running) this.running = null;
      this.host.refresh();
    }
  }

  private keep({ image }: Session, step: Step, seed: number, changes: readonly TileChange[]): void {
    const tiles = changes.filter(({ sheet }) => sheet === (image.holes as unknown)).map(({ index }) => index);
    const box = boundsOfHoles(image, tiles) ?? { left: 0, top: 0, ...image.size };
    this.attempts.push({ seed, changes, thumbnail: thumbnail(image, box, THUMBNAIL_SIDE) });
    if (this.attempts.length > MOST_ATTEMPTS) this.attempts.shift();
    this.shown = this.attempts.length - 1;
    this.step = step;
  }
}

/** Put other changes in the place of those that a step ends with. */
function replaceEnd({ changes }: Step, from: readonly TileChange[], to: readonly TileChange[]): void {
  changes.splice(changes.length - from.length, from.length, ...to);
}

/** The work in progress; shares in steps of a tenth, as each is read out. */
function progressWords(done: number, total: number, within: FillProgress | null): string {
  if (within?.doing === "waiting") return "The server is busy, trying again…";
  const share = within && within.share > 0 ? ` ${10 * Math.floor(10 * within.share)} %` : "";
  if (within?.doing === "loading") return `Getting ready…${share}`;
  return (total > 1 ? `Filling ${done + 1} of ${total}…` : "Filling…") + share;
}
