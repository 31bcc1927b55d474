import type { ImageFiles } from "../codec/image_files";
import type { EditedImage } from "../image/edited_image";
import { thumbnail } from "../image/thumbnail";
import { element } from "./dom";
import { canvasOf } from "./results";
import type { Saving, Work } from "./saving";
import type { Session } from "./session";

const SIDE = 96;

/** One of the images that were opened together. */
interface Entry {
  readonly file: File;
  /** What was done to it; null until it is shown for the first time. */
  image: EditedImage | null;
  thumbnail: ImageData | null;
}

/** The images that were opened together, and the strip to go from one to the other. */
export class Album {
  current = 0;
  private entries: Entry[] = [];
  private readonly strip = element("album", HTMLElement);
  private readonly list = element("album-list", HTMLElement);

  /** `show` is called with the index of an image that is chosen. */
  constructor(private readonly show: (index: number) => void) {
    element("album-previous", HTMLButtonElement).addEventListener("click", () => this.go(-1));
    element("album-next", HTMLButtonElement).addEventListener("click", () => this.go(1));
  }

  get files(): readonly File[] {
    return this.entries.map(({ file }) => file);
  }

  get size(): number {
    return this.entries.length;
  }

  open(files: readonly File[]): void {
    this.entries = files.map((file) => ({ file, image: null, thumbnail: null }));
    this.current = 0;
    this.refresh();
  }

  imageOf(index: number): EditedImage | null {
    return this.entries[index].image;
  }

  /** An image is shown now. */
  take(index: number, image: EditedImage): void {
    this.current = index;
    this.entries[index].image = image;
    this.portray();
  }

  /** The image that was shown is put away. */
  putAway(): void {
    this.portray();
    this.entries.at(this.current)?.image?.sleep();
  }

  go(step: number): void {
    const { size } = this;
    if (size > 1) this.show((this.current + step + size) % size);
  }

  /** Every result in the format of its source, one after the other; untouched images as they are. */
  async *results(files: ImageFiles, saving: Saving, shown: Session): AsyncIterable<File> {
    for (const [index, { file, image }] of this.entries.entries()) {
      if (!image?.hasFilled) yield file;
      else if (index === this.current) yield await saving.result(shown, true);
      else yield await resultOf(file, image, files, saving);
    }
  }

  private portray(): void {
    const entry = this.entries.at(this.current);
    if (this.size > 1 && entry?.image) {
      entry.thumbnail = thumbnail(entry.image, { left: 0, top: 0, ...entry.image.size }, SIDE);
    }
    this.refresh();
  }

  private refresh(): void {
    this.strip.hidden = this.size < 2;
    if (this.strip.hidden) return;
    this.list.replaceChildren(...this.entries.map((entry, index) => this.buttonFor(entry, index)));
    this.list.children[this.current]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  private buttonFor({ file, thumbnail: image }: Entry, index: number): HTMLElement {
    const button = document.createElement("button");
    button.type = "button";
    button.title = file.name;
    button.setAttribute("aria-label", `${index + 1}: ${file.name}`);
    if (index === this.current) button.setAttribute("aria-current", "true");
    button.append(image ? canvasOf(image) : String(index + 1));
    button.addEventListener("click", () => this.show(index));
    return button;
  }
}

async function resultOf(file: File, image: EditedImage, files: ImageFiles, saving: Saving): Promise<File> {
  const opened = await files.open(file);
  image.wake(opened.raster);
  const work: Work = { file, opened, image };
  try {
    return await saving.result(work, true);
  } finally {
    image.sleep();
  }
}
