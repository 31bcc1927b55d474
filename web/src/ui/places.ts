import { type Device, unlessAborted } from "../device/device";
import { keptBackends, transferBytes } from "../device/files";
import { type Engine, expectedEngine } from "../device/network";
import { FillError, type FillProgress, type Filled, type Filler } from "../fill/filler";
import type { Finder, Finding } from "../fill/finder";
import type { FillRequest } from "../image/edited_image";
import type { Raster } from "../image/raster";
import type { Progress } from "../progress";
import { element } from "./dom";
import { type Place, type Settings, saveSettings } from "./settings";

const NAMES: Readonly<Record<Place, string>> = { server: "On the server", device: "On this device" };

/** Where holes are filled, and the menu to choose it. */
export class Places implements Filler, Finder {
  private readonly inputs = {
    server: element("where-server", HTMLInputElement),
    device: element("where-device", HTMLInputElement),
  };
  /** How the device will run the network, as far as the browser tells; null until it has. */
  private expected: Engine | null = null;

  /** `server`: null on a site that has none. */
  constructor(
    private readonly server: (Filler & Finder) | null,
    private readonly onDevice: Filler & Finder,
    private readonly device: Device,
    private readonly settings: Settings,
  ) {
    for (const place of ["server", "device"] as const) {
      this.inputs[place].addEventListener("change", () => {
        this.settings.place = place;
        saveSettings(this.settings);
        this.refresh();
      });
    }
    // One choice is none.
    element("where-open", HTMLElement).hidden = !server;
    this.refresh();
    void expectedEngine(device.options).then((engine) => {
      this.expected = engine;
      this.refresh();
    });
  }

  get place(): Place {
    return this.server ? this.settings.place : "device";
  }

  async fill(request: FillRequest, signal: AbortSignal, report?: (progress: FillProgress) => void): Promise<Filled> {
    if (this.server && this.place === "server") return this.server.fill(request, signal, report);
    await this.loaded(signal, report);
    return this.onDevice.fill(request, signal, report);
  }

  async find(
    image: Raster,
    finding: Finding,
    signal: AbortSignal,
    report?: (progress: FillProgress) => void,
  ): Promise<Uint8Array> {
    if (this.server && this.place === "server") return this.server.find(image, finding, signal, report);
    await this.loaded(signal, report);
    return this.onDevice.find(image, finding, signal, report);
  }

  /** Bring the menu in line with how things are. */
  refresh(): void {
    const { place } = this;
    this.inputs[place].checked = true;
    element("where-label", HTMLElement).textContent = NAMES[place];
    document.body.dataset.place = place;
    const engine = this.device.engine ?? this.expected;
    if (!engine) return;
    for (const id of ["where-device-note", "help-device-note"]) {
      element(id, HTMLElement).textContent = this.noteFor(engine);
    }
  }

  private async loaded(signal: AbortSignal, report?: (progress: Progress) => void): Promise<void> {
    if (this.device.engine) return;
    try {
      const onProgress = (progress: Progress): void => {
        if (!signal.aborted) report?.(progress);
      };
      await unlessAborted(this.device.load(onProgress), signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new FillError(`The network cannot be loaded: ${(error as Error).message}.`, { cause: error });
    }
    this.refresh();
  }

  /** What runs and what it takes; a site without a server also keeps what it would need without a graphics processor. */
  private noteFor({ backend, threads }: Engine): string {
    const bytes = transferBytes(this.server ? [backend] : keptBackends(backend));
    // Without a server the page fetches it at once, to keep it.
    const pending = this.server && !this.device.engine;
    const size = `${(bytes / 1e6).toFixed(1)} MB ${pending ? "to load once" : "loaded once"}`;
    const cores = threads === 1 ? "one core" : `${threads} cores`;
    return `${backend === "webgpu" ? "with the graphics processor" : `with ${cores} of the processor`} · ${size}`;
  }
}
