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

/** A binary heap: `push` and `pop` in O(log n). */
export class Heap<T> {
  private readonly items: T[] = [];
  private readonly compare: (a: T, b: T) => number;
  constructor(compare: (a: T, b: T) => number) {
    this.compare = compare;
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
