import { DAMAGE_KINDS, type Finder } from "../fill/finder";
import { FillError } from "../fill/filler";
import { element } from "./dom";
import { type Notices, wordsOf } from "./notices";
import type { Session } from "./session";
import { type Settings, saveSettings } from "./settings";

/** Pixels by which what is found grows, for soft edges. */
const GROW = 2;

export interface DamageSearchHost {
  readonly session: Session | null;
  /** What was found is to be marked: one byte per pixel. */
  markDamage(damage: Uint8Array, grow: number): void;
}

/** The search for damage, and its settings. */
export class DamageSearch {
  private running: AbortController | null = null;
  private readonly label = element("find-damage-label", HTMLElement);

  constructor(
    private readonly finder: Finder,
    private readonly notices: Notices,
    private readonly settings: Settings,
    private readonly host: DamageSearchHost,
  ) {
    for (const kind of DAMAGE_KINDS) {
      const input = element(`find-${kind}`, HTMLInputElement);
      input.checked = settings.kinds.includes(kind);
      input.addEventListener("change", () => {
        settings.kinds = DAMAGE_KINDS.filter((each) => element(`find-${each}`, HTMLInputElement).checked);
        saveSettings(settings);
      });
    }
    const sensitivity = element("sensitivity", HTMLInputElement);
    sensitivity.valueAsNumber = 100 * settings.sensitivity;
    sensitivity.addEventListener("input", () => {
      settings.sensitivity = sensitivity.valueAsNumber / 100;
      saveSettings(settings);
    });
  }

  get busy(): boolean {
    return this.running !== null;
  }

  /** Look for damage and mark it, or stop doing so. */
  async toggle(): Promise<void> {
    if (this.running) return this.stop();
    const { session } = this.host;
    const { kinds, sensitivity } = this.settings;
    if (!session) return;
    if (kinds.length === 0) return this.notices.say("Nothing to look for: choose scratches, dust or stamps.");
    const running = new AbortController();
    this.begin(running);
    try {
      const { signal } = running;
      const damage = await this.finder.find(
        session.image.current(),
        { kinds, sensitivity },
        signal,
        ({ doing, share }) => {
          const words = { waiting: "The server is busy, trying again…", loading: "Getting ready…" };
          const percent = share > 0 ? ` ${10 * Math.floor(10 * share)} %` : "";
          this.notices.sayOnce(
            doing === "waiting" || doing === "loading" ? words[doing] : `Looking for damage…${percent}`,
          );
        },
      );
      await session.drawing.quiet();
      signal.throwIfAborted();
      if (this.host.session !== session) return;
      if (damage.includes(1)) this.host.markDamage(damage, GROW);
      else this.notices.say("No damage found. More sensitivity finds fainter damage.");
    } catch (error) {
      if (running.signal.aborted) return;
      this.notices.say("");
      this.notices.warn(error instanceof FillError ? error.message : wordsOf(error));
    } finally {
      if (this.running === running) this.begin(null);
    }
  }

  stop(): void {
    this.abort();
    this.notices.say("Stopped.");
  }

  /** Stop without a word. */
  abort(): void {
    this.running?.abort();
    this.begin(null);
  }

  private begin(running: AbortController | null): void {
    this.running = running;
    this.label.textContent = running ? "Stop looking" : "Find damage";
  }
}
