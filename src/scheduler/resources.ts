// What of the named resources is free: what there is, less what live attempts hold. Built anew for each plan from these
// two, so that it can be wrong about nothing that lives. Indexes are handed out lowest first.
import { type Amount, type Holdings, type Resources } from '../protocol/resources.ts';

/** What a task asks for. Tasks that ask for the same have the same `key`. */
export interface Request {
  readonly key: string;
  readonly parts: readonly (Amount & { name: string })[];
}

/** As a request; undefined if it asks for nothing. */
export function requestOf(amounts: Resources): Request | undefined {
  if (amounts.size === 0) return undefined;
  const sorted = [...amounts].sort(([a], [b]) => (a < b ? -1 : 1));
  const key = sorted.map(([name, { unit, n }]) => `${name}=${n}${unit === 'bytes' ? 'B' : ''}`).join(' ');
  return { key, parts: sorted.map(([name, amount]) => ({ name, ...amount })) };
}

interface Pool {
  readonly unit: Amount['unit'];
  readonly total: number;
  /** Indexes that are held, those beyond the total too: it may have been more. */
  readonly held: Set<number>;
  /** Pieces or bytes that may be handed out. Less than 0 where there was more once. */
  free: number;
}

export class Pools {
  private readonly pools = new Map<string, Pool>();

  constructor(supply: Resources, holders: Iterable<Holdings>) {
    for (const [name, { unit, n }] of supply) this.pools.set(name, { unit, total: n, held: new Set(), free: n });
    for (const holdings of holders) for (const [name, held] of holdings) this.note(name, held);
  }

  private note(name: string, held: readonly number[] | number): void {
    const pool = this.pools.get(name);
    if (pool === undefined || (pool.unit === 'bytes') !== (typeof held === 'number')) return;
    pool.free -= typeof held === 'number' ? held : held.length;
    if (typeof held !== 'number') for (const index of held) pool.held.add(index);
  }

  /** True if all that is asked for is free. */
  fits(request: Request | undefined): boolean {
    if (request === undefined) return true;
    for (const { name, unit, n } of request.parts) {
      const pool = this.pools.get(name);
      if (pool === undefined || pool.unit !== unit || pool.free < n) return false;
    }
    return true;
  }

  /** True if it fits once nothing else is held. */
  canEverFit({ parts }: Request): boolean {
    return parts.every(({ name, unit, n }) => {
      const pool = this.pools.get(name);
      return pool !== undefined && pool.unit === unit && pool.total >= n;
    });
  }

  /** The resources of which less is free than is asked for. */
  lacking({ parts }: Request): Lack[] {
    const lacks: Lack[] = [];
    for (const { name, ...asked } of parts) {
      const pool = this.pools.get(name);
      const free = pool?.unit === asked.unit ? Math.max(0, pool.free) : 0;
      if (free < asked.n) lacks.push({ name, asked, free, total: pool?.unit === asked.unit ? pool.total : 0 });
    }
    return lacks;
  }

  /** Hands out what is asked for; it must fit. */
  take({ parts }: Request): Holdings {
    const holdings = new Map<string, readonly number[] | number>();
    for (const { name, n } of parts) {
      const pool = this.pools.get(name);
      if (pool === undefined) continue;
      pool.free -= n;
      holdings.set(name, pool.unit === 'bytes' ? n : lowestFree(pool, n));
    }
    return holdings;
  }

  /** Keeps so much from being handed out; `release` gives it back. */
  keep(request: Request): void {
    this.shift(request, -1);
  }

  release(request: Request): void {
    this.shift(request, 1);
  }

  private shift({ parts }: Request, sign: 1 | -1): void {
    for (const { name, n } of parts) {
      const pool = this.pools.get(name);
      if (pool !== undefined) pool.free += sign * n;
    }
  }
}

/** Of a resource, less is free than is asked for. */
export interface Lack {
  name: string;
  asked: Amount;
  /** Pieces or bytes. */
  free: number;
  /** 0: there is no such resource now. */
  total: number;
}

function lowestFree(pool: Pool, n: number): number[] {
  const indexes: number[] = [];
  for (let index = 0; index < pool.total && indexes.length < n; index++) {
    if (pool.held.has(index)) continue;
    pool.held.add(index);
    indexes.push(index);
  }
  return indexes;
}
