import { afterEach, describe, expect, it, vi } from "vitest";
import { decodePng, encodePng } from "../src/codec/png";
import { FillError, type Filled, type Filler } from "../src/fill/filler";
import { fillPending } from "../src/fill/run";
import { Server } from "../src/fill/server";
import { ServerFiller } from "../src/fill/server_filler";
import { FILLED, PENDING } from "../src/image/marks";
import { EditedImage } from "../src/image/edited_image";
import type { Raster } from "../src/image/raster";
import { polygon, rectangle } from "../src/image/shapes";

const codec = { encodePng, readPng: async (bytes: Uint8Array<ArrayBuffer>) => (await decodePng(bytes)).raster };
const never = new AbortController().signal;
const URL_ = new URL("http://127.0.0.1/below/v1/inpaint");

const blank = (width: number, height: number): Raster => ({
  width,
  height,
  channels: 1,
  data: new Uint8Array(width * height).fill(100),
});

function painted(width: number, height: number, ...boxes: [number, number, number, number][]): EditedImage {
  const image = new EditedImage(blank(width, height));
  for (const [left, top, right, bottom] of boxes) {
    const stroke = image.stroke("hole");
    stroke.add(polygon(rectangle({ x: left, y: top }, { x: right, y: bottom })));
    stroke.finish();
  }
  return image;
}

/** An answer in no time. */
const at = (raster: Raster): Filled => ({ raster, seconds: 0 });

const run = (image: EditedImage, filler: Filler, signal = never): Promise<number> =>
  fillPending({
    image,
    filler,
    signal,
    seed: 0,
    progress: () => undefined,
    quiet: () => Promise.resolve(),
    pasted: () => undefined,
  });

describe("fillPending", () => {
  it("fills a hole larger than a region from the outside in, and all of it", async () => {
    const image = painted(4200, 3400, [40, 40, 4160, 3360]);
    const somethingKnown: boolean[] = [];
    const filler: Filler = {
      fill: async ({ image, mask }) => {
        somethingKnown.push(mask.includes(0));
        return at(image);
      },
    };
    const total = await run(image, filler);
    expect(total).toBeGreaterThan(4);
    expect(somethingKnown).toEqual(Array(total).fill(true));
    expect(image.hasPending).toBe(false);
    expect(image.holeAt(2100, 1700)).toBe(FILLED);
  });

  it("keeps what is done and leaves the rest pending when a request fails", async () => {
    const image = painted(4000, 400, [10, 10, 50, 50], [3900, 10, 3950, 50]);
    let calls = 0;
    const filler: Filler = {
      fill: ({ image }) => (calls++ ? Promise.reject(new FillError("out of order")) : Promise.resolve(at(image))),
    };
    await expect(run(image, filler)).rejects.toThrow("out of order");
    expect([image.holeAt(20, 20), image.holeAt(3920, 20)].sort()).toEqual([PENDING, FILLED]);
  });

  it("pastes nothing once it is stopped", async () => {
    const image = painted(400, 400, [10, 10, 50, 50]);
    const stop = new AbortController();
    const filler: Filler = {
      fill: async ({ image }) => {
        stop.abort();
        return at(image);
      },
    };
    await expect(run(image, filler, stop.signal)).rejects.toThrow();
    expect(image.holeAt(20, 20)).toBe(PENDING);
  });

  it("says so when the answer is another image", async () => {
    const image = painted(400, 400, [10, 10, 50, 50]);
    await expect(run(image, { fill: async () => at(blank(3, 3)) })).rejects.toThrow(
      "The answer does not fit: it is 3 × 3 pixels",
    );
  });
});

