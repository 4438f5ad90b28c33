// Arrays of tasks are read, checked as a whole and published by workers (spread-worker.ts), away from the event loop: two
// at a time, the others in line. A worker tells what it did in one message; one that dies has told nothing, and what it
// published is found again by whoever has the array spread once more.
import { Worker } from 'node:worker_threads';
import { errnoOf } from '../errors.ts';
import type { Resources } from '../protocol/resources.ts';
import type { World } from './world.ts';

/** Each takes memory and descriptors. */
const MOST_WORKERS = 2;

/** What a running task that dropped an array gives to each task in it. */
export interface Family {
  parent: string;
  ancestors: string[];
  /** How many more it may queue, and what is said if the array has more. */
  most: number;
  tooMany: string;
  /** What requests are held against. */
  supply: Resources;
}

export interface SpreadOrder {
  path: string;
  /** What it is renamed to before its first task appears; undefined: it stays where it is. */
  taken?: string;
  jobRoot: string;
  /** Whose files are read; undefined: that was judged before. */
  owners?: number[];
  defaults: Record<string, unknown>;
  family?: Family;
}

export type SpreadAnswer =
  /** `rejected`: names in rejected/ of those whose id is in use. `problem`: of a family, at which it stopped. */
  | { kind: 'spread'; tasks: number; published: string[]; rejected: string[]; problem?: string }
  | { kind: 'refused' | 'unparsable'; reason: string }
  /** No room for it, and the like: it is to be spread again later. */
  | { kind: 'failed'; reason: string }
  | { kind: 'missing' };

/** Has an array spread when its turn comes. `orderOf` is asked then; undefined: it is of no use any more. */
export function spread(
  world: World,
  path: string,
  orderOf: () => SpreadOrder | undefined,
  over: (answer: SpreadAnswer) => void,
): void {
  world.toSpread.set(path, () => begin(world, orderOf(), over));
  spreadNext(world);
}

function spreadNext(world: World): void {
  for (const [path, next] of world.toSpread) {
    if (world.workers >= MOST_WORKERS) return;
    world.toSpread.delete(path);
    next();
  }
}

function begin(world: World, order: SpreadOrder | undefined, over: (answer: SpreadAnswer) => void): void {
  if (order === undefined) return over({ kind: 'missing' });
  let worker: Worker;
  try {
    worker = new Worker(new URL('./spread-worker.js', import.meta.url), { workerData: order });
  } catch (error) {
    return over({ kind: 'failed', reason: `${order.path}: no thread can be had: ${(error as Error).message}` });
  }
  world.workers += 1;
  let isOver = false;
  const end = (answer: SpreadAnswer): void => {
    if (isOver) return;
    isOver = true;
    world.workers -= 1;
    over(answer);
    spreadNext(world);
  };
  worker.once('message', end);
  worker.once('error', (error) => end(answerTo(error, order.path)));
  worker.once('exit', () => end({ kind: 'failed', reason: `${order.path}: its worker ended without a word` }));
}

/** What ends a worker before it could say anything is trouble of this host, unless the array took all its memory. */
function answerTo(error: Error, path: string): SpreadAnswer {
  if (errnoOf(error) !== 'ERR_WORKER_OUT_OF_MEMORY') return { kind: 'failed', reason: `${path}: ${error.message}` };
  return { kind: 'refused', reason: `${path}: it takes more memory than there is to be read. Make several of it.` };
}
