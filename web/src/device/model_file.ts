/** The little of an ONNX file that is needed before it is loaded. */

/** ModelProto.metadata_props: entries of a key (field 1) and a value (field 2). */
const METADATA = 14;
const LENGTH_DELIMITED = 2;

/** The sides of crops must be multiples of it: the entry `multiple` of the metadata. Throws where there is none. */
export function multipleOf(model: Uint8Array): number {
  for (const { field, bytes } of fieldsOf(model)) {
    if (field !== METADATA) continue;
    const entry = new Map([...fieldsOf(bytes)].map((part) => [part.field, new TextDecoder().decode(part.bytes)]));
    const value = Number(entry.get(2));
    if (entry.get(1) === "multiple" && Number.isInteger(value) && value > 0) return value;
  }
  throw new Error("it is not a WavePaint network");
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
