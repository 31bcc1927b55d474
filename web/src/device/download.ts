/** Files that are large enough to show how far they have come. */

/** Called with the bytes that have come so far. */
export type Counted = (bytes: number) => void;

/** Fetch a file from this site. Throws an Error that names it. */
export async function fetchBytes(url: string, counted: Counted = () => undefined): Promise<Uint8Array<ArrayBuffer>> {
  const name = new URL(url).pathname.split("/").pop() ?? url;
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`${name} cannot be fetched`, { cause: error });
  }
  if (!response.ok || !response.body) throw new Error(`${name} cannot be fetched: status ${response.status}`);
  let bytes = 0;
  const counting = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(piece, controller) {
      bytes += piece.length;
      counted(bytes);
      controller.enqueue(piece);
    },
  });
  return new Uint8Array(await new Response(response.body.pipeThrough(counting)).arrayBuffer());
}

/** Undo gzip, unless the host has already: some send `.gz` files with a header that makes the browser do it. */
export async function gunzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
