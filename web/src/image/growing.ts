import type { Size } from "../geometry";

/** Everything within `radius` pixels, at most 254, of what a mask marks; one byte per pixel, 1 = marked. */
export function grown(mask: Uint8Array, { width, height }: Size, radius: number): Uint8Array<ArrayBuffer> {
  const away = verticalDistances(mask, width, height, radius + 1);
  const reach = Array.from({ length: radius + 1 }, (_, rows) => Math.floor(Math.sqrt(radius ** 2 - rows ** 2)));
  const out = new Uint8Array(width * height);
  const change = new Int32Array(width + 1);
  for (let row = 0; row < height; row++) {
    const start = row * width;
    change.fill(0);
    for (let x = 0; x < width; x++) {
      const rows = away[start + x];
      if (rows > radius) continue;
      change[Math.max(0, x - reach[rows])]++;
      change[Math.min(width, x + reach[rows] + 1)]--;
    }
    for (let x = 0, inside = 0; x < width; x++) {
      inside += change[x];
      if (inside > 0) out[start + x] = 1;
    }
  }
  return out;
}

/** How many rows the nearest marked pixel of the same column is away, at most `most`. */
function verticalDistances(mask: Uint8Array, width: number, height: number, most: number): Uint8Array {
  const away = new Uint8Array(width * height).fill(most);
  for (let at = 0; at < away.length; at++) {
    if (mask[at]) away[at] = 0;
    else if (at >= width) away[at] = Math.min(most, away[at - width] + 1);
  }
  for (let at = away.length - width - 1; at >= 0; at--) away[at] = Math.min(away[at], away[at + width] + 1);
  return away;
}
