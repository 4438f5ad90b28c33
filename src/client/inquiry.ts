// One question about one job: what is read for the answer is read once, and each task is told about once, however many
// others lead to it. Ids are looked up by name; folders are listed only for what no name leads to.
import { namesIn } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { compareNatural, isName } from '../protocol/names.ts';
import { closest } from '../protocol/suggest.ts';
import { heldId, isHeldName, stateOf } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { movedAt } from './attempts.ts';
import type { Cause, Why } from './causes.ts';
import { Families } from './families.ts';
import type { Found } from './find.ts';
import type { Live } from './shares.ts';

/** Tasks told about in one answer; the rest is named. */
const MOST_TOLD = 1_000;
/** To find what a wrong id is a slip of takes a comparison with each id there is: for so many wrong ones, among so many. */
const MOST_GUESSES = 10;
const MOST_COMPARED = 10_000;

export class Inquiry {
  readonly layout: Layout;
  readonly name: string;
  readonly job: JobLayout;
  /** Milliseconds since 1970. */
  readonly now = wallClock();
  readonly families: Families;
  /** What keeps all of the job, and the limits that are reached, once somebody has asked. */
  everywhere: Cause[] | undefined;
  full: Cause[] | undefined;
  live: Live[] | undefined;
  private readonly all = new Map<string, Why>();
  private readonly open: Why[] = [];
  private readonly askers = new Map<string, string>();
  private taken = 0;
  private heldNames: Map<string, string> | undefined;
  private ids: string[] | undefined;
  private guesses = 0;

  constructor(layout: Layout, name: string) {
    this.layout = layout;
    this.name = name;
    this.job = layout.job(name);
    this.families = new Families(this.job);
  }

  /** A task to be told about: without causes yet, and cut if there is nothing to add. `asker`: the one that names it. */
  begin(id: string, asker?: string): Why {
    if (this.all.has(id)) return { ...this.named(id), cut: 'told already' };
    if (this.all.size >= MOST_TOLD) return this.named(id);
    const { cut: _, ...why } = this.named(id);
    this.all.set(id, why);
    this.open.push(why);
    if (asker !== undefined) this.askers.set(id, asker);
    return why;
  }

  /** A task that is named, and not told about. */
  named(id: string): Why {
    const state = this.stateOf(id) ?? 'unknown';
    const at = state === 'unknown' ? undefined : movedAt(this.pathOf(id, state));
    const since = at === undefined ? null : new Date(at).toISOString();
    return { task: id, state, since, causes: [], cut: 'too deep' };
  }

  /** One that was begun, and whose causes are not found yet; the first of them first. */
  next(): Why | undefined {
    const why = this.open[this.taken];
    if (why !== undefined) this.taken += 1;
    return why;
  }

  /** What was told of a task, if it was. */
  told(id: string): Why | undefined {
    return this.all.get(id);
  }

  /** Ids that are held back. */
  heldIds(): string[] {
    this.heldAs('');
    return [...(this.heldNames?.keys() ?? [])].sort(compareNatural);
  }

  /** Where a task lies. */
  stateOf(id: string): Found | undefined {
    return stateOf(this.job, id) ?? (this.heldAs(id) === undefined ? undefined : 'held');
  }

  pathOf(id: string, state: Found): string {
    return state === 'held' ? `${this.job.folder('pending')}/${this.heldAs(id)}` : this.job.task(state, id);
  }

  /** The id that a wrong one is most likely a slip of, not the one that names it; what has succeeded is not looked through. For the first few. */
  similarTo(id: string): string | null {
    if (++this.guesses > MOST_GUESSES) return null;
    this.ids ??= (['running', 'pending', 'failed', 'cancelled', 'skipped', 'rejected'] as const)
      .flatMap((state) => idsIn(this.job.folder(state)))
      .slice(0, MOST_COMPARED)
      .filter(isName);
    const asker = this.askers.get(id);
    const others = this.ids.filter((other) => other !== asker);
    return closest(id, others) ?? null;
  }

  private heldAs(id: string): string | undefined {
    this.heldNames ??= new Map(
      namesIn(this.job.folder('pending'))
        .filter(isHeldName)
        .map((name) => [heldId(name), name]),
    );
    return this.heldNames.get(id);
  }
}
