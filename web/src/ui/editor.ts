import type { RemoteCodec } from "../codec/client";
import type { OpenedPhoto } from "../codec/codec";
import { FormatError } from "../codec/bytes";
import { FORMATS } from "../codec/formats";
import { FillError } from "../fill/filler";
import { fillPending } from "../fill/run";
import type { Progress } from "../progress";
import { clamp } from "../geometry";
import type { Step } from "../image/history";
import { Picture } from "../image/picture";
import { planRegions } from "../image/regions";
import { depthOf } from "../image/raster";
import type { TileChange } from "../image/sheet";
import { listenToPointers } from "../view/pointer";
import { Stage } from "../view/stage";
import { askToReplace, fillHelpSheet, showHelp } from "./dialogs";
import { Divider } from "./divider";
import { download, element } from "./dom";
import { Drawing, type DrawingHost } from "./drawing";
import type { Places } from "./places";
import { type Settings, saveSettings } from "./settings";
import { type Command, commandFor } from "./shortcuts";
import { TOOLS, type ToolName } from "./tools";

const ZOOM_STEP = 1.25;
const BRUSH_STEP = 1.2;
/** How long a message stays in sight; screen readers keep it. */
const MESSAGE_MILLISECONDS = 5000;
/** How often what can wait looks whether its turn has come. */
const TURN_MILLISECONDS = 250;
const THEMES = ["auto", "light", "dark"] as const;
const KINDS = { 1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGB with alpha" } as const;

/** What belongs to one opened file. */
interface Session {
  readonly file: File;
  readonly photo: OpenedPhoto;
  readonly picture: Picture;
  readonly stage: Stage;
  readonly drawing: Drawing;
}

/** The page: connects its buttons, keys and picture to the filler and the codec. */
export class Editor implements DrawingHost {
  tool: ToolName = "brush";
  spaceHeld = false;
  /** Called when the result has changed, but for what `openForHost` opens: for a page around this one. */
  onChanged: () => void = () => undefined;
  private session: Session | null = null;
  private running: AbortController | null = null;
  private unsaved = false;
  private fading = 0;

  private readonly host = element("stage", HTMLElement);
  private readonly status = element("status", HTMLElement);
  private readonly alert = element("alert", HTMLElement);
  private readonly pictureInput = element("picture-input", HTMLInputElement);
  private readonly maskInput = element("mask-input", HTMLInputElement);
  private readonly sizeInput = element("brush-size", HTMLInputElement);
  private readonly autoInput = element("auto", HTMLInputElement);
  private readonly fillButton = element("fill", HTMLButtonElement);
  private readonly divider = new Divider(element("divider", HTMLElement), this.host, () => this.redraw());

  private readonly commands: Readonly<Record<Command, (far: boolean) => void>> = {
    open: () => this.pictureInput.click(),
    save: () => void this.saveResult(true),
    fill: () => void this.fill(),
    auto: () => this.autoInput.click(),
    undo: () => this.undo(),
    redo: () => this.redo(),
    escape: () => this.escape(),
    brush: () => this.chooseTool("brush"),
    eraser: () => this.chooseTool("eraser"),
    rectangle: () => this.chooseTool("rectangle"),
    lasso: () => this.chooseTool("lasso"),
    hand: () => this.chooseTool("hand"),
    smaller: () => this.setBrushSize(this.brushSize / BRUSH_STEP),
    larger: () => this.setBrushSize(this.brushSize * BRUSH_STEP),
    zoomIn: () => this.zoomBy(ZOOM_STEP),
    zoomOut: () => this.zoomBy(1 / ZOOM_STEP),
    fit: () => this.fit(),
    actual: () => this.zoomTo(1 / window.devicePixelRatio),
    compare: () => this.compare(),
    mask: () => this.toggleMask(),
    help: showHelp,
    draw: () => this.session?.drawing.togglePen(),
    left: (far) => this.session?.drawing.step(-1, 0, far),
    right: (far) => this.session?.drawing.step(1, 0, far),
    up: (far) => this.session?.drawing.step(0, -1, far),
    down: (far) => this.session?.drawing.step(0, 1, far),
  };

  constructor(
    private readonly codec: RemoteCodec,
    private readonly places: Places,
    private readonly settings: Settings,
  ) {
    this.applyTheme();
    this.setBrushSize(this.settings.brushSize);
    this.autoInput.checked = this.settings.fillOnRelease;
    fillHelpSheet();
    this.listenToControls();
    this.listenToFiles();
    this.listenToKeys();
    listenToPointers(this.host, {
      pans: () => this.session?.drawing.pans() ?? true,
      begin: (point, pressure) => this.session?.drawing.begin(point, pressure),
      draw: (points) => this.session?.drawing.draw(points),
      end: () => this.session?.drawing.end(),
      cancel: () => this.session?.drawing.cancel(),
      hover: (point, pointerType) => this.session?.drawing.hover(point, pointerType),
      pan: (dx, dy) => this.session?.drawing.pan(dx, dy),
      zoom: (at, factor) => this.session?.drawing.zoom(at, factor),
    });
    this.refresh();
  }

  get brushSize(): number {
    return this.sizeInput.valueAsNumber;
  }

  // -- files -----------------------------------------------------------------------------------------------------------

  async open(file: File): Promise<void> {
    if (this.unsaved && !(await askToReplace())) return;
    this.say(`Opening ${file.name}…`);
    this.warn(null);
    try {
      await this.openForHost(file);
    } catch (error) {
      this.say("");
      this.warn(`${file.name} cannot be opened: ${wordsOf(error)}.`);
      return;
    }
    this.host.focus();
    this.onChanged();
  }

  /** Open a file without asking anybody, and without taking the focus. Rejects with the reason where it cannot be read. */
  async openForHost(file: File): Promise<void> {
    const photo = await this.codec.openPhoto(file);
    this.close();
    const picture = new Picture(photo.raster);
    const stage = new Stage(this.host, picture, photo.displayP3, () => this.showZoom());
    const drawing = new Drawing(picture, stage, element("cursor", HTMLElement), this);
    this.session = { file, photo, picture, stage, drawing };
    const { width, height, channels } = photo.raster;
    element("picture-name", HTMLElement).textContent = file.name;
    element("picture-size", HTMLElement).textContent = `${width} × ${height}`;
    this.say(`Opened ${file.name}: ${width} × ${height} pixels, ${depthOf(photo.raster)} bit, ${KINDS[channels]}.`);
    this.refresh();
  }

  private close(): void {
    this.running?.abort();
    this.session?.drawing.cancel();
    this.session?.stage.dispose();
    this.session = null;
    this.unsaved = false;
    this.divider.show(false);
  }

  private async loadMask(file: File): Promise<void> {
    const { session } = this;
    if (!session) return;
    this.warn(null);
    try {
      const { holes, notes } = await this.codec.openMask(file, session.picture.source);
      const remarks = notes.map(({ text }) => `${text[0].toUpperCase()}${text.slice(1)}.`).join(" ");
      if (!holes.includes(1)) {
        this.warn(`${file.name} adds nothing. ${remarks}`);
        return;
      }
      await session.drawing.quiet();
      this.drawn("Mask", session.picture.addMask(holes));
      this.say(`Added the mask ${file.name}. ${remarks}`.trim());
    } catch (error) {
      this.warn(`${file.name} cannot be used as a mask: ${wordsOf(error)}.`);
    }
  }

  /** The result, in the format of the source or losslessly. Throws where no picture is open. */
  async result(likeSource: boolean): Promise<Blob> {
    const { picture, photo, file } = this.opened();
    const format = likeSource && photo.format ? photo.format : "png";
    const bytes = await this.codec.encodeLike(file, format, picture.current(), photo.chunks);
    return new Blob([bytes], { type: FORMATS[format].mime });
  }

  /** The mask as PNG, white = hole. Throws where no picture is open. */
  async maskFile(): Promise<Blob> {
    const { picture } = this.opened();
    const bytes = await this.codec.encodePng({ ...picture.size, channels: 1, data: picture.mask() });
    return new Blob([bytes], { type: FORMATS.png.mime });
  }

  private opened(): Session {
    if (!this.session) throw new Error("no picture is open");
    return this.session;
  }

  private async saveResult(likeSource: boolean): Promise<void> {
    const { session } = this;
    if (!session) return;
    const format = likeSource && session.photo.format ? session.photo.format : "png";
    const name = `${stem(session.file.name)}-filled.${FORMATS[format].extension}`;
    if (await this.save(name, () => this.result(likeSource))) this.unsaved = false;
  }

  private async saveMask(): Promise<void> {
    if (this.session) await this.save(`${stem(this.session.file.name)}-mask.png`, () => this.maskFile());
  }

  private async save(name: string, encode: () => Promise<Blob>): Promise<boolean> {
    this.say(`Preparing ${name}…`);
    try {
      download(await encode(), name);
      this.say(`Downloaded ${name}.`);
      return true;
    } catch (error) {
      this.say("");
      this.warn(`${name} cannot be written: ${wordsOf(error)}.`);
      return false;
    }
  }

  // -- painting and filling --------------------------------------------------------------------------------------------

  drawn(label: string, changes: TileChange[]): void {
    const step = this.session?.picture.record(label, changes);
    this.say(step ? `${label}.` : "");
    this.refresh();
    this.tellOf(step);
    if (step && this.settings.fillOnRelease && !this.running) void this.fill(step);
  }

  /** Fill what is pending. With `join`, undo takes the result back together with that step. */
  private async fill(join?: Step): Promise<void> {
    const { session } = this;
    if (!session || this.running) return;
    const { picture, stage, drawing } = session;
    if (!picture.hasPending) {
      this.say("Nothing to fill: paint over what should go first.");
      return;
    }
    const running = new AbortController();
    this.running = running;
    this.warn(null);
    this.refresh();
    const started = performance.now();
    let step = join;
    let [changed, failed] = [false, false];
    try {
      await fillPending({
        picture,
        filler: this.places,
        signal: running.signal,
        quiet: () => drawing.quiet(),
        progress: (done, total, within) => this.sayOnce(progressWords(done, total, within)),
        pasted: (changes) => {
          step = picture.record("Fill", changes, step) ?? step;
          this.unsaved = changed = true;
          stage.invalidate();
        },
      });
      this.say(`Filled in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
    } catch (error) {
      if (!running.signal.aborted) {
        failed = true;
        this.say("");
        this.warn(error instanceof FillError || error instanceof FormatError ? error.message : wordsOf(error));
      }
    } finally {
      if (this.running === running) this.running = null;
      this.refresh();
    }
    if (this.session !== session) return;
    if (changed) this.onChanged();
    // Strokes made meanwhile wait for their turn.
    const goesOn = this.settings.fillOnRelease && !failed && !running.signal.aborted;
    if (goesOn && picture.hasPending) void this.fill();
  }

  /** Bring the times in the menu of places in line with what is painted. */
  private estimate(): void {
    const picture = this.session?.picture;
    const regions = picture ? planRegions(picture.pendingCells(), picture.size) : [];
    void this.places.estimate(picture ? regions.map(({ region }) => picture.request(region)) : []);
  }

  private undo(): void {
    this.running?.abort();
    this.travel((picture) => picture.history.undo(), "Undid", "Nothing to undo.");
  }

  private redo(): void {
    if (!this.running) this.travel((picture) => picture.history.redo(), "Redid", "Nothing to redo.");
  }

  private travel(go: (picture: Picture) => Step | undefined, verb: string, otherwise: string): void {
    const { session } = this;
    if (!session || session.drawing.active) return;
    const step = go(session.picture);
    this.say(step ? `${verb}: ${step.label.toLowerCase()}.` : otherwise);
    this.unsaved ||= step !== undefined;
    this.refresh();
    this.tellOf(step);
  }

  private clearMask(): void {
    const { session } = this;
    if (!session || session.drawing.active) return;
    this.running?.abort();
    const step = session.picture.record("Start over", session.picture.clear());
    this.say("The picture is the original again.");
    this.refresh();
    this.tellOf(step);
  }

  /** Tell of a step that changed more than the mask: an eraser, undo and redo may take a filling back. */
  private tellOf(step: Step | null | undefined): void {
    const fills = this.session?.picture.fills;
    if (step?.changes.some(({ sheet }) => sheet === fills)) this.onChanged();
  }

  private escape(): void {
    if (this.session?.drawing.active) this.session.drawing.cancel();
    else if (this.running) this.stop();
    else this.warn(null);
  }

  private stop(): void {
    this.running?.abort();
    this.say("Stopped.");
  }

  // -- the view --------------------------------------------------------------------------------------------------------

  viewChanged(): void {
    this.session?.stage.invalidate();
  }

  private zoomBy(factor: number): void {
    const stage = this.session?.stage;
    if (stage) this.zoomTo(stage.camera.scale * factor);
  }

  private zoomTo(scale: number): void {
    this.session?.stage.camera.zoomTo(scale);
    this.viewChanged();
  }

  private fit(): void {
    this.session?.stage.camera.fit();
    this.viewChanged();
  }

  private compare(): void {
    if (!this.session) return;
    this.divider.show(!this.divider.shown);
    this.say(this.divider.shown ? "Before on the left, after on the right." : "Comparison closed.");
    this.refresh();
  }

  private toggleMask(): void {
    const stage = this.session?.stage;
    if (!stage) return;
    stage.showMask = !stage.showMask;
    this.say(stage.showMask ? "Mask shown." : "Mask hidden.");
    this.redraw();
  }

  private showZoom(): void {
    const { session } = this;
    if (!session) return;
    const percent = Math.round(100 * session.stage.camera.scale * window.devicePixelRatio);
    element("zoom", HTMLElement).textContent = `${percent} %`;
    session.drawing.showCursor();
  }

  private redraw(): void {
    const stage = this.session?.stage;
    if (!stage) return;
    stage.divider = this.divider.shown ? this.divider.share : null;
    stage.showFilled = this.tool === "eraser";
    stage.invalidate();
  }

  /** Bring every control in line with the state. */
  private refresh(): void {
    const picture = this.session?.picture;
    const busy = this.running !== null;
    document.body.classList.toggle("empty", !picture);
    document.body.classList.toggle("busy", busy);
    const enable = (id: string, enabled: boolean): void => {
      element(id, HTMLButtonElement).disabled = !enabled;
    };
    for (const id of ["save-open", "mask-open", "zoom-in", "zoom-out", "fit", "compare"]) enable(id, !!picture);
    enable("undo", picture?.history.canUndo ?? false);
    enable("redo", !busy && (picture?.history.canRedo ?? false));
    enable("save-mask", picture?.hasHoles ?? false);
    enable("clear", picture?.hasHoles ?? false);
    enable("fill", busy || (picture?.hasPending ?? false));
    element("fill-label", HTMLElement).textContent = busy ? "Stop" : "Fill";
    element("compare", HTMLButtonElement).setAttribute("aria-pressed", String(this.divider.shown));
    const format = this.session?.photo.format;
    element("save-source", HTMLButtonElement).hidden = !format || format === "png";
    element("save-source-label", HTMLElement).textContent =
      `Result as ${format ? FORMATS[format].name : ""}, like the original`;
    this.host.dataset.tool = this.tool;
    this.redraw();
  }

  /** Tell what happened: shown in a corner, and read out by screen readers. */
  say(text: string): void {
    this.status.textContent = text;
    this.status.classList.remove("old");
    clearTimeout(this.fading);
    this.fading = window.setTimeout(() => this.status.classList.add("old"), MESSAGE_MILLISECONDS);
  }

  /** Tell what can wait until nothing is going on and the message before it has been read. */
  sayInTurn(text: string): void {
    const { textContent, classList } = this.status;
    if (this.running === null && (!textContent || classList.contains("old"))) this.say(text);
    else window.setTimeout(() => this.sayInTurn(text), TURN_MILLISECONDS);
  }

  /** Say what is going on, unless that was said last. */
  private sayOnce(text: string): void {
    if (this.status.textContent !== text) this.say(text);
  }

  /** Show something that should not be missed, or with null nothing any more. */
  warn(text: string | null): void {
    this.alert.hidden = text === null;
    element("alert-text", HTMLElement).textContent = text ?? "";
  }

  // -- controls --------------------------------------------------------------------------------------------------------

  private chooseTool(tool: ToolName): void {
    if (this.session?.drawing.active) return;
    this.tool = tool;
    element(`tool-${tool}`, HTMLInputElement).checked = true;
    this.refresh();
    this.session?.drawing.showCursor();
  }

  private setBrushSize(size: number): void {
    this.sizeInput.valueAsNumber = clamp(Math.round(size), Number(this.sizeInput.min), Number(this.sizeInput.max));
    element("brush-size-label", HTMLElement).textContent = `${this.brushSize} px`;
    this.sizeInput.setAttribute("aria-valuetext", `${this.brushSize} pixels`);
    this.settings.brushSize = this.brushSize;
    saveSettings(this.settings);
    this.session?.drawing.showCursor();
  }

  private applyTheme(): void {
    const { theme } = this.settings;
    document.documentElement.dataset.theme = theme;
    element("theme", HTMLButtonElement).setAttribute("aria-label", `Colours: ${theme}`);
    saveSettings(this.settings);
  }

  private listenToControls(): void {
    const click = (id: string, action: () => void): void => {
      element(id, HTMLButtonElement).addEventListener("click", () => {
        element(id, HTMLButtonElement).closest<HTMLElement>("[popover]")?.hidePopover();
        action();
      });
    };
    for (const tool of TOOLS)
      element(`tool-${tool}`, HTMLInputElement).addEventListener("change", () => this.chooseTool(tool));
    click("open", this.commands.open.bind(null, false));
    click("open-first", this.commands.open.bind(null, false));
    click("undo", () => this.undo());
    click("redo", () => this.redo());
    click("compare", () => this.compare());
    click("zoom-in", () => this.zoomBy(ZOOM_STEP));
    click("zoom-out", () => this.zoomBy(1 / ZOOM_STEP));
    click("fit", () => this.fit());
    click("help", showHelp);
    element("where-open", HTMLButtonElement).addEventListener("click", () => this.estimate());
    click("save-source", () => void this.saveResult(true));
    click("save-png", () => void this.saveResult(false));
    click("save-mask", () => void this.saveMask());
    click("load-mask", () => this.maskInput.click());
    click("clear", () => this.clearMask());
    click("alert-close", () => this.warn(null));
    click("theme", () => {
      this.settings.theme = THEMES[(THEMES.indexOf(this.settings.theme) + 1) % THEMES.length];
      this.applyTheme();
      this.say(`Colours: ${this.settings.theme}.`);
    });
    this.fillButton.addEventListener("click", () => {
      if (this.running) this.stop();
      else void this.fill();
    });
    this.sizeInput.addEventListener("input", () => this.setBrushSize(this.brushSize));
    this.autoInput.addEventListener("change", () => {
      this.settings.fillOnRelease = this.autoInput.checked;
      saveSettings(this.settings);
      this.say(this.autoInput.checked ? "Strokes are filled on release." : "Strokes wait for the button.");
    });
    const singleKeys = element("single-keys", HTMLInputElement);
    singleKeys.checked = this.settings.singleKeys;
    singleKeys.addEventListener("change", () => {
      this.settings.singleKeys = singleKeys.checked;
      saveSettings(this.settings);
    });
    this.host.addEventListener("blur", () => this.session?.drawing.hideCrosshair());
    window.addEventListener("beforeunload", (event) => {
      if (this.unsaved) event.preventDefault();
    });
  }

  private listenToFiles(): void {
    const take = (input: HTMLInputElement, use: (file: File) => Promise<void>): void => {
      input.addEventListener("change", () => {
        const file = input.files?.[0];
        input.value = ""; // so that the same file can be chosen again
        if (file) void use(file);
      });
    };
    take(this.pictureInput, (file) => this.open(file));
    take(this.maskInput, (file) => this.loadMask(file));
    document.addEventListener("paste", (event) => {
      const file = event.clipboardData?.files[0];
      if (file) void this.open(file);
    });
    const dropping = (shown: boolean): boolean => document.body.classList.toggle("dropping", shown);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      dropping(true);
    });
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) dropping(false);
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      dropping(false);
      const file = event.dataTransfer?.files[0];
      if (file) void this.open(file);
    });
  }

  private listenToKeys(): void {
    document.addEventListener("keydown", (event) => {
      const target = event.target as HTMLElement;
      if (
        document.querySelector("dialog[open]") ||
        target.matches("input:not([type=radio], [type=range], [type=checkbox])")
      )
        return;
      const onPicture = target === this.host;
      if (event.key === " " && (onPicture || target === document.body)) {
        event.preventDefault();
        this.holdSpace(true);
        return;
      }
      const command = commandFor(event, onPicture, this.settings.singleKeys);
      if (!command) return;
      event.preventDefault();
      this.commands[command](event.shiftKey);
    });
    document.addEventListener("keyup", (event) => {
      if (event.key === " ") this.holdSpace(false);
    });
    window.addEventListener("blur", () => this.holdSpace(false));
  }

  private holdSpace(held: boolean): void {
    this.spaceHeld = held;
    this.host.classList.toggle("panning", held);
    this.session?.drawing.showCursor();
  }
}

/** What is going on; shares in steps of a tenth, as each is read out. */
function progressWords(done: number, total: number, within: Progress | null): string {
  const share = within && within.share > 0 ? ` ${10 * Math.floor(10 * within.share)} %` : "";
  if (within?.doing === "loading") return `Loading the network…${share}`;
  return (total > 1 ? `Filling ${done + 1} of ${total}…` : "Filling…") + share;
}

const stem = (name: string): string => name.replace(/\.[^.]*$/, "") || "picture";

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
