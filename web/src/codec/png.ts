/** PNG, read and written sample by sample: every colour type and depth, interlaced or not, metadata kept. */

import { MAX_PIXELS } from "./limits";
import type { Colour } from "../image/mask_reading";
import { type Channels, type Raster, type Samples, depthOf } from "../image/raster";
import { type Bytes, FormatError, concat, deflate, inflate, latin1, startsWith, text, uint32, viewOf } from "./bytes";

export const PNG_SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

export interface PngChunk {
  readonly type: string;
  readonly data: Bytes;
}

/** Chunks that stay true when samples change: colour space, resolution, EXIF and text. */
const METADATA = new Set([
  "cHRM",
  "cICP",
  "cLLI",
  "eXIf",
  "gAMA",
  "iCCP",
  "iTXt",
  "mDCV",
  "pHYs",
  "sRGB",
  "tEXt",
  "tIME",
  "zTXt",
]);

const GREY = 0;
const RGB = 2;
const PALETTE = 3;
const GREY_ALPHA = 4;
const RGB_ALPHA = 6;
const COMPONENTS: Readonly<Record<number, number>> = {
  [GREY]: 1,
  [RGB]: 3,
  [PALETTE]: 1,
  [GREY_ALPHA]: 2,
  [RGB_ALPHA]: 4,
};
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  [GREY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8, 16],
  [RGB_ALPHA]: [8, 16],
};
const COLOR_TYPE: Readonly<Record<Channels, number>> = { 1: GREY, 2: GREY_ALPHA, 3: RGB, 4: RGB_ALPHA };

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colorType: number;
  readonly interlaced: boolean;
}

export interface DecodedPng {
  readonly raster: Raster;
  /** Metadata that stay true when samples change. */
  readonly chunks: PngChunk[];
  /** Of a palette that is more than greys, the colour of index 0. */
  readonly base: Colour | null;
}

/** A grid of pixels that is stored on its own: the whole image, or one of the seven of an interlaced one. */
interface Pass {
  readonly x: number;
  readonly y: number;
  readonly dx: number;
  readonly dy: number;
  readonly columns: number;
  readonly rows: number;
}

/**
 * Decode a PNG. Palettes become RGB, depths below 8 become 8, a transparent colour becomes an alpha channel;
 * everything else keeps its samples. Throws a FormatError for anything damaged.
 */
export async function decodePng(bytes: Bytes): Promise<DecodedPng> {
  const chunks = readChunks(bytes);
  const header = readHeader(chunks[0]);
  const palette = chunks.find((chunk) => chunk.type === "PLTE")?.data;
  const transparency = chunks.find((chunk) => chunk.type === "tRNS")?.data;
  if (header.colorType === PALETTE && !palette) throw new FormatError("its palette is missing");

  const passes = header.interlaced ? interlacedPasses(header) : [wholePass(header)];
  const rowBytes = (pass: Pass): number => Math.ceil((pass.columns * COMPONENTS[header.colorType] * header.depth) / 8);
  const size = passes.reduce((sum, pass) => sum + pass.rows * (1 + rowBytes(pass)), 0);
  const raw = await inflate(
    chunks.filter((chunk) => chunk.type === "IDAT").map((chunk) => chunk.data),
    size,
  );

  const unpack = unpacker(header, palette, transparency);
  const { width, height } = header;
  const length = width * height * unpack.channels;
  const data: Samples = header.depth === 16 ? new Uint16Array(length) : new Uint8Array(length);
  const distance = Math.max(1, (COMPONENTS[header.colorType] * header.depth) >> 3);
  let offset = 0;
  for (const pass of passes) {
    let above = new Uint8Array(rowBytes(pass));
    for (let row = 0; row < pass.rows; row++) {
      const line = raw.subarray(offset + 1, offset + 1 + above.length);
      unfilter(raw[offset], line, above, distance);
      const start = ((pass.y + row * pass.dy) * width + pass.x) * unpack.channels;
      unpack.row(line, pass.columns, data, start, pass.dx * unpack.channels);
      above = line;
      offset += 1 + line.length;
    }
  }
  const raster = { width, height, channels: unpack.channels, data };
  // Copies: a view would keep (and, sent to another thread, copy) the whole file.
  const metadata = chunks
    .filter((chunk) => METADATA.has(chunk.type))
    .map(({ type, data }) => ({ type, data: data.slice() }));
  const base = header.colorType === PALETTE && palette ? labelBase(palette, transparency) : null;
  return { raster, chunks: metadata, base };
}

