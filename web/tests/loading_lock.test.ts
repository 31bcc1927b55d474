import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { claim, load } from "../src/device/loading_lock";

type Task = (lock: object | null) => Promise<unknown>;

/** What a browser's lock manager does with one lock: shared by many or held by one, and nobody is skipped. */
class FakeLocks {
  private shared = 0;
  private exclusive = false;
  private waiting: (() => void)[] = [];

  async request(name: string, { mode, ifAvailable }: LockOptions, task: Task): Promise<unknown> {
    const sharing = mode === "shared";
    const free = (): boolean => !this.exclusive && (sharing || this.shared === 0);
    if (!free() && ifAvailable) return task(null);
    while (!free()) await new Promise<void>((resolve) => this.waiting.push(resolve));
    const hold = (by: number): void => {
      if (sharing) this.shared += by;
      else this.exclusive = by > 0;
    };
    hold(1);
    try {
      return await task({ name });
    } finally {
      hold(-1);
      this.waiting.splice(0).forEach((wake) => wake());
    }
  }
}

function task<T>(): { run: () => Promise<T>; started: () => boolean; end: (value: T) => void } {
  let end: (value: T) => void = () => undefined;
  const ended = new Promise<T>((resolve) => (end = resolve));
  let started = false;
  const run = (): Promise<T> => {
    started = true;
    return ended;
  };
  return { run, started: () => started, end };
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

afterEach(() => vi.unstubAllGlobals());

describe("where there are locks", () => {
  beforeEach(() => vi.stubGlobal("navigator", { locks: new FakeLocks() }));

  it("loads go on together, and nothing is claimed meanwhile", async () => {
    const [one, other, claiming] = [task<number>(), task<number>(), task<void>()];
    const loaded = [load(one.run), load(other.run)];
    await turn();
    expect([one.started(), other.started()]).toEqual([true, true]);
    one.end(1);
    expect(await claim(claiming.run)).toBe(false);
    expect(claiming.started()).toBe(false);
    other.end(2);
    expect(await Promise.all(loaded)).toEqual([1, 2]);
    claiming.end();
    expect(await claim(claiming.run)).toBe(true);
  });

  it("a load waits for a claim, whatever comes of it", async () => {
    const [loading, failing] = [task<number>(), task<void>()];
    const claimed = claim(() => failing.run().then(() => Promise.reject(new Error("no"))));
    const loaded = load(loading.run);
    await turn();
    expect(loading.started()).toBe(false);
    failing.end();
    await expect(claimed).rejects.toThrow("no");
    loading.end(3);
    expect(await loaded).toBe(3);
  });

  it("a load that fails is over", async () => {
    const broken = vi.fn(() => Promise.reject(new Error("broken")));
    await expect(load(broken)).rejects.toThrow("broken");
    expect(broken).toHaveBeenCalledOnce();
    expect(await claim(async () => undefined)).toBe(true);
  });
});

it("where locks are refused both are done at once, and fail only as they do themselves", async () => {
  const request = (): Promise<never> => Promise.reject(new DOMException("The request was denied.", "SecurityError"));
  vi.stubGlobal("navigator", { locks: { request } });
  expect(await load(async () => 5)).toBe(5);
  expect(await claim(async () => undefined)).toBe(true);
  let times = 0;
  const broken = async (): Promise<never> => {
    times++;
    throw new Error("broken");
  };
  await expect(load(broken)).rejects.toThrow("broken");
  await expect(claim(broken)).rejects.toThrow("broken");
  expect(times).toBe(2);
});

it("without locks both are done at once", async () => {
  vi.stubGlobal("navigator", {});
  expect(await load(async () => 4)).toBe(4);
  expect(await claim(async () => undefined)).toBe(true);
});
