import type { ToolName } from "./tools";

export type Command =
  | ToolName
  | "open"
  | "save"
  | "copy"
  | "fill"
  | "again"
  | "auto"
  | "undo"
  | "redo"
  | "next"
  | "previous"
  | "compare"
  | "mask"
  | "help"
  | "escape"
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

type Group = "Image" | "Tools" | "View" | "With the keyboard alone";

interface Shortcut {
  /** As the help sheet shows them; Mod is Ctrl, or Command on a Mac. */
  readonly keys: readonly string[];
  readonly says: string;
  readonly group: Group;
  /** Only while the image has the focus. */
  readonly onImage?: true;
}

/** Every shortcut: the one list behind the keys and the help sheet. */
export const SHORTCUTS: Readonly<Record<Command, Shortcut>> = {
  open: { keys: ["Mod+O"], says: "Open images", group: "Image" },
  save: { keys: ["Mod+S"], says: "Download the result", group: "Image" },
  copy: { keys: ["Mod+C"], says: "Copy the result", group: "Image" },
  fill: { keys: ["F", "Mod+Enter"], says: "Fill what is painted", group: "Image" },
  again: { keys: ["T"], says: "Try again: another result", group: "Image" },
  auto: { keys: ["A"], says: "Fill on release, on or off", group: "Image" },
  undo: { keys: ["Mod+Z"], says: "Undo", group: "Image" },
  redo: { keys: ["Mod+Shift+Z", "Mod+Y"], says: "Redo", group: "Image" },
  next: { keys: ["PageDown"], says: "Next image", group: "Image" },
  previous: { keys: ["PageUp"], says: "Previous image", group: "Image" },
  escape: { keys: ["Escape"], says: "Stop filling, drop the stroke", group: "Image" },
  brush: { keys: ["B"], says: "Brush", group: "Tools" },
  eraser: { keys: ["E"], says: "Eraser: brings the original back", group: "Tools" },
  rectangle: { keys: ["R"], says: "Rectangle", group: "Tools" },
  lasso: { keys: ["L"], says: "Lasso", group: "Tools" },
  wand: { keys: ["W"], says: "Magic wand: marks a colour", group: "Tools" },
  avoid: { keys: ["V"], says: "Avoid: places not to copy from", group: "Tools" },
  hand: { keys: ["H"], says: "Move the image", group: "Tools" },
  smaller: { keys: ["["], says: "Smaller brush", group: "Tools" },
  larger: { keys: ["]"], says: "Larger brush", group: "Tools" },
  zoomIn: { keys: ["+", "="], says: "Zoom in", group: "View" },
  zoomOut: { keys: ["-"], says: "Zoom out", group: "View" },
  fit: { keys: ["0"], says: "Fit the image", group: "View" },
  actual: { keys: ["1"], says: "Actual size", group: "View" },
  compare: { keys: ["C"], says: "Compare before and after", group: "View" },
  mask: { keys: ["M"], says: "Show or hide the mask", group: "View" },
  help: { keys: ["?"], says: "This sheet", group: "View" },
  left: {
    keys: ["ArrowLeft", "Shift+ArrowLeft"],
    says: "Move the crosshair; with Shift, further",
    group: "With the keyboard alone",
    onImage: true,
  },
  right: { keys: ["ArrowRight", "Shift+ArrowRight"], says: "", group: "With the keyboard alone", onImage: true },
  up: { keys: ["ArrowUp", "Shift+ArrowUp"], says: "", group: "With the keyboard alone", onImage: true },
  down: { keys: ["ArrowDown", "Shift+ArrowDown"], says: "", group: "With the keyboard alone", onImage: true },
  draw: {
    keys: ["Enter"],
    says: "Start to draw at the crosshair, and finish",
    group: "With the keyboard alone",
    onImage: true,
  },
};

/** What the mouse does with a key held: shown on the help sheet, and done by those that listen to the mouse. */
export const HELD: readonly (Pick<Shortcut, "keys" | "says"> & { readonly group: Group })[] = [
  { keys: ["Space"], says: "Hold: see the original", group: "View" },
  { keys: ["Space+Drag"], says: "Move the image", group: "View" },
  { keys: ["Shift+Click"], says: "Straight line from the last stroke", group: "Tools" },
  { keys: ["Alt+Wheel"], says: "Size of the brush", group: "Tools" },
];

/** The command for a key, if any. `single` allows keys without Ctrl or Command outside the image. */
export function commandFor(event: KeyboardEvent, onImage: boolean, single: boolean): Command | null {
  const pressed = chord(event);
  for (const [command, { keys, onImage: needsImage }] of Object.entries(SHORTCUTS)) {
    if (!keys.includes(pressed) || (needsImage && !onImage)) continue;
    if (single || onImage || pressed.startsWith("Mod+") || pressed === "Escape") return command as Command;
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
