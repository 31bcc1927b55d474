import { DAMAGE_KINDS, type DamageKind } from "../fill/finder";

export type Place = "server" | "device";

/** What the page remembers between visits, in this browser only. */
export interface Settings {
  theme: "auto" | "light" | "dark";
  /** Diameter of the brush on the screen, in CSS pixels, when the image is fitted. */
  brushSize: number;
  fillOnRelease: boolean;
  singleKeys: boolean;
  grow: number;
  tolerance: number;
  everywhere: boolean;
  /** Whether work is kept in this browser, for a reload or a crash. */
  keepWork: boolean;
  place: Place;
  /** Of damage to look for. */
  kinds: readonly DamageKind[];
  sensitivity: number;
}

const KEY = "wavepaint";
const DEFAULTS: Readonly<Settings> = {
  theme: "auto",
  brushSize: 40,
  fillOnRelease: true,
  singleKeys: true,
  grow: 0,
  tolerance: 24,
  everywhere: false,
  keepWork: true,
  place: "server",
  kinds: DAMAGE_KINDS,
  sensitivity: 0.5,
};

export function loadSettings(): Settings {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return { ...DEFAULTS, ...(stored as Partial<Settings>) };
  } catch {
    return { ...DEFAULTS }; // storage is blocked, or holds something else
  }
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Storage is blocked: the settings last as long as the page.
  }
}
