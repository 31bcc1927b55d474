import { describe, expect, it } from "vitest";
import { type Command, SHORTCUTS, commandFor } from "../src/ui/shortcuts";
import { Camera } from "../src/view/camera";

const key = (name: string, modifiers: Partial<KeyboardEvent> = {}): KeyboardEvent =>
  ({ key: name, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...modifiers }) as KeyboardEvent;

describe("shortcuts", () => {
  it.each([
    ["b", {}, "brush"],
    ["B", {}, "brush"], // Caps Lock
    ["B", { shiftKey: true }, null],
    ["z", { ctrlKey: true }, "undo"],
    ["Z", { ctrlKey: true, shiftKey: true }, "redo"],
    ["z", { metaKey: true }, "undo"],
    ["y", { ctrlKey: true }, "redo"],
    ["?", { shiftKey: true }, "help"],
    ["+", { shiftKey: true }, "zoomIn"],
    ["b", { altKey: true }, null],
    ["Enter", { ctrlKey: true }, "fill"],
    ["Enter", {}, null],
    ["ArrowLeft", {}, null],
  ] as [string, Partial<KeyboardEvent>, Command | null][])("%s with %o means %s", (name, modifiers, command) => {
    expect(commandFor(key(name, modifiers), false, true)).toBe(command);
  });

  it("moves and draws only while the image has the focus", () => {
    expect(commandFor(key("Enter"), true, true)).toBe("draw");
    expect(commandFor(key("ArrowUp", { shiftKey: true }), true, true)).toBe("up");
  });

  it("leaves single keys to the image when they are turned off", () => {
    expect(commandFor(key("b"), false, false)).toBeNull();
    expect(commandFor(key("b"), true, false)).toBe("brush");
    expect(commandFor(key("z", { ctrlKey: true }), false, false)).toBe("undo");
  });

  it("gives each key one meaning", () => {
    const keys = Object.values(SHORTCUTS).flatMap((shortcut) => shortcut.keys);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("Camera", () => {
  const camera = (): Camera => {
    const made = new Camera({ width: 6000, height: 4000 });
    made.resize({ width: 1000, height: 800 });
    return made;
  };

  it("fits the image, also when the window changes", () => {
    const view = camera();
    expect(view.scale).toBeCloseTo((1000 - 32) / 6000);
    expect(view.toScreen({ x: 3000, y: 2000 })).toEqual({ x: 500, y: 400 });
    view.resize({ width: 500, height: 800 });
    expect(view.toScreen({ x: 3000, y: 2000 }).x).toBeCloseTo(250);
  });

  it("zooms about the pointer, within bounds", () => {
    const view = camera();
    const before = view.toImage({ x: 700, y: 300 });
    view.zoomAt({ x: 700, y: 300 }, 5);
    const after = view.toImage({ x: 700, y: 300 });
    expect(after.x).toBeCloseTo(before.x);
    expect(after.y).toBeCloseTo(before.y);
    view.zoomAt({ x: 0, y: 0 }, 1e9);
    expect(view.scale).toBe(32);
  });

  it("never loses the image", () => {
    const view = camera();
    view.zoomTo(1);
    view.panBy(1e6, -1e6);
    const middle = view.toImage({ x: 500, y: 400 });
    expect(middle).toEqual({ x: 0, y: 4000 });
  });

  it("pans no further than it needs to show a point", () => {
    const view = camera();
    view.zoomTo(1);
    const x = view.x;
    view.reveal({ x: 3000, y: 2000 });
    expect(view.x).toBe(x);
    view.reveal({ x: 5999, y: 2000 });
    expect(view.toScreen({ x: 5999, y: 2000 }).x).toBeCloseTo(1000 - 32);
  });
});
