import { clamp } from "../geometry";
import { element } from "./dom";
import { type Settings, saveSettings } from "./settings";
import { TOOLS, type ToolName, type ToolOptions } from "./tools";

/** Of the brush, in pixels of the image. */
const MAX_BRUSH = 2000;
const THEMES = ["auto", "light", "dark"] as const;
/** Settings that a switch turns on and off, by the switch's id. */
const SWITCHES = { auto: "fillOnRelease", everywhere: "everywhere", "single-keys": "singleKeys" } as const;

export interface ControlsHost {
  /** CSS pixels of a pixel of the image when it is fitted. */
  readonly fittedScale: number;
  toolChosen(): void;
  brushResized(): void;
  say(text: string): void;
}

/** The tools, the brush and the other settings, each with what shows it. */
export class Controls {
  tool: ToolName = "brush";
  brushSize = 40;
  private readonly slider = element("brush-size", HTMLInputElement);
  private readonly number = element("brush-pixels", HTMLInputElement);

  constructor(
    readonly settings: Settings,
    private readonly host: ControlsHost,
  ) {
    for (const tool of TOOLS) {
      element(`tool-${tool}`, HTMLInputElement).addEventListener("change", () => this.choose(tool));
    }
    this.slider.addEventListener("input", () => this.setBrush(MAX_BRUSH ** (this.slider.valueAsNumber / 100)));
    this.number.addEventListener("change", () => this.setBrush(this.number.valueAsNumber || this.brushSize));
    this.number.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.number.blur(); // keys belong to the image again
    });
    this.number.max = String(MAX_BRUSH);
    for (const [id, name] of Object.entries(SWITCHES)) this.bindSwitch(id, name);
    for (const name of ["grow", "tolerance"] as const) this.bindNumber(name);
    element("theme", HTMLButtonElement).addEventListener("click", () => {
      settings.theme = THEMES[(THEMES.indexOf(settings.theme) + 1) % THEMES.length];
      this.applyTheme();
      this.host.say(`Colours: ${settings.theme}.`);
    });
    this.applyTheme();
  }

  get toolOptions(): ToolOptions {
    return this.settings;
  }

  choose(tool: ToolName): void {
    this.tool = tool;
    element(`tool-${tool}`, HTMLInputElement).checked = true;
    document.body.dataset.tool = tool;
    this.host.toolChosen();
  }

  /** Set the brush's diameter in pixels of the image, and show it. */
  setBrush(pixels: number): void {
    this.showBrush(pixels);
    this.settings.brushSize = this.brushSize * this.host.fittedScale;
    saveSettings(this.settings);
    this.host.brushResized();
  }

  private showBrush(pixels: number): void {
    this.brushSize = clamp(Math.round(pixels), 1, MAX_BRUSH);
    this.slider.valueAsNumber = (100 * Math.log(this.brushSize)) / Math.log(MAX_BRUSH);
    this.slider.setAttribute("aria-valuetext", `${this.brushSize} pixels`);
    this.number.valueAsNumber = this.brushSize;
  }

  /** By a factor, and by at least a pixel. */
  resizeBrush(factor: number): void {
    const size = this.brushSize * factor;
    this.setBrush(factor > 1 ? Math.max(size, this.brushSize + 1) : Math.min(size, this.brushSize - 1));
  }

  /** Give the brush the size on the screen that it had with the last image. */
  fitBrush(): void {
    this.showBrush(this.settings.brushSize / this.host.fittedScale);
  }

  private bindSwitch(id: string, name: (typeof SWITCHES)[keyof typeof SWITCHES]): void {
    const input = element(id, HTMLInputElement);
    input.checked = this.settings[name];
    input.addEventListener("change", () => {
      this.settings[name] = input.checked;
      saveSettings(this.settings);
    });
  }

  private bindNumber(name: "grow" | "tolerance"): void {
    const input = element(name, HTMLInputElement);
    const show = (): void => {
      const words = name === "grow" ? growWords(this.settings.grow) : String(this.settings.tolerance);
      element(`${name}-label`, HTMLElement).textContent = words;
      input.setAttribute("aria-valuetext", words);
    };
    input.valueAsNumber = this.settings[name];
    show();
    input.addEventListener("input", () => {
      this.settings[name] = input.valueAsNumber;
      saveSettings(this.settings);
      show();
    });
  }

  private applyTheme(): void {
    const { theme } = this.settings;
    document.documentElement.dataset.theme = theme;
    element("theme", HTMLButtonElement).setAttribute("aria-label", `Colours: ${theme}`);
    saveSettings(this.settings);
  }
}

const growWords = (pixels: number): string =>
  pixels === 0 ? "as drawn" : `${Math.abs(pixels)} px ${pixels > 0 ? "larger" : "smaller"}`;
