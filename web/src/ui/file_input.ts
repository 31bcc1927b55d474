import { element } from "./dom";

/** Hand over the files that are chosen, dropped or pasted. */
export function listenToFiles(open: (files: File[]) => Promise<void>, openMask: (file: File) => Promise<void>): void {
  const take = (id: string, use: (files: File[]) => Promise<void>): void => {
    const input = element(id, HTMLInputElement);
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      input.value = ""; // so that the same file can be chosen again
      if (files.length) void use(files);
    });
  };
  take("image-input", open);
  take("mask-input", ([file]) => openMask(file));
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) void open(files);
  });
  const dropping = (shown: boolean): boolean => document.body.classList.toggle("dropping", shown);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    dropping(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) dropping(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dropping(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) void open(files);
  });
}