/** The colour of index 0 of a palette that is more than greys, else null. */
export function labelBase(palette: Bytes, transparency?: Bytes): Colour | null {
  const isGrey = (entry: number): boolean =>
    palette[entry] === palette[entry + 1] && palette[entry] === palette[entry + 2];
  for (let entry = 0; entry + 2 < palette.length; entry += 3) {
    if (!isGrey(entry)) return [palette[0], palette[1], palette[2], transparency?.[0] ?? 255];
  }
  return null;
}

/** Encode losslessly. `chunks` go between the header and the samples. */
export async function encodePng(raster: Raster, chunks: readonly PngChunk[] = []): Promise<Bytes> {
  const header = new Uint8Array(13);
  viewOf(header).setUint32(0, raster.width);
  viewOf(header).setUint32(4, raster.height);
  header.set([depthOf(raster), COLOR_TYPE[raster.channels], 0, 0, 0], 8);
  const all = [
    { type: "IHDR", data: header },
    ...chunks,
    { type: "IDAT", data: await deflate(filterRows(raster)) },
    { type: "IEND", data: new Uint8Array() },
  ];
  return concat([PNG_SIGNATURE, ...all.flatMap(writeChunk)]);
}

function readChunks(bytes: Bytes): PngChunk[] {
  if (!startsWith(bytes, PNG_SIGNATURE)) throw new FormatError("it is not a PNG file");
  const view = viewOf(bytes);
  const chunks: PngChunk[] = [];
  for (let offset = PNG_SIGNATURE.length; ;) {
    if (offset + 12 > bytes.length) throw new FormatError("it is cut short");
    const length = view.getUint32(offset);
    const end = offset + 12 + length;
    if (end > bytes.length) throw new FormatError("it is cut short");
    const type = text(bytes.subarray(offset + 4, offset + 8));
    if (crc32(bytes.subarray(offset + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw new FormatError(`its ${type} data are damaged`);
    }
    if (type === "IEND") return chunks;
    chunks.push({ type, data: bytes.subarray(offset + 8, end - 4) });
    offset = end;
  }
}

function writeChunk({ type, data }: PngChunk): Bytes[] {
  const body = concat([latin1(type), data]);
  return [uint32(data.length), body, uint32(crc32(body))];
}

function readHeader(chunk: PngChunk | undefined): Header {
  if (chunk?.type !== "IHDR" || chunk.data.length !== 13) throw new FormatError("its header is missing");
  const view = viewOf(chunk.data);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colorType, compression, filter, interlace] = chunk.data.subarray(8);
  if (width === 0 || height === 0) throw new FormatError("it has no pixels");
  if (width * height > MAX_PIXELS) throw new FormatError(`it has more than ${MAX_PIXELS / 1e6} million pixels`);
  if (!DEPTHS[colorType]?.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw new FormatError("its header makes no sense");
  }
  return { width, height, depth, colorType, interlaced: interlace === 1 };
}

const wholePass = ({ width, height }: Header): Pass => ({ x: 0, y: 0, dx: 1, dy: 1, columns: width, rows: height });

function interlacedPasses({ width, height }: Header): Pass[] {
  const starts = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
  ];
  return starts
    .map(([x, y, dx, dy]) => ({
      x,
      y,
      dx,
      dy,
      columns: Math.ceil((width - x) / dx),
      rows: Math.ceil((height - y) / dy),
    }))
    .filter((pass) => pass.columns > 0 && pass.rows > 0);
}

/** Undo one row's filter in place; `distance` is the number of bytes between a sample and its left neighbour's. */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array, distance: number): void {
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = distance; i < line.length; i++) line[i] += line[i - distance];
      return;
    case 2:
      for (let i = 0; i < line.length; i++) line[i] += above[i];
      return;
    case 3:
      for (let i = 0; i < line.length; i++) line[i] += ((i < distance ? 0 : line[i - distance]) + above[i]) >> 1;
      return;
    case 4:
      for (let i = 0; i < distance && i < line.length; i++) line[i] += above[i];
      for (let i = distance; i < line.length; i++) {
        line[i] += paeth(line[i - distance], above[i], above[i - distance]);
      }
      return;
    default:
      throw new FormatError("its samples are damaged");
  }
}

function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

interface Unpacker {
  readonly channels: Channels;
  /** Write a row of `count` pixels to `out` from `start` on, `stride` samples apart. */
  row(line: Uint8Array, count: number, out: Samples, start: number, stride: number): void;
}

