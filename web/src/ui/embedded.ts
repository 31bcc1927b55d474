/** The page inside `<wavepaint-editor>`: what it reports to the page around it, and what it is asked from there. */

import type { Answer, Ask } from "../messages";
import type { Editor } from "./editor";

/** Only a page of the same site may open images here and take results away. */
export function answerHost(editor: Editor): void {
  if (window.parent === window) return;
  const post = (answer: Answer): void => window.parent.postMessage(answer, location.origin);
  window.addEventListener("message", (event: MessageEvent<Ask>) => {
    if (event.source !== window.parent || event.origin !== location.origin || !event.data?.wavepaint) return;
    const { id } = event.data;
    carryOut(editor, event.data).then(
      (value) => post({ wavepaint: "answer", id, value }),
      (error: Error) => post({ wavepaint: "failure", id, reason: error.message }),
    );
  });
  editor.onChanged = () => post({ wavepaint: "change" });
  post({ wavepaint: "ready" });
}

async function carryOut(editor: Editor, ask: Ask): Promise<Blob | null> {
  switch (ask.wavepaint) {
    case "open":
      await editor.openForHost(new File([ask.file], ask.name, { type: ask.file.type }));
      return null;
    case "result":
      return editor.saving.result(editor.opened(), ask.type === "source");
    case "mask":
      return editor.saving.mask(editor.opened());
  }
}
