/** Calls from a page to functions in its worker. */

import { FormatError } from "./bytes";

interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: unknown[];
}

type Answer = { readonly id: number } & ({ value: unknown } | { error: string; format: boolean });

type Functions = Record<string, (...args: never[]) => Promise<unknown>>;

/** A worker as seen from inside; TypeScript keeps that type in a library that excludes the page's. */
type Scope = Pick<Worker, "addEventListener" | "postMessage">;

export type Remote<T extends Functions> = {
  [Name in keyof T]: (...args: Parameters<T[Name]>) => ReturnType<T[Name]>;
};

/** In the worker: answer calls with these functions. Buffers of answers are moved, not copied. */
export function expose(scope: Scope, functions: Functions): void {
  scope.addEventListener("message", (event: MessageEvent<Call>) => {
    const { id, name, args } = event.data;
    functions[name](...(args as never[])).then(
      (value) => scope.postMessage({ id, value }, { transfer: buffersOf(value) }),
      (error: Error) => scope.postMessage({ id, error: error.message, format: error instanceof FormatError }),
    );
  });
}

/** In the page: the worker's functions. Buffers of samples are copied, so that arguments stay usable. */
export function remote<T extends Functions>(worker: Worker, names: readonly (keyof T & string)[]): Remote<T> {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let calls = 0;
  worker.addEventListener("message", (event: MessageEvent<Answer>) => {
    const answer = event.data;
    const promise = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ("value" in answer) promise?.resolve(answer.value);
    else promise?.reject(answer.format ? new FormatError(answer.error) : new Error(answer.error));
  });
  const call = (name: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = calls++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, name, args } satisfies Call);
    });
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => call(name, args)]),
  ) as unknown as Remote<T>;
}

/** The properties of answers that hold samples; metadata are small and may share a buffer. */
const SAMPLES = ["raster", "data", "holes"];

function buffersOf(value: unknown): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) return [value.buffer as ArrayBuffer];
  if (typeof value !== "object" || value === null) return [];
  return SAMPLES.flatMap((name) => buffersOf((value as Record<string, unknown>)[name]));
}
