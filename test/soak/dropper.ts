// One of several who drop tasks at once: told by a line on standard input into which job and how many, it drops them in all
// the ways there are, and says of each, once it is there, that it was accepted.
import { createInterface } from 'node:readline';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Accepted, makeWork, randomBy } from '../../src/client/prove-work.ts';
import { JobLayout } from '../../src/protocol/layout.ts';

const [name = '', dir = '', seed = '1'] = process.argv.slice(2);
const random = randomBy(Number(seed));
process.umask(0o077);

/** Tries until the disk takes it: full and read-only ones are among the faults. */
async function insist(action: () => void): Promise<void> {
  for (;;) {
    try {
      return action();
    } catch (error) {
      if (!['ENOSPC', 'EACCES', 'EROFS', 'ENOENT', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error;
      await pause(50);
    }
  }
}

/** The careful way, the natural way, and a few in an array. */
async function drop(job: JobLayout, batch: readonly [Accepted, object][]): Promise<void> {
  const pending = job.folder('pending');
  await insist(() => mkdirSync(pending, { recursive: true }));
  const careful = async (file: string, text: string): Promise<void> => {
    const draft = join(pending, `.${name}-draft`);
    await insist(() => writeFileSync(draft, text));
    await insist(() => renameSync(draft, join(pending, file)));
  };
  if (random() < 0.3) {
    const array = batch.map(([{ id }, raw]) => ({ id, ...raw }));
    await careful(`${name}-array-${batch[0]?.[0].id}.json`, JSON.stringify(array));
    for (const [task] of batch) accepted(task);
    return;
  }
  for (const [task, raw] of batch) {
    const text = JSON.stringify(raw);
    if (random() < 0.5 || !natural(join(pending, `${task.id}.json`), text)) await careful(`${task.id}.json`, text);
    accepted(task);
    await pause(random() * 15);
  }
}

/** As `echo >` does; what a full disk took half of is removed. */
function natural(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx' });
    return true;
  } catch {
    rmSync(path, { force: true });
    return false;
  }
}

function accepted(task: Accepted): void {
  process.stdout.write(`${JSON.stringify(task)}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  const [job = '', count = '0'] = line.split(' ');
  const { files, tasks } = makeWork(Number(count), random, name);
  const all = tasks.map((task): [Accepted, object] => [task, files.tasks.get(task.id) ?? {}]);
  for (let at = 0; at < all.length; ) {
    const some = all.slice(at, at + 1 + Math.floor(random() * 5));
    await drop(new JobLayout(join(dir, 'jobs', job)), some);
    at += some.length;
  }
  process.stdout.write(`done ${job}\n`);
}
