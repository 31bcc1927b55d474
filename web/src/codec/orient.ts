import { type Raster, allocateLike } from "../image/raster";

/** Turn and mirror a raster as an EXIF orientation (1 to 8) says, so that it is upright. */
export function upright(raster: Raster, orientation: number): Raster {
  if (orientation === 1) return raster;
  const { width, height, channels, data } = raster;
  const turned = orientation >= 5;
  const size = turned ? { width: height, height: width } : { width, height };
  // Orientations are numbered by the stored side that is on top and the one that is on the left.
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const out = allocateLike(data, data.length);
  let target = 0;
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const column = turned ? y : x;
      const row = turned ? x : y;
      const source =
        ((fromBottom ? height - 1 - row : row) * width + (fromRight ? width - 1 - column : column)) * channels;
      for (let channel = 0; channel < channels; channel++) out[target++] = data[source + channel];
    }
  }
  return { ...size, channels, data: out };
}
