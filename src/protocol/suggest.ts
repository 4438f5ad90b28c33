// The right word for a wrong one: by meaning (what other tools call it), by spelling (`killAfter`), then by letters.

/** What other tools call a key → its name here, or a whole sentence made from the value that was given. */
export type Meanings = Readonly<Record<string, string | ((value: unknown) => string)>>;

export interface Vocabulary {
  known: readonly string[];
  meanings: Meanings;
  /** Keys that a later version brings. */
  later: readonly string[];
}

/** What to say about a key that is not known. */
export function unknownKey(key: string, value: unknown, { known, meanings, later }: Vocabulary): string {
  const plain = snake(key);
  if (later.includes(key)) return 'this version of spoold does not have it yet';
  if (plain !== key && known.includes(plain)) return `there is no such key; it is written "${plain}"`;
  const meant = Object.hasOwn(meanings, plain) ? meanings[plain] : undefined;
  if (typeof meant === 'function') return `there is no such key; ${meant(value)}`;
  if (meant !== undefined) return `there is no such key; it is called "${meant}" here`;
  const near = closest(plain, known);
  if (near !== undefined) return `there is no such key; did you mean "${near}"?`;
  return `there is no such key; the keys are ${known.filter((k) => k !== '$schema').join(', ')}`;
}

/** `killAfter`, `kill-after`, `KILL_AFTER` → `kill_after`. */
function snake(key: string): string {
  return key
    .slice(0, 60)
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[-\s]+/g, '_')
    .toLowerCase();
}

/**
 * The candidate that `word` most likely is a slip of, or undefined if none is near. Ties: the earlier one. One wrong letter
 * of one or two leaves nothing to go by, and another number is another thing: `b` is no slip of `a`, nor `t8` of `t7`.
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > LONGEST) return undefined;
  const limit = Math.floor(word.length / 3);
  const skeleton = withoutNumbers(word);
  let best: string | undefined;
  let least = limit + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= least) continue;
    const d = distance(word.toLowerCase(), candidate.toLowerCase());
    if (d < least && (d === 0 || withoutNumbers(candidate) !== skeleton)) [best, least] = [candidate, d];
  }
  return best;
}

/** Nobody mistypes a longer word, and to compare two takes the product of their lengths. */
const LONGEST = 200;

/** `part-12` → `part-#`. */
function withoutNumbers(word: string): string {
  return word.replaceAll(/\d+/g, '#');
}

/** Edits between two words: a letter more, less, other, or two swapped. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}
