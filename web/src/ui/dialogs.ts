import { HELD, SHORTCUTS } from "./shortcuts";
import { element } from "./dom";

/** Show a modal dialog and wait for the value of the button that closed it; "" when it was dismissed. */
function ask(dialog: HTMLDialogElement): Promise<string> {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    // Not a submit button: Enter in a field would press the first of those.
    dialog.querySelector<HTMLButtonElement>(".cancel")?.addEventListener("click", () => dialog.close(), { once: true });
    dialog.showModal();
  });
}

export async function askForToken(refused: boolean): Promise<string | null> {
  const dialog = element("token-dialog", HTMLDialogElement);
  const input = element("token-input", HTMLInputElement);
  element("token-refused", HTMLElement).hidden = !refused;
  input.value = "";
  return (await ask(dialog)) === "ok" ? input.value.trim() : null;
}

export const askToReplace = async (): Promise<boolean> =>
  (await ask(element("replace-dialog", HTMLDialogElement))) === "ok";

export function showHelp(): void {
  const dialog = element("help-dialog", HTMLDialogElement);
  if (!dialog.open) dialog.showModal();
}

/** Write the help sheet from the list of shortcuts. */
export function fillHelpSheet(): void {
  const mac = /Mac|iPhone|iPad/.test(navigator.userAgent);
  const names: Readonly<Record<string, string>> = {
    Mod: mac ? "⌘" : "Ctrl",
    ArrowLeft: "←",
    ArrowRight: "→",
    ArrowUp: "↑",
    ArrowDown: "↓",
    Escape: "Esc",
  };
  const sheet = element("shortcut-sheet", HTMLElement);
  const shown = [...Object.values(SHORTCUTS), ...HELD].filter((shortcut) => shortcut.says !== "");
  for (const group of new Set(shown.map((shortcut) => shortcut.group))) {
    const heading = document.createElement("h3");
    heading.textContent = group;
    const list = document.createElement("dl");
    for (const { keys, says } of shown.filter((shortcut) => shortcut.group === group)) {
      const term = document.createElement("dt");
      term.textContent = says;
      const detail = document.createElement("dd");
      const chords = keys[0].startsWith("Arrow") ? ["ArrowLeft", "ArrowUp", "ArrowDown", "ArrowRight"] : keys;
      for (const chord of chords) {
        const key = document.createElement("kbd");
        key.textContent = chord
          .split(/\+(?=.)/)
          .map((name) => names[name] ?? name)
          .join(" ");
        detail.append(key);
      }
      const row = document.createElement("div");
      row.append(term, detail);
      list.append(row);
    }
    const section = document.createElement("section");
    section.append(heading, list);
    sheet.append(section);
  }
}
