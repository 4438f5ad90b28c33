// A command that says when it began, compiled where the rows need it: the clock is the one that `process.hrtime` reads.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Scratch } from './scratch.ts';

/** The path of the program; undefined without a C compiler. */
export function compileStamp(scratch: Scratch): string | undefined {
  const source = resolve(import.meta.dirname, '..', '..', 'bench', 'stamp.c');
  const program = join(scratch.folder('stamp'), 'stamp');
  const isMade = (...more: string[]): boolean =>
    spawnSync('cc', ['-O1', ...more, '-o', program, source], { stdio: 'ignore' }).status === 0;
  return isMade('-static') || isMade() ? program : undefined;
}

/** Milliseconds between `from` (of `process.hrtime.bigint()`) and what the program printed. */
export function msSince(from: bigint, log: string): number {
  return Number(BigInt(readFileSync(log, 'utf8').trim()) - from) / 1e6;
}
