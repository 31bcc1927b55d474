import type { Device } from "../device/device";
import type { Progress } from "../progress";
import type { FillRequest } from "../image/picture";
import { FillError, type Filled, type Filler } from "./filler";

/** Fills holes with the network in this browser: nothing leaves the device. */
export class DeviceFiller implements Filler {
  constructor(private readonly device: Pick<Device, "fill">) {}

  async fill(
    { image, mask, seed = 0, exclude }: FillRequest,
    signal: AbortSignal,
    report?: (progress: Progress) => void,
  ): Promise<Filled> {
    if (!mask.includes(0)) throw new FillError("The mask covers everything around it: nothing is left to fill from.");
    const { width, height } = image;
    try {
      const avoided = exclude ? { width, height, data: exclude } : null;
      const options = { seed, exclude: avoided, signal, onProgress: report };
      return await this.device.fill(image, { width, height, data: mask }, options);
    } catch (error) {
      signal.throwIfAborted();
      throw new FillError(`This device cannot fill it: ${(error as Error).message}.`, { cause: error });
    }
  }
}
