// Which ready task comes first within a job: priority, then age, then id as people sort. A binary heap
// (Williams 1964, "Algorithm 232: Heapsort"); what is no longer ready is dropped when it comes to the top.
import { compareNatural } from '../protocol/names.ts';

export interface Queued {
  id: string;
  /** Higher first. */
  priority: number;
  /** Milliseconds since 1970; older first. */
  queuedAt: number;
}

/** Negative if `a` goes first. Total: two different ids never compare as equal. */
export function compareQueued(a: Queued, b: Queued): number {
  return b.priority - a.priority || a.queuedAt - b.queuedAt || compareNatural(a.id, b.id);
}

/** Stale entries beyond so many, and beyond as many as were live, are swept out. */
const STALE_KEPT = 64;

/** A heap of entries that may go stale unseen: they are dropped when they come first, and when they have become many. */
export class LiveHeap<T> {
  private heap: Heap<T>;
  private limit = STALE_KEPT;
  private readonly compare: (a: T, b: T) => number;
  private readonly isLive: (item: T) => boolean;

  constructor(compare: (a: T, b: T) => number, isLive: (item: T) => boolean) {
    this.compare = compare;
    this.isLive = isLive;
    this.heap = new Heap(compare);
  }

  get size(): number {
    return this.heap.size;
  }

  push(item: T): void {
    this.heap.push(item);
    if (this.heap.size <= this.limit) return;
    this.heap = new Heap(this.compare, this.heap.items.filter(this.isLive));
    this.limit = STALE_KEPT + 2 * this.heap.size;
  }

  first(): T | undefined {
    for (let top = this.heap.peek(); top !== undefined; top = this.heap.peek()) {
      if (this.isLive(top)) return top;
      this.heap.pop();
    }
    return undefined;
  }

  take(): T | undefined {
    return this.first() === undefined ? undefined : this.heap.pop();
  }
}

/** A binary heap: `push` and `pop` in O(log n). */
export class Heap<T> {
  readonly items: T[];
  private readonly compare: (a: T, b: T) => number;
  constructor(compare: (a: T, b: T) => number, items: readonly T[] = []) {
    this.compare = compare;
    this.items = [...items].sort(compare); // in order, it is a heap
  }

  get size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  push(item: T): void {
    const items = this.items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.compare(items[parent] as T, item) <= 0) break;
      items[at] = items[parent] as T;
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.compare(items[child + 1] as T, items[child] as T) < 0) child += 1;
      if (this.compare(last, items[child] as T) <= 0) break;
      items[at] = items[child] as T;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
