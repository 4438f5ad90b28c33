// The texts beside tasks that say why they lie where they lie, as `doctor` looks at them: each is written before its task
// is moved, so that one without a task speaks of a move that never was; what a power cut has emptied says nothing.
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { JobLayout } from '../protocol/layout.ts';
import type { State } from '../protocol/states.ts';
import type { Finding, Ward } from './doctor-finding.ts';

const ENDINGS = [
  ['skipped', '.reason.txt'],
  ['cancelled', '.reason.txt'],
  ['rejected', '.error.txt'],
] as const;

export function* reasons(job: JobLayout, folders: ReadonlyMap<State, string[]>, ward: Ward): Iterable<Finding> {
  for (const [state, ending] of ENDINGS) {
    const names = new Set(folders.get(state));
    for (const name of names) {
      const path = join(job.folder(state), name);
      if (name.endsWith(ending)) {
        const task = `${name.slice(0, -ending.length)}.json`;
        if (!names.has(task)) yield withoutTask(path);
        else if (isEmpty(path))
          yield state === 'rejected' ? unexplained(join(path, '..', task)) : cut(path, state, ward);
      } else if (state === 'rejected' && name.endsWith('.json') && !name.startsWith('.'))
        if (!names.has(`${name.slice(0, -'.json'.length)}${ending}`)) yield unexplained(path);
    }
  }
}

function isEmpty(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.size === 0;
}

function withoutTask(path: string): Finding {
  const says = 'it gives the reason for a file that is not there.';
  return { kind: 'reason_without_task', path, says, would: 'It is removed.', by: 'start' };
}

function unexplained(path: string): Finding {
  return {
    kind: 'no_reason',
    path,
    says: 'nothing beside it says why it was rejected.',
    would: 'Move it to pending/ to have it judged again, or remove it.',
    by: 'you',
  };
}

/** Only after another boot does a daemon take it for the work of a power cut. */
function cut(path: string, state: State, { isAfterReboot }: Ward): Finding {
  const says = `it is empty: nobody knows because of which task this one was ${state}.`;
  if (isAfterReboot)
    return {
      kind: 'no_reason',
      path,
      says,
      would: 'The task goes back to pending/, and is judged afresh.',
      by: 'start',
    };
  return {
    kind: 'no_reason',
    path,
    says,
    would: 'The task does not come back by itself. Move it to pending/ to have it judged afresh, or remove this file.',
    by: 'you',
  };
}
