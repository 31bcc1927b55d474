/** Call `use` with every longest run of positions below `length` that are `wanted`. */
export function eachRun(
  length: number,
  wanted: (at: number) => boolean,
  use: (first: number, behind: number) => void,
): void {
  let first = 0;
  for (let at = 0; at <= length; at++) {
    if (at < length && wanted(at)) continue;
    if (at > first) use(first, at);
    first = at + 1;
  }
}
