import type { OpenFile } from "../codec/image_files";
import type { EditedImage } from "../image/edited_image";
import type { Stage } from "../view/stage";
import type { Drawing } from "./drawing";

/** What belongs to the image that is shown. */
export interface Session {
  readonly file: File;
  readonly opened: OpenFile;
  readonly image: EditedImage;
  readonly stage: Stage;
  readonly drawing: Drawing;
}
