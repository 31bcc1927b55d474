import type { RemoteCodec } from "../codec/client";
import { ImageFiles } from "../codec/image_files";
import { FORMATS } from "../codec/formats";
import type { Filler } from "../fill/filler";
import type { Finder } from "../fill/finder";
import type { ServerFiller } from "../fill/server_filler";
import type { Step } from "../image/history";
import { EditedImage } from "../image/edited_image";
import { depthOf } from "../image/raster";
import type { TileChange } from "../image/sheet";
import { listenToPointers } from "../view/pointer";
import { Stage } from "../view/stage";
import { Album } from "./album";
import { Controls } from "./controls";
import { DamageSearch } from "./damage_search";
import { askToReplace, fillHelpSheet, showHelp } from "./dialogs";
import { Divider } from "./divider";
import { element } from "./dom";
import { Drawing, type DrawingHost } from "./drawing";
import { listenToFiles } from "./file_input";
import { Filling } from "./filling";
import { portray, showHistory } from "./history_menu";
import { listenToKeys, peekWhileHeld } from "./keys";
import { Notices, wordsOf } from "./notices";
import { Results } from "./results";
import { Saving, zipOf } from "./saving";
import type { Session } from "./session";
import { type Settings, saveSettings } from "./settings";
import type { Command } from "./shortcuts";
import type { ToolName, ToolOptions } from "./tools";
import { offerStored, showSamples } from "./welcome";
import { WorkStore } from "./work_store";

