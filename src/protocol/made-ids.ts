// Ids of tasks that are made from what they work on: text in, a name that is allowed and that no other has out. What is not
// allowed in a name becomes `-`; a name that is taken, or differs from another only in case, gets `.2`, `.3` and so on.

const LONGEST = 100;
/** What is looked at of a text: trimming a million dashes would take a while. */
const LOOKED_AT = 1000;

/** `data/Ärger 1.csv` → `data-rger-1.csv`; may be empty. */
export function idPart(text: string): string {
  return text
    .slice(0, LOOKED_AT)
    .replaceAll(/[^A-Za-z0-9._=+@:-]+/g, '-')
    .replaceAll(/^[^A-Za-z0-9]+|-+$/g, '');
}

export class MadeIds {
  private readonly isTaken: (id: string) => boolean;
  private readonly given = new Set<string>();
  private readonly next = new Map<string, number>();

  /** `isTaken`: by others than those made here. */
  constructor(isTaken: (id: string) => boolean) {
    this.isTaken = isTaken;
  }

  /** An id of its own that is `wanted`, which must begin as a name does, or begins like it. */
  take(wanted: string): string {
    const base = wanted.slice(0, LONGEST);
    if (this.give(base)) return base;
    for (let digits = 1; ; digits++) {
      // What begins alike counts on together: cut to the same length, different bases have the same numbers taken.
      const stem = base.slice(0, LONGEST - 1 - digits);
      const key = `${digits} ${stem.toLowerCase()}`;
      const end = 10 ** digits;
      let n = this.next.get(key) ?? Math.max(2, end / 10);
      while (n < end && !this.give(`${stem}.${n}`)) n += 1;
      this.next.set(key, n + 1);
      if (n < end) return `${stem}.${n}`;
    }
  }

  private give(id: string): boolean {
    if (this.given.has(id.toLowerCase()) || this.isTaken(id)) return false;
    this.given.add(id.toLowerCase());
    return true;
  }
}
