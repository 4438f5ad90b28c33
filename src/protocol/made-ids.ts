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
    for (let n = this.next.get(base.toLowerCase()) ?? 1; ; n++) {
      const ending = n === 1 ? '' : `.${n}`;
      const id = base.slice(0, LONGEST - ending.length) + ending;
      if (this.given.has(id.toLowerCase()) || this.isTaken(id)) continue;
      this.given.add(id.toLowerCase());
      this.next.set(base.toLowerCase(), n + 1);
      return id;
    }
  }
}
