/** The page's element with this id, of this kind. */
export function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const node = document.getElementById(id);
  if (!(node instanceof kind)) throw new Error(`the page has no ${kind.name} with id ${id}`);
  return node;
}

/** Offer a file to the browser's downloads. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has read the URL by then; until it is revoked it keeps the whole file in memory.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
