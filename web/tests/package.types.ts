// Never run: `npm run check` compiles it, so that the types of @wavepaint/web are what its users get.
import { type Engine, type Progress, type WavepaintEditor, inpaint, load } from "../src/package/index";

export async function use(image: ImageData, signal: AbortSignal): Promise<void> {
  const engine: Engine = await load(({ doing, share }: Progress) => `${doing} ${share}`);
  const filled: ImageData = await inpaint(image, image, {
    signal,
    detail: "grain",
    seed: 1,
    exclude: image,
    onProgress: () => undefined,
  });
  const samples = { width: 1, height: 1, channels: 1, data: new Uint16Array(1) } as const;
  const raw = await inpaint(samples, { width: 1, height: 1, data: new Uint8Array(1) });
  const editor: WavepaintEditor = document.createElement("wavepaint-editor");
  await editor.open(new Blob([]), "empty.png");
  const results: Blob[] = [await editor.result("source"), await editor.mask()];
  // @ts-expect-error a mask is a raw image
  await inpaint(image, engine.threads + filled.width + raw.channels);
  // @ts-expect-error there are three kinds of detail
  await inpaint(image, image, { detail: results.length });
}
