import type { Point } from "../geometry";

/** What pointers, wheels and fingers ask for. Points are CSS pixels in the element. */
export interface PointerHandlers {
  /** Whether a drag that starts now moves the image instead of drawing. */
  pans(): boolean;
  /** `straight`: in a straight line from where the last stroke ended. */
  begin(point: Point, pressure: number, straight: boolean): void;
  /** All positions since the last call, oldest first. */
  draw(points: readonly { point: Point; pressure: number }[]): void;
  end(): void;
  cancel(): void;
  hover(point: Point | null, pointerType: string, straight?: boolean): void;
  pan(dx: number, dy: number): void;
  zoom(at: Point, factor: number): void;
  /** Make the brush larger by this factor. */
  resize(factor: number): void;
}

type Mode = "idle" | "draw" | "pan" | "pinch";

const PRIMARY = 0;
const MIDDLE = 1;
/** Zoom factor per wheel pixel; a mouse's wheel makes about 100 of them a notch, which so zooms by 1.2. */
const WHEEL_ZOOM = 1.2 ** (1 / 100);
const PINCH_ZOOM = 1.01;
/** Trackpads report a pinch as a wheel with Ctrl held, in smaller steps than a mouse's wheel makes. */
const NOTCH = 50;
const LINE_HEIGHT = 33;

/** Turn an element's pointer, touch and wheel events into drawing, panning and zooming. */
export function listenToPointers(element: HTMLElement, handlers: PointerHandlers): void {
  const pointers = new Map<number, Point>();
  let mode: Mode = "idle";

  const at = (event: MouseEvent): Point => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== PRIMARY && event.button !== MIDDLE) return;
    event.preventDefault();
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    if (pointers.size > 1) {
      if (mode === "draw") handlers.cancel();
      mode = "pinch";
    } else if (event.button === MIDDLE || handlers.pans()) {
      mode = "pan";
    } else {
      mode = "draw";
      handlers.begin(at(event), pressureOf(event), event.shiftKey);
    }
  });

  element.addEventListener("pointermove", (event) => {
    handlers.hover(at(event), event.pointerType, event.shiftKey);
    const previous = pointers.get(event.pointerId);
    if (!previous) return;
    const point = at(event);
    if (mode === "draw") {
      const events = event.getCoalescedEvents?.() ?? [];
      handlers.draw(
        (events.length ? events : [event]).map((each) => ({ point: at(each), pressure: pressureOf(each) })),
      );
    } else if (mode === "pan") {
      handlers.pan(point.x - previous.x, point.y - previous.y);
    } else if (mode === "pinch") {
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, other]) => other);
      if (others.length === 1) pinch(others[0], previous, point);
    }
    pointers.set(event.pointerId, point);
  });

  const pinch = (still: Point, from: Point, to: Point): void => {
    const distance = (point: Point): number => Math.max(1, Math.hypot(point.x - still.x, point.y - still.y));
    // One of two fingers moved: their middle moves half as far.
    handlers.pan((to.x - from.x) / 2, (to.y - from.y) / 2);
    handlers.zoom({ x: (still.x + to.x) / 2, y: (still.y + to.y) / 2 }, distance(to) / distance(from));
  };

  const release = (event: PointerEvent): void => {
    if (!pointers.delete(event.pointerId)) return;
    if (mode === "draw") {
      if (event.type === "pointerup") handlers.end();
      else handlers.cancel();
    }
    if (pointers.size === 0 || mode === "draw") mode = "idle";
    if (event.pointerType !== "mouse") handlers.hover(null, event.pointerType);
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);
  element.addEventListener("pointerleave", (event) => handlers.hover(null, event.pointerType));

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_HEIGHT : 1;
      const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
      if (event.altKey) handlers.resize(WHEEL_ZOOM ** -(dx || dy));
      else if (event.ctrlKey) handlers.zoom(at(event), (Math.abs(dy) < NOTCH ? PINCH_ZOOM : WHEEL_ZOOM) ** -dy);
      else if (event.shiftKey) handlers.pan(-(dx || dy), 0);
      else if (Math.abs(dx) > Math.abs(dy)) handlers.pan(-dx, 0);
      else handlers.zoom(at(event), WHEEL_ZOOM ** -dy);
    },
    { passive: false },
  );
}

/** Pressure from 0 to 1; 1 for everything that cannot feel it. */
const pressureOf = (event: PointerEvent): number => (event.pointerType === "pen" ? event.pressure : 1);
