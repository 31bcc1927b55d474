export type Bytes = Uint8Array<ArrayBuffer>;

/** An image that cannot be read; the message is for the person who chose it. */
export class FormatError extends Error {}

export const latin1 = (text: string): Bytes => Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);

export const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

export const startsWith = (bytes: Uint8Array, prefix: Uint8Array): boolean =>
  bytes.length >= prefix.length && prefix.every((byte, index) => bytes[index] === byte);

export function concat(parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function uint32(value: number): Bytes {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
}

/** zlib-compress. */
export async function deflate(bytes: Bytes): Promise<Bytes> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The first bytes, at most `limit`, of zlib-compressed data; as many as can be read of damaged ones. */
export async function inflateSome(bytes: Bytes, limit: number): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    for (let length = 0; length < limit;) {
      const piece = await reader.read();
      if (piece.done) break;
      parts.push(piece.value);
      length += piece.value.length;
    }
  } catch {
    // What came before the damage is still of use.
  } finally {
    void reader.cancel().catch(() => undefined);
  }
  return concat(parts).slice(0, limit);
}

/** zlib-decompress to exactly `size` bytes, so that a small file cannot claim an unbounded amount of memory. */
export async function inflate(parts: readonly Bytes[], size: number): Promise<Bytes> {
  const out = new Uint8Array(size);
  let filled = 0;
  const reader = new Blob([...parts]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      if (filled + piece.value.length > size) throw new FormatError("it holds more samples than its header says");
      out.set(piece.value, filled);
      filled += piece.value.length;
    }
  } catch (error) {
    throw error instanceof FormatError ? error : new FormatError("its compressed data are damaged", { cause: error });
  } finally {
    void reader.cancel().catch(() => undefined);
  }
  if (filled < size) throw new FormatError("it is cut short");
  return out;
}