const ZOOM_STEP = 1.25;
const BRUSH_STEP = 1.2;
const KINDS = { 1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGB with alpha" } as const;

/** The page: connects its buttons, keys and image to the filler and the codec. */
export class Editor implements DrawingHost {
  session: Session | null = null;
  spaceHeld = false;
  /** Called when the result has changed, but for what `openForHost` opens: for a page around this one. */
  onChanged: () => void = () => undefined;
  readonly notices = new Notices(() => !this.filling.busy);
  readonly saving: Saving;
  private readonly files: ImageFiles;
  private readonly filling: Filling;
  private readonly damageSearch: DamageSearch;
  private readonly results: Results;
  private readonly controls: Controls;
  private readonly workStore: WorkStore;
  private readonly album = new Album((index) => void this.show(index));
  private unsaved = false;
  private readonly host = element("stage", HTMLElement);
  private readonly divider = new Divider(element("divider", HTMLElement), this.host, () => this.redraw());

  private readonly commands: Readonly<Record<Exclude<Command, ToolName>, (far: boolean) => void>> = {
    open: () => element("image-input", HTMLInputElement).click(),
    save: () => void this.saveResult(true),
    copy: () => void this.copy(),
    fill: () => void this.filling.fill(),
    again: () => void this.filling.tryAgain(),
    auto: () => element("auto", HTMLInputElement).click(),
    undo: () => this.undo(),
    redo: () => this.redo(),
    next: () => this.album.go(1),
    previous: () => this.album.go(-1),
    escape: () => this.escape(),
    smaller: () => this.resizeBrush(1 / BRUSH_STEP),
    larger: () => this.resizeBrush(BRUSH_STEP),
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
    filler: Filler & Finder,
    server: ServerFiller | null,
    private readonly settings: Settings,
  ) {
    this.files = new ImageFiles(codec, server);
    this.saving = new Saving(this.files, codec, this.notices);
    this.filling = new Filling(filler, this.notices, this);
    this.damageSearch = new DamageSearch(filler, this.notices, settings, this);
    this.results = new Results(this.filling);
    this.controls = new Controls(settings, this.controlsHost());
    this.workStore = new WorkStore(
      () => this.settings.keepWork && window.parent === window,
      () => this.notices.sayInTurn("This browser does not keep your work: download it before you leave."),
    );
    fillHelpSheet();
    this.listenToControls();
    listenToFiles(
      (files) => this.open(files),
      (file) => this.loadMask(file),
    );
    listenToKeys(this.keysHost());
    this.listenToPointers();
    showSamples(
      (files) => this.open(files),
      (error) => this.notices.warn(`${wordsOf(error)}.`),
    );
    this.refresh();
  }

  get tool(): ToolName {
    return this.controls.tool;
  }

  get brushSize(): number {
    return this.controls.brushSize;
  }

  get toolOptions(): ToolOptions {
    return this.controls.toolOptions;
  }

  get fillsOnRelease(): boolean {
    return this.settings.fillOnRelease;
  }

  get locked(): boolean {
    return this.filling.locked;
  }

  // -- files -----------------------------------------------------------------------------------------------------------

  /** Open files in place of those that are open. */
  async open(files: readonly File[]): Promise<void> {
    if (this.unsaved && !(await askToReplace())) return;
    this.notices.say(`Opening ${files[0].name}…`);
    this.notices.warn(null);
    try {
      await this.openForHost(...files);
    } catch (error) {
      this.notices.say("");
      this.notices.warn(`${files[0].name} cannot be opened: ${wordsOf(error)}.`);
      return;
    }
    this.host.focus();
    this.onChanged();
  }

  /** Open files without asking anybody, and without taking the focus. Rejects where the first cannot be read. */
  async openForHost(...files: File[]): Promise<void> {
    const opened = await this.files.open(files[0]);
    this.close();
    this.unsaved = false;
    this.album.open(files);
    this.workStore.begin(files);
    this.begin(0, files[0], opened, new EditedImage(opened.raster));
  }

  /** Offer the work stored at the last visit, unless something is open. */
  async offerStored(): Promise<void> {
    const work = await this.workStore.stored();
    if (!work || this.session) return;
    const resume = async (): Promise<void> => {
      this.album.open(work.files);
      this.workStore.resume(work);
      await this.show(work.current);
      this.unsaved = true;
    };
    offerStored(
      work,
      () => void resume(),
      () => void this.workStore.forget(),
    );
  }

  /** Show another of the images that were opened together. */
  private async show(index: number): Promise<void> {
    const file = this.album.files[index];
    this.notices.warn(null);
    try {
      const opened = await this.files.open(file);
      this.close();
      let image = this.album.imageOf(index);
      if (image) {
        image.wake(opened.raster);
      } else {
        image = new EditedImage(opened.raster);
        const step = image.record("Kept work", await this.workStore.restore(index, image));
        if (step) portray(step, image);
      }
      this.begin(index, file, opened, image);
    } catch (error) {
      this.notices.warn(`${file.name} cannot be opened: ${wordsOf(error)}.`);
    }
  }

  private begin(index: number, file: File, opened: Session["opened"], image: EditedImage): void {
    const stage = new Stage(this.host, image, opened.displayP3, () => this.showZoom());
    const drawing = new Drawing(image, stage, element("cursor", HTMLElement), this);
    this.session = { file, opened, image, stage, drawing };
    this.album.take(index, image);
    this.controls.fitBrush();
    const { width, height, channels } = opened.raster;
    element("image-name", HTMLElement).textContent = file.name;
    element("image-size", HTMLElement).textContent = `${width} × ${height}`;
    const kind = `${depthOf(opened.raster)} bit, ${KINDS[channels]}`;
    const by = opened.byServer ? " The server has read it: the whole file went there." : "";
    this.notices.say(`Opened ${file.name}: ${width} × ${height} pixels, ${kind}.${by}`);
    if (opened.altered) {
      const remedy = "Allow this page to read canvases, or open a PNG";
      this.notices.warn(`This browser changes samples a little, to protect against being recognised. ${remedy}.`);
    }
    this.refresh();
  }

  private close(): void {
    this.filling.abort();
    this.filling.forget();
    this.damageSearch.abort();
    this.session?.drawing.cancel();
    this.session?.stage.dispose();
    if (this.session) this.album.putAway();
    this.session = null;
    this.divider.show(false);
  }

  private async loadMask(file: File): Promise<void> {
    const { session } = this;
    if (!session) return;
    this.notices.warn(null);
    try {
      const { holes, notes } = await this.codec.openMask(file, session.image.source);
      const remarks = notes.map(({ text }) => `${text[0].toUpperCase()}${text.slice(1)}.`).join(" ");
      if (!holes.includes(1)) {
        this.notices.warn(`${file.name} adds nothing. ${remarks}`);
        return;
      }
      await session.drawing.quiet();
      this.drawn("Mask", session.image.addMask(holes, this.settings.grow));
      this.notices.say(`Added the mask ${file.name}. ${remarks}`.trim());
    } catch (error) {
      this.notices.warn(`${file.name} cannot be used as a mask: ${wordsOf(error)}.`);
    }
  }

  /** What is open. Throws where nothing is. */
  opened(): Session {
    if (!this.session) throw new Error("no image is open");
    return this.session;
  }

  private async saveResult(likeSource: boolean): Promise<void> {
    if (!this.session?.image.hasFilled) return;
    const saved = await this.saving.download("the result", () => this.saving.result(this.opened(), likeSource));
    if (saved && this.album.size < 2) this.unsaved = false;
  }

  private async saveAll(): Promise<void> {
    const shown = this.opened();
    const make = async (): Promise<File> =>
      new File([await zipOf(this.album.results(this.files, this.saving, shown))], "images.zip");
    if (await this.saving.download("the archive", make)) this.unsaved = false;
  }

  private async copy(): Promise<void> {
    if (this.session) await this.saving.copy(this.session);
  }

  // -- painting and filling --------------------------------------------------------------------------------------------

  drawn(label: string, changes: TileChange[]): void {
    const { session } = this;
    const step = session?.image.record(label, changes);
    this.notices.announce(step ? `${label}.` : "");
    if (session && step) portray(step, session.image);
    this.changed(step);
    if (step && this.fillsOnRelease && !this.filling.busy && session?.image.hasPending) void this.filling.fill(step);
  }

  /** Mark damage that was found; it is not filled at once, so that one can look first. */
  markDamage(damage: Uint8Array, grow: number): void {
    const { session } = this;
    if (!session || this.filling.locked) return;
    const step = session.image.record("Find damage", session.image.addMask(damage, grow));
    this.notices.say(
      step ? "Damage is marked: erase what belongs to the image, then fill." : "All of it is marked already.",
    );
    if (step) portray(step, session.image);
    this.changed(step);
  }

  filled(step: Step): void {
    if (this.session) portray(step, this.session.image);
    this.unsaved = true;
    this.changed(step);
  }

  /** Bring all in line with a step that was done or undone, and keep it. */
  private changed(step: Step | null | undefined): void {
    const image = this.session?.image;
    if (step && image) this.workStore.keep(this.album.current, image);
    this.refresh();
    // An eraser, undo and redo may take a filling back.
    if (step?.changes.some(({ sheet }) => sheet === image?.fills)) this.onChanged();
  }

  private undo(): void {
    const wasTryingAgain = this.filling.locked;
    this.filling.abort();
    if (!wasTryingAgain) this.travel((image) => image.history.undo(), "Undid", "Nothing to undo.");
  }

  private redo(): void {
    if (!this.filling.busy) this.travel((image) => image.history.redo(), "Redid", "Nothing to redo.");
  }

  private travel(go: (image: EditedImage) => Step | undefined, verb: string, otherwise: string): void {
    const { session } = this;
    if (!session || session.drawing.active) return;
    const step = go(session.image);
    this.notices.say(step ? `${verb}: ${step.label.toLowerCase()}.` : otherwise);
    this.unsaved ||= step !== undefined;
    this.changed(step);
  }

  /** Undo or redo until so many steps are done. */
  private travelTo(position: number): void {
    const history = this.session?.image.history;
    if (!history || this.filling.busy) return;
    const [start, redo] = [history.position, position > history.position];
    for (let at = start; at !== position; at += redo ? 1 : -1) {
      if (redo) this.redo();
      else this.undo();
    }
  }

  private clearMask(): void {
    const { session } = this;
    if (!session || session.drawing.active || this.filling.locked) return;
    this.filling.abort();
    const step = session.image.record("Start over", session.image.clear());
    if (step) portray(step, session.image);
    this.notices.say("The image is the original again.");
    this.changed(step);
  }

  private escape(): void {
    if (this.session?.drawing.active) this.session.drawing.cancel();
    else if (this.filling.busy) this.filling.stop();
    else if (this.damageSearch.busy) this.damageSearch.stop();
    else this.notices.warn(null);
  }

  // -- the view --------------------------------------------------------------------------------------------------------

  viewChanged(): void {
    this.session?.stage.invalidate();
  }

  say(text: string): void {
    this.notices.announce(text);
  }

  resizeBrush(factor: number): void {
    this.controls.resizeBrush(factor);
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
    if (!this.session?.image.hasFilled) return;
    this.divider.show(!this.divider.shown);
    this.notices.announce(this.divider.shown ? "Before on the left, after on the right." : "Comparison closed.");
    this.refresh();
  }

  private peek(shown: boolean): void {
    const stage = this.session?.stage;
    if (!stage || stage.showSource === shown) return;
    stage.showSource = shown;
    this.notices.announce(shown ? "The original." : "The result.");
    stage.invalidate();
  }

  private toggleMask(): void {
    const stage = this.session?.stage;
    if (!stage) return;
    stage.showMask = !stage.showMask;
    this.notices.say(stage.showMask ? "Mask shown." : "Mask hidden.");
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
  refresh(): void {
    const image = this.session?.image;
    const { busy, locked } = this.filling;
    const hasResult = locked || (image?.hasFilled ?? false);
    if (!hasResult && this.divider.shown) this.divider.show(false);
    document.body.classList.toggle("empty", !image);
    document.body.classList.toggle("busy", busy);
    const enable = (ids: readonly string[], enabled: boolean): void => {
      for (const id of ids) element(id, HTMLButtonElement).disabled = !enabled;
    };
    enable(["mask-open", "options-open", "zoom-in", "zoom-out", "fit", "history-open"], !!image);
    enable(["save-open", "compare"], hasResult);
    enable(["undo"], image?.history.canUndo ?? false);
    enable(["redo"], !busy && (image?.history.canRedo ?? false));
    enable(["save-mask", "clear"], image?.hasMarks ?? false);
    enable(["fill"], busy || (image?.hasPending ?? false));
    element("fill-label", HTMLElement).textContent = busy ? "Stop" : "Fill";
    element("compare", HTMLButtonElement).setAttribute("aria-pressed", String(this.divider.shown));
    const format = this.session?.opened.sourceFormat;
    element("save-source", HTMLButtonElement).hidden = !format || format === "png";
    element("save-source-label", HTMLElement).textContent =
      `Result as ${format ? FORMATS[format].name : ""}, like the original`;
    this.host.dataset.tool = this.tool;
    this.results.refresh();
    this.redraw();
  }

  // -- controls --------------------------------------------------------------------------------------------------------

  private controlsHost(): ConstructorParameters<typeof Controls>[1] {
    const stageOf = (): Stage | undefined => this.session?.stage;
    return {
      get fittedScale() {
        return stageOf()?.camera.fittedScale ?? 1;
      },
      toolChosen: () => {
        this.refresh();
        this.session?.drawing.showCursor();
      },
      brushResized: () => this.session?.drawing.showSize(),
      say: (text) => this.notices.say(text),
    };
  }

  private keysHost(): Parameters<typeof listenToKeys>[0] {
    const { settings } = this;
    return {
      stage: this.host,
      get singleKeys() {
        return settings.singleKeys;
      },
      run: (command, far) => this.run(command, far),
      holdSpace: (held) => {
        this.spaceHeld = held;
        this.host.classList.toggle("panning", held);
        this.session?.drawing.showCursor();
      },
      peek: (shown) => this.peek(shown),
    };
  }

  private run(command: Command, far: boolean): void {
    if (command in this.commands) this.commands[command as keyof typeof this.commands](far);
    else if (!this.session?.drawing.active) this.controls.choose(command as ToolName);
  }

  private listenToPointers(): void {
    const drawing = (): Drawing | undefined => this.session?.drawing;
    listenToPointers(this.host, {
      pans: () => drawing()?.pans() ?? true,
      begin: (point, pressure, straight) => drawing()?.begin(point, pressure, straight),
      draw: (points) => drawing()?.draw(points),
      end: () => drawing()?.end(),
      cancel: () => drawing()?.cancel(),
      hover: (point, pointerType, straight) => drawing()?.hover(point, pointerType, straight),
      pan: (dx, dy) => drawing()?.pan(dx, dy),
      zoom: (at, factor) => drawing()?.zoom(at, factor),
      resize: (factor) => drawing()?.resize(factor),
    });
  }

  private listenToControls(): void {
    const click = (id: string, action: () => void): void => {
      element(id, HTMLButtonElement).addEventListener("click", () => {
        element(id, HTMLButtonElement).closest<HTMLElement>("[popover]")?.hidePopover();
        action();
      });
    };
    const buttons: readonly (readonly [id: string, command: Command])[] = [
      ["open", "open"],
      ["open-first", "open"],
      ["undo", "undo"],
      ["redo", "redo"],
      ["compare", "compare"],
      ["zoom-in", "zoomIn"],
      ["zoom-out", "zoomOut"],
      ["fit", "fit"],
      ["help", "help"],
      ["copy", "copy"],
      ["save-source", "save"],
    ];
    peekWhileHeld(element("compare", HTMLButtonElement), (shown) => this.peek(shown));
    for (const [id, command] of buttons) click(id, () => this.run(command, false));
    click("save-png", () => void this.saveResult(false));
    click("save-mask", () => void this.saving.download("the mask", () => this.saving.mask(this.opened())));
    click("save-all", () => void this.saveAll());
    click("load-mask", () => element("mask-input", HTMLInputElement).click());
    click("clear", () => this.clearMask());
    click("find-damage", () => void this.damageSearch.toggle());
    click("fill", () => (this.filling.busy ? this.filling.stop() : void this.filling.fill()));
    element("history-menu", HTMLElement).addEventListener("beforetoggle", () => {
      if (!this.session) return;
      showHistory(this.session.image, (position) => {
        element("history-menu", HTMLElement).hidePopover();
        this.travelTo(position);
      });
    });
    const keep = element("keep-work", HTMLInputElement);
    keep.checked = this.settings.keepWork;
    keep.addEventListener("change", () => {
      this.settings.keepWork = keep.checked;
      saveSettings(this.settings);
      if (!keep.checked) void this.workStore.forget();
    });
    this.host.addEventListener("blur", () => this.session?.drawing.hideCrosshair());
    window.addEventListener("beforeunload", (event) => {
      if (this.unsaved) event.preventDefault();
    });
  }
}
