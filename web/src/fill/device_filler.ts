import type { Device } from "../device/device";
import type { Progress } from "../progress";
import type { FillRequest } from "../image/edited_image";
import type { Raster } from "../image/raster";
import { FillError, type Filled, type Filler } from "./filler";
import type { Finder, Finding } from "./finder";

/** Fills holes with the network in this browser: nothing leaves the device. */
export class DeviceFiller implements Filler, Finder {
  constructor(private readonly device: Pick<Device, "fill" | "find">) {}

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

  async find(
    image: Raster,
    finding: Finding,
    signal: AbortSignal,
    report?: (progress: Progress) => void,
  ): Promise<Uint8Array> {
    try {
      return await this.device.find(image, finding, { signal, onProgress: report });
    } catch (error) {
      signal.throwIfAborted();
      throw new FillError(`This device cannot look for damage: ${(error as Error).message}.`, { cause: error });
    }
  }
}
