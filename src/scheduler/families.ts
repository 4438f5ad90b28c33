// What each family has come to, and who waits for it. A family is a task and all that it queued; a dependency is on the
// family of the task it names. Members are counted in and out; dependents are told only when the family's standing
// changes, so that one of 50,000 children that ends costs two counts.

export type Standing = 'unfinished' | 'failed' | 'succeeded' | 'unknown';

interface Family {
  /** Members besides its root that are unfinished. */
  unfinished: number;
  /** Members besides its root that ended, and not well. */
  unsuccessful: Set<string> | undefined;
  /** All that is known of what its root queued, to any depth; who stands between may have succeeded. */
  descendants: Set<string> | undefined;
  dependents: Set<string> | undefined;
  /** As its dependents were told; undefined where there are none. */
  standing: Standing | undefined;
}

/** A dependent learns that a family it waits for stands otherwise now. */
export type Tell = (dependent: string, dependency: string, to: Standing, from: Standing | undefined) => void;

/** Each is a look at the disk. */
const UNHEARD_AT_ONCE = 5_000;

export class Families {
  private readonly families = new Map<string, Family>();
  /** Ids that somebody waits for and nobody has heard of: one may turn up in succeeded/ unseen. */
  private readonly unheard = new Set<string>();
  /** How far they have been looked for. */
  private unheardTurn: IterableIterator<string> | undefined;
  private readonly standingOfRoot: (id: string) => Standing;
  private readonly tell: Tell;

  /** `standingOfRoot` says how a task itself stands: most are a family of one, of which nothing is kept here. */
  constructor(standingOfRoot: (id: string) => Standing, tell: Tell) {
    this.standingOfRoot = standingOfRoot;
    this.tell = tell;
  }

  unfinishedIn(root: string): number {
    return (this.families.get(root)?.unfinished ?? 0) + (this.standingOfRoot(root) === 'unfinished' ? 1 : 0);
  }

  descendantsOf(root: string): Iterable<string> {
    return this.membersOf(root) ?? [];
  }

  /** As `descendantsOf`; undefined if there are none. */
  membersOf(root: string): Iterable<string> | undefined {
    return this.families.get(root)?.descendants;
  }

  dependentsOf(root: string): Iterable<string> {
    return this.families.get(root)?.dependents ?? [];
  }

  hasDependents(root: string): boolean {
    return this.families.get(root)?.dependents !== undefined;
  }

  /** A member that ended, and not well. */
  unsuccessfulIn(root: string): string | undefined {
    if (this.standingOfRoot(root) === 'failed') return root;
    return this.families.get(root)?.unsuccessful?.values().next().value;
  }

  /** Counts a member in. Its dependents are told by `review`, once all that changed at the time is counted. */
  join(root: string, member: string, isUnfinished: boolean): void {
    const family = this.open(root);
    if (isUnfinished) family.unfinished += 1;
    else (family.unsuccessful ??= new Set()).add(member);
  }

  quit(root: string, member: string, isUnfinished: boolean): void {
    const family = this.families.get(root);
    if (family === undefined) return;
    if (isUnfinished) family.unfinished -= 1;
    else if (family.unsuccessful?.delete(member) && family.unsuccessful.size === 0) family.unsuccessful = undefined;
  }

  addDescendant(root: string, id: string): void {
    (this.open(root).descendants ??= new Set()).add(id);
  }

  removeDescendant(root: string, id: string): void {
    const family = this.families.get(root);
    if (family?.descendants?.delete(id) && family.descendants.size === 0) family.descendants = undefined;
  }

  /** From now on a task waits for this family. It is told at once how that stands, unless it knows. */
  addDependent(root: string, id: string): void {
    const family = this.open(root);
    family.dependents ??= new Set();
    if (family.dependents.has(id)) return;
    family.dependents.add(id);
    if (family.standing === undefined) this.note(root, family, this.judge(root, family));
    this.tell(id, root, family.standing as Standing, undefined);
  }

  removeDependent(root: string, id: string): void {
    const family = this.families.get(root);
    if (!family?.dependents?.delete(id) || family.dependents.size > 0) return;
    family.dependents = undefined;
    family.standing = undefined;
    this.unheard.delete(root);
    this.close(root, family);
  }

  /** Tells the dependents if the family stands otherwise than they know. `hasSucceeded`: its root is known to lie in succeeded/. */
  review(root: string, hasSucceeded = false): boolean {
    const family = this.families.get(root);
    if (family?.dependents === undefined) {
      if (family !== undefined) this.close(root, family);
      return false;
    }
    const from = family.standing;
    const to = this.judge(root, family, hasSucceeded);
    if (to === from) return false;
    this.note(root, family, to);
    for (const dependent of family.dependents) this.tell(dependent, root, to, from);
    return true;
  }

  /** How a family stands, looked at afresh. */
  standingOf(root: string): Standing {
    this.review(root);
    const family = this.families.get(root);
    return family?.standing ?? this.judge(root, family);
  }

  /** Looks again for some of those that nobody has heard of, in turn. True if one of them has turned up. */
  reviewUnheard(): boolean {
    let changed = false;
    for (let left = UNHEARD_AT_ONCE; left > 0; left--) {
      this.unheardTurn ??= this.unheard.values();
      const next = this.unheardTurn.next();
      if (next.done === true) {
        this.unheardTurn = undefined;
        break;
      }
      changed = this.review(next.value) || changed;
    }
    return changed;
  }

  private judge(root: string, family: Family | undefined, hasSucceeded = false): Standing {
    const own = hasSucceeded ? 'succeeded' : this.standingOfRoot(root);
    if (own === 'unfinished' || (family !== undefined && family.unfinished > 0)) return 'unfinished';
    return family?.unsuccessful === undefined ? own : 'failed';
  }

  private note(root: string, family: Family, standing: Standing): void {
    family.standing = standing;
    if (standing === 'unknown') this.unheard.add(root);
    else this.unheard.delete(root);
  }

  private open(root: string): Family {
    let family = this.families.get(root);
    if (family === undefined) {
      family = {
        unfinished: 0,
        unsuccessful: undefined,
        descendants: undefined,
        dependents: undefined,
        standing: undefined,
      };
      this.families.set(root, family);
    }
    return family;
  }

  /** Forgets a family of which nothing is known and that nobody waits for. */
  private close(root: string, { unfinished, unsuccessful, descendants, dependents }: Family): void {
    if (unfinished === 0 && (unsuccessful ?? descendants ?? dependents) === undefined) this.families.delete(root);
  }
}
