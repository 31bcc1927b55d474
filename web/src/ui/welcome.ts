import { FormatError } from "../codec/bytes";
import { element } from "./dom";
import type { StoredWork } from "./work_store";

/** Images to try, in the folder of the page; the licences are in samples/README.txt. */
const SAMPLES = [
  ["cat.jpg", "Scratches"],
  ["coffee.jpg", "A date"],
  ["rocket.jpg", "A mast"],
] as const;

/** Show what can be tried at a click. */
export function showSamples(open: (files: File[]) => Promise<void>, failed: (error: unknown) => void): void {
  const list = element("samples", HTMLElement);
  for (const [name, label] of SAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    const image = document.createElement("img");
    image.src = `./samples/${name}`;
    image.alt = "";
    const words = document.createElement("span");
    words.textContent = label;
    button.append(image, words);
    button.addEventListener("click", () => {
      fetchFile(image.src, name).then((file) => open([file]), failed);
    });
    list.append(button);
  }
}

async function fetchFile(url: string, name: string): Promise<File> {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new FormatError(`${name} cannot be loaded`);
  return new File([await response.blob()], name, { type: "image/jpeg" });
}

/** Offer the work stored at the last visit. */
export function offerStored(work: StoredWork, resume: () => void, forget: () => void): void {
  const { files, current } = work;
  const more = files.length > 1 ? ` and ${files.length - 1} more` : "";
  const offer = element("kept", HTMLElement);
  element("kept-name", HTMLElement).textContent = `${files[current].name}${more}`;
  offer.hidden = false;
  const bind = (id: string, action: () => void): void => {
    element(id, HTMLButtonElement).onclick = () => {
      offer.hidden = true;
      action();
    };
  };
  bind("kept-resume", resume);
  bind("kept-forget", forget);
}
