import type { Paces } from "./paces";

export type Place = "server" | "device";

/** What the page remembers between visits, in this browser only. */
export interface Settings {
  theme: "auto" | "light" | "dark";
  brushSize: number;
  fillOnRelease: boolean;
  singleKeys: boolean;
  place: Place;
  paces: Paces;
}

const KEY = "wavepaint";
const DEFAULTS: Readonly<Settings> = {
  theme: "auto",
  brushSize: 40,
  fillOnRelease: false,
  singleKeys: true,
  place: "server",
  paces: {},
};

export function loadSettings(): Settings {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const settings = { ...DEFAULTS, ...(stored as Partial<Settings>) };
    return { ...settings, paces: { ...settings.paces } };
  } catch {
    return { ...DEFAULTS, paces: {} }; // storage is blocked, or holds something else
  }
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Storage is blocked: the settings last as long as the page.
  }
}
