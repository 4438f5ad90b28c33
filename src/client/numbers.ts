// Numbers that several processes take at one time, each once: `.next/17` in a folder says which is next, and taking one is
// renaming that file to the next number, which only one of them can do. A crash after it leaves a number unused.
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { SpooldError, unless } from '../errors.ts';
import {
  createExclusive,
  createFolder,
  isFolder,
  isThere,
  namesIn,
  removeTree,
  unfinishedName,
} from '../host/atomic.ts';

/** Takes the next number, from 1; `isUsed` says which were taken by other means. `folder` must exist. Errors: COUNTER_NO_FOLDER. */
export function takeNumber(folder: string, isUsed: (n: number) => boolean): number {
  const counter = join(folder, '.next');
  refuseOther(counter);
  for (;;) {
    const next = nextIn(counter);
    if (next === undefined) makeCounter(folder, counter, firstUnused(isUsed));
    else if (advance(counter, next) && !isUsed(next)) return next;
  }
}

/** A link would have a number taken elsewhere. */
function refuseOther(counter: string): void {
  if (!isThere(counter) || isFolder(counter)) return;
  throw new SpooldError(
    'COUNTER_NO_FOLDER',
    `${counter} is a link or no folder: the next number is taken from a folder.`,
    {
      path: counter,
      exit: 1,
      hint: 'Nothing was queued. Remove it, and it is made again; or give an --id.',
    },
  );
}

function advance(counter: string, from: number): boolean {
  return unless('ENOENT', () => (renameSync(join(counter, `${from}`), join(counter, `${from + 1}`)), true)) ?? false;
}

function nextIn(counter: string): number | undefined {
  const numbers = namesIn(counter).flatMap((name) => (/^[1-9]\d{0,14}$/.test(name) ? [Number(name)] : []));
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}

/** Built under another name and renamed, so that nobody sees a counter without a number; a folder that is not empty is never replaced. */
function makeCounter(folder: string, counter: string, start: number): void {
  const unfinished = join(folder, unfinishedName());
  createFolder(unfinished);
  createExclusive(join(unfinished, `${start}`), '');
  // An empty one is replaced: somebody removed its number.
  const made = unless(['EEXIST', 'ENOTEMPTY'], () => (renameSync(unfinished, counter), true));
  if (made === undefined) removeTree(unfinished);
}

/** A number that is unused while the one before it is used, by doubling and halving: numbers are used from 1 upwards, mostly. */
function firstUnused(isUsed: (n: number) => boolean): number {
  let used = 0;
  let unused = 1;
  while (isUsed(unused)) [used, unused] = [unused, unused * 2];
  while (unused - used > 1) {
    const middle = Math.floor((used + unused) / 2);
    if (isUsed(middle)) used = middle;
    else unused = middle;
  }
  return unused;
}