describe("ServerFiller", () => {
  afterEach(() => void vi.unstubAllGlobals());

  const request = { image: blank(6, 4), mask: new Uint8Array(24).fill(1, 3, 7) };
  const problem = (status: number, detail: string, headers = {}): Response =>
    new Response(JSON.stringify({ type: "about:blank", title: "Status", detail }), { status, headers });
  const answer = async (): Promise<Response> => new Response(await encodePng(blank(6, 4)));

  function serve(...answers: (() => Response | Promise<Response>)[]) {
    const fetch = vi.fn(async (_url: URL, _options: { body: FormData; headers: Record<string, string> }) => {
      const next = answers.shift();
      if (!next) throw new TypeError("no more answers");
      return next();
    });
    vi.stubGlobal("fetch", fetch);
    return fetch;
  }

  const filler = (askForToken = async (): Promise<string | null> => null): ServerFiller =>
    new ServerFiller(codec, new Server(askForToken, URL_));

  it("sends the region and the mask, white where the hole is, and reads the answer", async () => {
    const fetch = serve(answer);
    expect((await filler().fill(request, never)).raster).toEqual(blank(6, 4));
    const [url, { body, headers }] = fetch.mock.calls[0];
    expect(url).toBe(URL_);
    expect(headers).toEqual({});
    const file = async (name: string) => codec.readPng(new Uint8Array(await (body.get(name) as File).arrayBuffer()));
    expect(await file("image")).toEqual(request.image);
    expect((await file("mask")).data).toEqual(request.mask.map((hole) => 255 * hole));
    expect([body.get("exclude"), body.get("seed")]).toEqual([null, null]);
  });

  it("sends what not to copy from, and which result is asked for", async () => {
    const fetch = serve(answer);
    const exclude = request.mask.map((hole) => 1 - hole);
    await filler().fill({ ...request, exclude, seed: 3 }, never);
    const { body } = fetch.mock.calls[0][1];
    const bytes = new Uint8Array(await (body.get("exclude") as File).arrayBuffer());
    expect((await codec.readPng(bytes)).data).toEqual(exclude.map((mark) => 255 * mark));
    expect(body.get("seed")).toBe("3");
  });

  it("has an image converted by asking for nothing to be filled", async () => {
    const fetch = serve(answer);
    await filler().convert(new Blob(["tiff"]), "png");
    const { body } = fetch.mock.calls[0][1];
    expect([body.get("format"), body.get("resize_mask")]).toEqual(["png", "true"]);
    const mask = new Uint8Array(await (body.get("mask") as File).arrayBuffer());
    expect((await codec.readPng(mask)).data).toEqual(new Uint8Array(1));
  });

  it("shows the server's own words", async () => {
    serve(() => problem(422, "the mask covers the whole image"));
    await expect(filler().fill(request, never)).rejects.toThrow("The server says: the mask covers the whole image.");
    serve(() => new Response("<html>", { status: 502 }));
    await expect(filler().fill(request, never)).rejects.toThrow("The server answered with status 502.");
  });

  it("asks for a token until one is accepted, and remembers it", async () => {
    const fetch = serve(
      () => problem(401, "no"),
      () => problem(401, "wrong"),
      answer,
      answer,
    );
    const ask = vi.fn().mockResolvedValueOnce("first").mockResolvedValueOnce("second");
    const server = filler(ask);
    await server.fill(request, never);
    await server.fill(request, never);
    expect(ask.mock.calls).toEqual([[false], [true]]);
    expect(fetch.mock.calls.map(([, { headers }]) => headers.Authorization)).toEqual([
      undefined,
      "Bearer first",
      "Bearer second",
      "Bearer second",
    ]);
  });

  it("gives up when the user does", async () => {
    serve(() => problem(401, "no"));
    await expect(filler().fill(request, never)).rejects.toThrow("This server needs an access token.");
  });

  it("waits while the server is busy, but not for ever", async () => {
    const busy = (): Response => problem(429, "the queue is full", { "Retry-After": "0" });
    const fetch = serve(busy, busy, answer);
    const report = vi.fn();
    await filler().fill(request, never, report);
    expect(report.mock.calls).toEqual([[{ doing: "waiting", share: 0 }], [{ doing: "waiting", share: 0 }]]);
    expect(fetch).toHaveBeenCalledTimes(3);
    serve(busy, busy, busy, busy, busy, answer);
    await expect(filler().fill(request, never)).rejects.toThrow("the queue is full");
  });

  it("counts neither pauses nor the time in which a token is typed", async () => {
    const paused = (): Response => problem(429, "the queue is full", { "Retry-After": "0.3" });
    serve(() => problem(401, "no"), paused, answer);
    const ask = async (): Promise<string> => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return "token";
    };
    const started = performance.now();
    const { seconds } = await filler(ask).fill(request, never);
    const waited = (performance.now() - started) / 1000;
    expect(waited).toBeGreaterThan(0.55);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(waited - 0.55);
  });

  it("stops waiting when it is stopped", async () => {
    serve(() => problem(429, "busy", { "Retry-After": "10" }), answer);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 20);
    await expect(filler().fill(request, stop.signal)).rejects.toMatchObject({ name: "AbortError" });
  });

  it("says when nobody answers", async () => {
    serve();
    await expect(filler().fill(request, never)).rejects.toThrow("The server cannot be reached.");
  });
});
