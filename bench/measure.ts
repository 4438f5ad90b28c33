// From the values of several rounds to a verdict: pure arithmetic. A must is judged only where the rounds agree: at least
// three of them, and three quarters on the same side of it. Otherwise the answer is that it cannot be told.

/** What a figure must reach, in the figure's own unit. */
export type Must = { atLeast: number } | { atMost: number };

export type Verdict = 'met' | 'missed' | 'spread too wide to judge' | 'too few rounds to judge';

export interface Spread {
  median: number;
  lowest: number;
  highest: number;
}

const ROUNDS_TO_JUDGE = 3;
const SHARE_THAT_AGREES = 0.75;

/** The value below which a share `p` (0 to 1) of the values lies, by linear interpolation. NaN of none. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = p * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below === above ? below : below + (above - below) * (place - Math.floor(place));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), lowest: Math.min(...values), highest: Math.max(...values) };
}

/** Round by round: a machine whose speed drifts drifts for both. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN));
}

export function meets(value: number, must: Must): boolean {
  return 'atLeast' in must ? value >= must.atLeast : value <= must.atMost;
}

export function judge(values: readonly number[], must: Must): Verdict {
  if (values.length < ROUNDS_TO_JUDGE) return 'too few rounds to judge';
  const share = values.filter((value) => meets(value, must)).length / values.length;
  if (share >= SHARE_THAT_AGREES) return 'met';
  return share <= 1 - SHARE_THAT_AGREES ? 'missed' : 'spread too wide to judge';
}
