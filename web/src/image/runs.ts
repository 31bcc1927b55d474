/** Call `use` with every longest run of positions below `length` for which `belongs` holds. */
export function eachRun(
  length: number,
  belongs: (at: number) => boolean,
  use: (first: number, behind: number) => void,
): void {
  let first = 0;
  for (let at = 0; at <= length; at++) {
    if (at < length && belongs(at)) continue;
    if (at > first) use(first, at);
    first = at + 1;
  }
}
