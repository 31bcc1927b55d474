export type Command =
  | "open"
  | "save"
  | "fill"
  | "auto"
  | "undo"
  | "redo"
  | "compare"
  | "mask"
  | "help"
  | "escape"
  | "brush"
  | "eraser"
  | "rectangle"
  | "lasso"
  | "hand"
  | "smaller"
  | "larger"
  | "zoomIn"
  | "zoomOut"
  | "fit"
  | "actual"
  | "draw"
  | "left"
  | "right"
  | "up"
  | "down";

interface Shortcut {
  /** As the help sheet shows them; Mod is Ctrl, or Command on a Mac. */
  readonly keys: readonly string[];
  readonly says: string;
  readonly group: "Picture" | "Tools" | "View" | "With the keyboard alone";
  /** Only while the picture has the focus. */
  readonly onPicture?: true;
}

/** Every shortcut: the one list behind the keys and the help sheet. */
export const SHORTCUTS: Readonly<Record<Command, Shortcut>> = {
  open: { keys: ["Mod+O"], says: "Open a picture", group: "Picture" },
  save: { keys: ["Mod+S"], says: "Download the result", group: "Picture" },
  fill: { keys: ["F", "Mod+Enter"], says: "Fill what is painted", group: "Picture" },
  auto: { keys: ["A"], says: "Fill on release, on or off", group: "Picture" },
  undo: { keys: ["Mod+Z"], says: "Undo", group: "Picture" },
  redo: { keys: ["Mod+Shift+Z", "Mod+Y"], says: "Redo", group: "Picture" },
  escape: { keys: ["Escape"], says: "Stop filling, drop the stroke", group: "Picture" },
  brush: { keys: ["B"], says: "Brush", group: "Tools" },
  eraser: { keys: ["E"], says: "Eraser: brings the original back", group: "Tools" },
  rectangle: { keys: ["R"], says: "Rectangle", group: "Tools" },
  lasso: { keys: ["L"], says: "Lasso", group: "Tools" },
  hand: { keys: ["H"], says: "Move the picture (or hold Space)", group: "Tools" },
  smaller: { keys: ["["], says: "Smaller brush", group: "Tools" },
  larger: { keys: ["]"], says: "Larger brush", group: "Tools" },
  zoomIn: { keys: ["+", "="], says: "Zoom in", group: "View" },
  zoomOut: { keys: ["-"], says: "Zoom out", group: "View" },
  fit: { keys: ["0"], says: "Fit the picture", group: "View" },
  actual: { keys: ["1"], says: "Actual size", group: "View" },
  compare: { keys: ["C"], says: "Compare before and after", group: "View" },
  mask: { keys: ["M"], says: "Show or hide the mask", group: "View" },
  help: { keys: ["?"], says: "This sheet", group: "View" },
  left: {
    keys: ["ArrowLeft", "Shift+ArrowLeft"],
    says: "Move the crosshair; with Shift, further",
    group: "With the keyboard alone",
    onPicture: true,
  },
  right: { keys: ["ArrowRight", "Shift+ArrowRight"], says: "", group: "With the keyboard alone", onPicture: true },
  up: { keys: ["ArrowUp", "Shift+ArrowUp"], says: "", group: "With the keyboard alone", onPicture: true },
  down: { keys: ["ArrowDown", "Shift+ArrowDown"], says: "", group: "With the keyboard alone", onPicture: true },
  draw: {
    keys: ["Enter"],
    says: "Start to draw at the crosshair, and finish",
    group: "With the keyboard alone",
    onPicture: true,
  },
};

/** The command for a key, if any. `single` allows keys without Ctrl or Command outside the picture. */
export function commandFor(event: KeyboardEvent, onPicture: boolean, single: boolean): Command | null {
  const pressed = chord(event);
  for (const [command, { keys, onPicture: needsPicture }] of Object.entries(SHORTCUTS)) {
    if (!keys.includes(pressed) || (needsPicture && !onPicture)) continue;
    if (single || onPicture || pressed.startsWith("Mod+") || pressed === "Escape") return command as Command;
  }
  return null;
}

function chord(event: KeyboardEvent): string {
  const { key } = event;
  const letter = key.length === 1 ? key.toUpperCase() : key;
  // Shift is part of a character such as "?", but not of a letter or a named key.
  const shift = event.shiftKey && (key.length > 1 || letter !== key.toLowerCase()) ? "Shift+" : "";
  const mod = event.ctrlKey || event.metaKey ? "Mod+" : "";
  return event.altKey ? "" : `${mod}${shift}${letter}`;
}
