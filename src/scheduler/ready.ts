// The tasks of a job that may start, by kind: tasks of one tier that ask for the same resources. Of a kind only the first
// is ever looked at, so that a plan costs as much as there are kinds, however many tasks wait; and tasks whose resource
// is not free stand in nobody's way. Entries that have become stale are dropped when they come first.
import { compareQueued, LiveHeap, type Queued } from './order.ts';
import type { Request } from './resources.ts';
import { tierOf } from './starvation.ts';

export interface Ready extends Queued {
  /** What it asks for; undefined: nothing. */
  request?: Request | undefined;
  /** Milliseconds since 1970 before which it was not to start; 0: none. */
  notBefore: number;
  /** It counts no more, wherever it lies still. */
  isStale: boolean;
}

/** False for an entry that was pushed, and counts no more. */
export function isLive(entry: Ready): boolean {
  return !entry.isStale;
}

/** Empty kinds beyond so many are forgotten, and with them when one of theirs last started. */
const EMPTY_KEPT = 1000;

export class Kind {
  readonly request: Request | undefined;
  /** Milliseconds since 1970: when one of it last started; 0: not known. */
  startedAt = 0;
  private readonly heap = new LiveHeap<Ready>(compareQueued, isLive);

  constructor(request: Request | undefined) {
    this.request = request;
  }

  push(entry: Ready): void {
    this.heap.push(entry);
  }

  /** The one that starts first, if there is one. */
  first(): Ready | undefined {
    return this.heap.first();
  }

  take(now: number): Ready | undefined {
    const first = this.heap.take();
    if (first !== undefined) this.startedAt = now;
    return first;
  }
}

export class ReadyTasks {
  private readonly kinds = new Map<string, Kind>();
  private limit = EMPTY_KEPT;

  push(entry: Ready): void {
    const tier = tierOf(entry.priority);
    const key = entry.request === undefined ? String(tier) : `${tier} ${entry.request.key}`;
    let kind = this.kinds.get(key);
    if (kind === undefined) {
      kind = new Kind(entry.request);
      this.kinds.set(key, kind);
    }
    kind.push(entry);
    if (this.kinds.size > this.limit) this.forgetEmpty();
  }

  /** All kinds: of some nothing may be left. */
  all(): Iterable<Kind> {
    return this.kinds.values();
  }

  private forgetEmpty(): void {
    for (const [key, kind] of this.kinds) if (kind.first() === undefined) this.kinds.delete(key);
    this.limit = EMPTY_KEPT + 2 * this.kinds.size;
  }
}
