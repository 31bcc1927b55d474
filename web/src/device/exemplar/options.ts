/** `wavepaint.fill.options.ExemplarOptions`, which says what each is for; the seed is an argument. */
export const EXEMPLAR_OPTIONS = {
  trust: 16,
  floor: 0.2,
  coherence: 0.5,
  uniformity: 2,
  starts: [3, 6, 9],
  searched: 100_000,
};
