// A state directory for `doctor`: healthy to begin with, looked at and mended as the command does it, the daemon that mends
// being the real one.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { diagnose, mend, patientAt } from '../../src/client/doctor.ts';
import { serve } from '../../src/daemon/daemon.ts';
import { type JobHands, Place } from './place.ts';

export const atOnce = (): Promise<void> => Promise.resolve();

export function newPlace(t: TestContext): Place {
  const place = new Place();
  t.after(() => place.close());
  return place;
}

/** What a daemon does that `doctor --fix` runs for that alone. */
export async function recover(place: Place): Promise<void> {
  const umask = process.umask();
  await (await serve({ dir: place.dir, log: 'file', recoverOnly: true })).ended;
  process.umask(umask);
}

export async function kindsOf(place: Place): Promise<string[]> {
  return (await diagnose(patientAt(place.dir), atOnce)).findings.map(({ kind }) => kind).sort();
}

export function mendIn(place: Place): ReturnType<typeof mend> {
  return mend(patientAt(place.dir), () => recover(place), atOnce);
}

/** Every name with what it is and holds. */
export function contents(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const path = join(dir, name);
      const stat = lstatSync(path);
      const text = stat.isSymbolicLink() ? readlinkSync(path) : stat.isFile() ? readFileSync(path, 'utf8') : '';
      return `${name} ${stat.mode} ${stat.ino} ${text}`;
    });
}

/** A directory in which a daemon has done some work and stopped. */
export async function healthy(t: TestContext): Promise<{ place: Place; job: JobHands }> {
  const place = newPlace(t);
  await place.start();
  const job = place.job('etl').make({ max_parallel: 4 });
  job
    .drop('good', { command: 'true' })
    .drop('bad', { command: 'false' })
    .drop('after', {
      command: 'true',
      dependencies: ['bad'],
    });
  job.drop('parent', {
    shell: `echo '{"command":"true"}' > "$SPOOLD_PENDING/.k"; mv "$SPOOLD_PENDING/.k" "$SPOOLD_PENDING/kid.json"`,
  });
  job.drop('odd', '{"comand": 1}').drop('later', { command: 'true', not_before: '2099-01-01T00:00:00Z' });
  for (const [folder, id] of [
    ['succeeded', 'good'],
    ['failed', 'bad'],
    ['skipped', 'after'],
    ['succeeded', 'parent'],
    ['succeeded', 'kid'],
    ['rejected', 'odd'],
  ] as const)
    await job.comesTo(folder, id);
  job.write('pending/held.yaml', 'a note');
  return { place, job };
}
