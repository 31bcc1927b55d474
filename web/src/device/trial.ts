/** Whether a network computes what it should here: some drivers run it, and answer nonsense, or not at all. */

import { area } from "../geometry";
import { haarFill } from "./haar_fill";
import type { Network } from "./inpaint";
import { allocatePlane } from "./planes";

/** Of the crop, in pixels, before it is rounded up to what the network takes. */
const SIDE = 32;
/** How far a known sample may be from what it was: it is copied, at worst in half precision. */
const KNOWN_TOLERANCE = 1 / 1024;
/** How far a filled sample may be from a smooth continuation of a smooth image, on the average. */
const FILLED_TOLERANCE = 0.05;

/** Fill a small crop whose outcome is known. Throws where the answer is far from it. */
export async function tryOut(network: Network): Promise<void> {
  const side = Math.ceil(SIDE / network.multiple) * network.multiple;
  const size = { width: side, height: side };
  const hole = { ...size, data: new Uint8Array(area(size)) };
  const planes = [0, 1, 2].map(() => allocatePlane(size));
  for (let y = 0, i = 0; y < side; y++) {
    for (let x = 0; x < side; x++, i++) {
      hole.data[i] = Number(Math.max(Math.abs(2 * x - side), Math.abs(2 * y - side)) <= side / 4);
      // Slopes that differ from channel to channel, so that channels, rows and columns must not be mixed up.
      [x, y, side - x].forEach((slope, c) => (planes[c].data[i] = 0.2 * (c + 1) + (0.3 * slope) / side));
    }
  }
  const image = new Float32Array(3 * area(size));
  planes.forEach(({ data }, c) =>
    image.set(
      data.map((value, i) => (hole.data[i] ? 0 : value)),
      c * area(size),
    ),
  );
  const answer = await network.run(image, Float32Array.from(hole.data), size);
  const holes = 3 * hole.data.reduce((count, value) => count + value, 0);
  let [unlike, off] = [0, 0];
  planes.forEach((plane, c) => {
    const expected = haarFill(plane, hole).data;
    for (let i = 0; i < area(size); i++) {
      const distance = Math.abs(answer[c * area(size) + i] - expected[i]);
      if (hole.data[i]) off += distance / holes;
      else unlike = Math.max(unlike, distance);
    }
  });
  // Put so that no-numbers fail too.
  if (!(unlike <= KNOWN_TOLERANCE && off <= FILLED_TOLERANCE)) throw new Error("it fills a trial image wrongly");
}
