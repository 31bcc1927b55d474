import { type Device, unlessAborted } from "../device/device";
import type { Progress } from "../progress";
import { keptBackends, transferBytes } from "../device/files";
import { type Engine, expectedEngine } from "../device/network";
import { type Filled, type Filler, FillError } from "../fill/filler";
import type { ServerFiller } from "../fill/server_filler";
import type { FillRequest } from "../image/picture";
import { workload } from "../device/inpaint";
import { element } from "./dom";
import { type PaceKey, guessedPace, learnPace, paceKeyOf, secondsFor } from "./paces";
import { type Place, type Settings, saveSettings } from "./settings";

/** A hole of 256 pixels: what times are shown for while nothing is painted. */
const USUAL_PIXELS = 512 ** 2;

const NAMES: Readonly<Record<Place, string>> = { server: "On the server", device: "On this device" };

/** Where holes are filled, how long that takes, and the menu to choose it. */
export class Places implements Filler {
  private readonly label = element("where-label", HTMLElement);
  private readonly inputs = {
    server: element("where-server", HTMLInputElement),
    device: element("where-device", HTMLInputElement),
  };

  /** How the device will run the network, as far as the browser tells; null until it has. */
  private expected: Engine | null = null;
  /** Pixels of the crops for what is painted; 0 for nothing. */
  private painted = 0;

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
    void expectedEngine(device.options).then((engine) => {
      this.expected = engine;
      this.refresh();
    });
  }

  get place(): Place {
    return this.server ? this.settings.place : "device";
  }

  async fill(request: FillRequest, signal: AbortSignal, report?: (progress: Progress) => void): Promise<Filled> {
    const { place } = this;
    if (place === "device") await this.loaded(signal, report);
    const filler = place === "server" ? (this.server as ServerFiller) : this.onDevice;
    const key = this.keyOf(place);
    const filled = await filler.fill(request, signal, report);
    // What went on half way with another engine measures neither.
    if (key && key === this.keyOf(place)) this.learn(key, pixelsOf(request), filled.seconds);
    return filled;
  }

  /** Write down in the menu how long each place would take for these requests, or for a hole of the usual size. */
  async estimate(requests: readonly FillRequest[]): Promise<void> {
    this.painted = requests.reduce((sum, request) => sum + pixelsOf(request), 0);
    this.refresh();
    if (!this.server || this.settings.paces.server !== undefined) return;
    const request = probe();
    const seconds = await this.server.probe(request);
    if (seconds === null) return;
    this.learn("server", pixelsOf(request), seconds);
    this.refresh();
  }

  /** Bring the menu in line with how things are. */
  refresh(): void {
    const { place } = this;
    this.inputs[place].checked = true;
    this.label.textContent = NAMES[place];
    document.body.dataset.place = place;
    this.showNotes();
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

  private keyOf(place: Place): PaceKey | null {
    if (place === "server") return "server";
    return this.device.engine && paceKeyOf(this.device.engine);
  }

  private learn(key: PaceKey, pixels: number, seconds: number): void {
    learnPace(this.settings.paces, key, pixels, seconds);
    saveSettings(this.settings);
  }

  /** How long each place would take for what is painted, or for the usual hole, and what it needs for that. */
  private showNotes(): void {
    const { paces } = this.settings;
    const about = (pace: number): string =>
      inWords(secondsFor(this.painted || USUAL_PIXELS, pace)) + (this.painted ? "" : " for a hole of 256 pixels");
    const note = (place: Place, words: readonly string[]): void => {
      element(`where-${place}-note`, HTMLElement).textContent = words.join(" · ");
    };
    note("server", [paces.server === undefined ? "time not known yet" : about(paces.server)]);
    const engine = this.device.engine ?? this.expected;
    if (!engine) return;
    const measured = paces[paceKeyOf(engine)];
    note("device", [
      measured === undefined ? `${about(guessedPace(engine))}, not measured yet` : about(measured),
      wordsFor(engine),
      this.transferNote(engine),
    ]);
  }

  /** A site without a server also keeps what it would need without WebGPU. */
  private transferNote({ backend }: Engine): string {
    const bytes = transferBytes(this.server ? [backend] : keptBackends(backend));
    // Without a server the page fetches it at once, to keep it.
    const pending = this.server && !this.device.engine;
    return `${(bytes / 1e6).toFixed(1)} MB ${pending ? "to load once" : "loaded once"}`;
  }
}

/** How the network runs, in words. */
export const wordsFor = ({ backend, threads }: Engine): string =>
  backend === "webgpu" ? "WebGPU" : `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;

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
