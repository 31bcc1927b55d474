import { type Device, unlessAborted } from "../device/device";
import type { Progress } from "../progress";
import { transferBytes } from "../device/files";
import type { Engine } from "../device/network";
import { type Filler, FillError } from "../fill/filler";
import type { ServerFiller } from "../fill/server_filler";
import type { FillRequest } from "../picture/picture";
import type { Raster } from "../picture/raster";
import { workload } from "../device/inpaint";
import { element } from "./dom";
import { type Place, type Settings, saveSettings } from "./settings";

/** Seconds for a megapixel of crops before anything has been measured: one core at WebAssembly; docs/site.md. */
const FIRST_GUESS = 12;
/** How much faster than one core of WebAssembly a graphics processor is taken to be before it is measured. */
const GPU_GAIN = 8;
/** Weight of the newest measurement in the running mean. */
const NEWEST = 0.5;
/** A hole of 256 pixels: what times are shown for while nothing is painted. */
const USUAL_PIXELS = 512 ** 2;
const MEGA = 1e6;

const NAMES: Readonly<Record<Place, string>> = { server: "On the server", device: "On this device" };

/** Where holes are filled, how long that takes, and the menu to choose it. */
export class Places implements Filler {
  private readonly label = element("where-label", HTMLElement);
  private readonly inputs = {
    server: element("where-server", HTMLInputElement),
    device: element("where-device", HTMLInputElement),
  };

  /** `server`: null on a site that has none. */
  constructor(
    private readonly server: ServerFiller | null,
    private readonly onDevice: Filler,
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
    element("where-server-choice", HTMLElement).hidden = !server;
    this.refresh();
  }

  get place(): Place {
    return this.server ? this.settings.place : "device";
  }

  async fill(request: FillRequest, signal: AbortSignal, report?: (progress: Progress) => void): Promise<Raster> {
    const { place } = this;
    if (place === "device") await this.loaded(signal, report);
    const started = performance.now();
    const filler = place === "server" ? (this.server as ServerFiller) : this.onDevice;
    const answer = await filler.fill(request, signal, report);
    this.learn(place, pixelsOf(request), (performance.now() - started) / 1000);
    return answer;
  }

  /** Write down in the menu how long each place would take for these requests, or for a hole of the usual size. */
  async estimate(requests: readonly FillRequest[]): Promise<void> {
    const pixels = requests.reduce((sum, request) => sum + pixelsOf(request), 0);
    this.showTimes(pixels);
    if (!this.server || this.settings.paces.server !== undefined) return;
    const request = probe();
    const started = performance.now();
    if (!(await this.server.probe(request))) return;
    this.learn("server", pixelsOf(request), (performance.now() - started) / 1000);
    this.showTimes(pixels);
  }

  private async loaded(signal: AbortSignal, report?: (progress: Progress) => void): Promise<void> {
    if (this.device.engine) return;
    try {
      const told = (progress: Progress): void => {
        if (!signal.aborted) report?.(progress);
      };
      await unlessAborted(this.device.load(told), signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new FillError(`The network cannot be loaded: ${(error as Error).message}.`, { cause: error });
    }
    this.refresh();
  }

  private learn(place: Place, pixels: number, seconds: number): void {
    const pace = (seconds * MEGA) / Math.max(pixels, 1);
    const known = this.settings.paces[place];
    this.settings.paces[place] = known === undefined ? pace : (1 - NEWEST) * known + NEWEST * pace;
    saveSettings(this.settings);
  }

  /** `painted`: pixels of the crops for what is painted; 0 for the usual hole. */
  private showTimes(painted: number): void {
    const pixels = painted || USUAL_PIXELS;
    const about = (pace: number): string =>
      inWords((pace * pixels) / MEGA) + (painted ? "" : " for a hole of 256 pixels");
    const { server, device } = this.settings.paces;
    const guess = FIRST_GUESS / (this.device.engine ? gain(this.device.engine) : 1);
    const note = (place: Place, words: (string | null)[]): void => {
      element(`where-${place}-note`, HTMLElement).textContent = words.filter((word) => word !== null).join(" · ");
    };
    note("server", [server === undefined ? "time not known yet" : about(server)]);
    note("device", [
      about(device ?? guess) + (device === undefined ? ", not measured yet" : ""),
      this.device.engine
        ? wordsFor(this.device.engine)
        : `${(transferBytes("wasm") / MEGA).toFixed(0)} MB to load once`,
    ]);
  }

  private refresh(): void {
    const { place } = this;
    this.inputs[place].checked = true;
    this.label.textContent = NAMES[place];
    document.body.dataset.place = place;
    this.showTimes(0);
  }
}

/** How the network runs, in words. */
export const wordsFor = ({ backend, threads }: Engine): string =>
  backend === "webgpu" ? "WebGPU" : `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;

const gain = ({ backend, threads }: Engine): number => (backend === "webgpu" ? GPU_GAIN : threads ** 0.8);

const inWords = (seconds: number): string =>
  `about ${seconds < 9.5 ? Math.max(seconds, 0.1).toFixed(1) : Math.round(seconds)} s`;

const pixelsOf = ({ image: { width, height }, mask }: FillRequest): number => workload({ width, height, data: mask });

/** A small job, grey with a square hole, that tells how fast a server is. */
function probe(): FillRequest {
  const side = 192;
  const mask = new Uint8Array(side * side);
  for (let y = 64; y < 128; y++) mask.fill(1, y * side + 64, y * side + 128);
  return { image: { width: side, height: side, channels: 1, data: new Uint8Array(side * side).fill(128) }, mask };
}