function unpacker(header: Header, palette: Bytes | undefined, transparency: Bytes | undefined): Unpacker {
  const { colorType, depth } = header;
  if (colorType === PALETTE && palette) return paletteUnpacker(depth, palette, transparency);

  const components = COMPONENTS[colorType];
  const keyed = transparency !== undefined && (colorType === GREY || colorType === RGB);
  const channels = (components + (keyed ? 1 : 0)) as Channels;
  const samples = sampleReader(depth);
  const scale = depth < 8 ? 255 / (2 ** depth - 1) : 1;
  const opaque = depth === 16 ? 65535 : 255;
  if (keyed && transparency.length < 2 * components) throw new FormatError("its transparent colour is missing");
  const key = keyed ? Array.from({ length: components }, (_, index) => viewOf(transparency).getUint16(2 * index)) : [];
  return {
    channels,
    row(line, count, out, start, stride) {
      if (depth === 8 && !keyed && stride === channels) {
        out.set(line, start);
        return;
      }
      for (let pixel = 0; pixel < count; pixel++) {
        const target = start + pixel * stride;
        let transparent = keyed;
        for (let component = 0; component < components; component++) {
          const sample = samples(line, pixel * components + component);
          transparent &&= sample === key[component];
          out[target + component] = sample * scale;
        }
        if (keyed) out[target + components] = transparent ? 0 : opaque;
      }
    },
  };
}

function paletteUnpacker(depth: number, palette: Bytes, transparency: Bytes | undefined): Unpacker {
  const channels = transparency ? 4 : 3;
  const samples = sampleReader(depth);
  return {
    channels,
    row(line, count, out, start, stride) {
      for (let pixel = 0; pixel < count; pixel++) {
        const entry = samples(line, pixel);
        if (3 * entry + 2 >= palette.length) throw new FormatError("its palette is too short");
        const target = start + pixel * stride;
        for (let channel = 0; channel < 3; channel++) out[target + channel] = palette[3 * entry + channel];
        if (transparency) out[target + 3] = transparency[entry] ?? 255;
      }
    },
  };
}

/** Reads the n-th sample of a packed row. */
function sampleReader(depth: number): (line: Uint8Array, index: number) => number {
  if (depth === 8) return (line, index) => line[index];
  if (depth === 16) return (line, index) => (line[2 * index] << 8) | line[2 * index + 1];
  const perByte = 8 / depth;
  const bits = 2 ** depth - 1;
  return (line, index) => {
    const shift = 8 - depth * (1 + (index % perByte));
    return (line[Math.floor(index / perByte)] >> shift) & bits;
  };
}

/** Every row with the filter that leaves the smallest differences, the filter's number in front. */
function filterRows(raster: Raster): Bytes {
  const { width, height, channels } = raster;
  const bytesPerSample = depthOf(raster) / 8;
  const distance = channels * bytesPerSample;
  const length = width * distance;
  const out = new Uint8Array(height * (1 + length));
  // `distance` zero bytes stand left of each row, so that no filter needs a special case there.
  let above = new Uint8Array(distance + length);
  let line = new Uint8Array(distance + length);
  for (let row = 0; row < height; row++) {
    packRow(raster, row, line.subarray(distance));
    const target = out.subarray(row * (1 + length), (row + 1) * (1 + length));
    target[0] = bestFilter(line, above, distance);
    applyFilter(target[0], line, above, distance, target.subarray(1));
    [line, above] = [above, line];
  }
  return out;
}

function packRow({ width, channels, data }: Raster, row: number, line: Uint8Array): void {
  const samples = data.subarray(row * width * channels, (row + 1) * width * channels);
  if (samples instanceof Uint8Array) {
    line.set(samples);
    return;
  }
  for (let index = 0; index < samples.length; index++) {
    line[2 * index] = samples[index] >> 8;
    line[2 * index + 1] = samples[index];
  }
}

/** The filter with the least sum of absolute differences: the usual estimate of what compresses best. */
function bestFilter(line: Uint8Array, above: Uint8Array, distance: number): number {
  let [none, sub, upper, average, best] = [0, 0, 0, 0, 0];
  for (let i = distance; i < line.length; i++) {
    const value = line[i];
    const left = line[i - distance];
    const up = above[i];
    none += magnitude(value);
    sub += magnitude(value - left);
    upper += magnitude(value - up);
    average += magnitude(value - ((left + up) >> 1));
    best += magnitude(value - paeth(left, up, above[i - distance]));
  }
  const sums = [none, sub, upper, average, best];
  return sums.indexOf(Math.min(...sums));
}

/** Distance from 0 of a byte that wraps around. */
const magnitude = (difference: number): number => Math.abs((difference << 24) >> 24);

function applyFilter(filter: number, line: Uint8Array, above: Uint8Array, distance: number, out: Uint8Array): void {
  const predict = [
    () => 0,
    (i: number) => line[i - distance],
    (i: number) => above[i],
    (i: number) => (line[i - distance] + above[i]) >> 1,
    (i: number) => paeth(line[i - distance], above[i], above[i - distance]),
  ][filter];
  for (let i = distance; i < line.length; i++) out[i - distance] = line[i] - predict(i);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
