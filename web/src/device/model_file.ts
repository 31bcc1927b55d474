/** The little of an ONNX file that is needed before it is loaded. */

/** ModelProto.metadata_props: entries of a key (field 1) and a value (field 2). */
const METADATA = 14;
const LENGTH_DELIMITED = 2;

export interface Traits {
  /** The sides of crops must be multiples of it. */
  readonly multiple: number;
  /** Halvings, at most, at which deep holes are to be filled first; 0 where the file does not say. */
  readonly coarseLevels: number;
}

/** The entries of the metadata that say how to use a network. Throws where it is none of ours. */
export function traitsOf(model: Uint8Array): Traits {
  const entries = new Map<string | undefined, string | undefined>();
  for (const { field, bytes } of fieldsOf(model)) {
    if (field !== METADATA) continue;
    const entry = new Map([...fieldsOf(bytes)].map((part) => [part.field, new TextDecoder().decode(part.bytes)]));
    entries.set(entry.get(1), entry.get(2));
  }
  const numberOf = (key: string): number => (/^\d+$/.test(entries.get(key) ?? "") ? Number(entries.get(key)) : 0);
  const multiple = numberOf("multiple");
  if (multiple === 0) throw new Error("it is not a WavePaint network");
  return { multiple, coarseLevels: numberOf("octaves") };
}

/** The length-delimited fields of a protocol buffer, up to the first that makes no sense. */
function* fieldsOf(bytes: Uint8Array): Generator<{ field: number; bytes: Uint8Array }> {
  let at = 0;
  const varint = (): number => {
    for (let value = 0, factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
    }
    return NaN;
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    if ((tag & 7) === 0) continue;
    if ((tag & 7) !== LENGTH_DELIMITED || !(at + value <= bytes.length)) return;
    yield { field: tag >> 3, bytes: bytes.subarray(at, at + value) };
    at += value;
  }
}
