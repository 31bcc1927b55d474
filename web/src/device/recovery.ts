import type { Size } from "../geometry";
import type { Backend, Engine, LoadedNetwork } from "./network";

/** A network that continues with another one where it fails: drivers crash, and devices are lost. */
export class RecoveringNetwork implements LoadedNetwork {
  private recovered = false;

  /**
   * `other` loads the one to continue with; `moved` is called once, when it has taken over, with the reason.
   */
  constructor(
    private current: LoadedNetwork,
    private readonly other: () => Promise<LoadedNetwork>,
    private readonly moved: (engine: Engine, cause: unknown) => void,
  ) {}

  get multiple(): number {
    return this.current.multiple;
  }

  get coarseLevels(): number {
    return this.current.coarseLevels;
  }

  get backend(): Backend {
    return this.current.backend;
  }

  get threads(): number {
    return this.current.threads;
  }

  /** Fill a crop; one on which the first network fails is given to the other one, which may fail for good. */
  async run(image: Float32Array, mask: Float32Array, size: Size): Promise<Float32Array> {
    if (this.recovered) return this.current.run(image, mask, size);
    try {
      return await this.current.run(image, mask, size);
    } catch (cause) {
      await this.recover(cause);
      return this.current.run(image, mask, size);
    }
  }

  release(): Promise<void> {
    return this.current.release();
  }

  private async recover(cause: unknown): Promise<void> {
    // Not awaited: a device that is lost may never answer.
    void this.current.release();
    this.current = await this.other();
    this.recovered = true;
    const { backend, threads } = this.current;
    this.moved({ backend, threads }, cause);
  }
}
