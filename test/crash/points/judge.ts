// What must hold whatever has crashed. The tasks' own account, which lies outside of the state directory, is the judge of
// what ran; the folders say what became of it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Folder, JobHands, Place } from '../../helpers/place.ts';
import type { Scenario } from './scenarios.ts';
import { isUnfinished, treeOf } from './tree.ts';

const FOLDERS: readonly Folder[] = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'skipped', 'rejected'];

/** Whole lines: `begin TASK ATTEMPT`, `dropped CHILD ATTEMPT` and `end TASK ATTEMPT`. */
export function accountOf(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean);
}

/** `job/task` → the folders that hold it, in its job or in one of its name in archive/. */
export function tasksIn(root: string): Map<string, Folder[]> {
  const found = new Map<string, Folder[]>();
  const jobs = namesIn(join(root, 'jobs')).filter((job) => !job.startsWith('.'));
  const archived = namesIn(join(root, 'archive'));
  for (const path of [...jobs.map((name) => `jobs/${name}`), ...archived.map((name) => `archive/${name}`)]) {
    const job = path.replace(/^\w+\//, '').replace(/\.\d{8}T\d{6}Z(\.\d+)?$/, '');
    for (const folder of FOLDERS) {
      for (const name of namesIn(join(root, path, folder))) {
        if (!name.endsWith('.json') || name.startsWith('.')) continue;
        const address = `${job}/${name.slice(0, -'.json'.length)}`;
        found.set(address, [...(found.get(address) ?? []), folder]);
      }
    }
  }
  return found;
}

/** The job that has the task, or one of its name in archive/ that has. */
export function homeOf(place: Place, job: string, id: string): JobHands {
  const archived = namesIn(place.at('archive')).filter((name) => name.startsWith(`${job}.2`));
  const all = [place.job(job), ...archived.map((name) => place.job(join('..', 'archive', name)))];
  return all.find((hands) => hands.folderOf(id) !== undefined) ?? place.job(job);
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Names of unfinished work of ours. */
export function leftBehind(root: string): string[] {
  return [...treeOf(root).entries.keys()].filter(isUnfinished);
}

interface Result {
  to: string;
  outcome: string;
  reason: string;
}

/** What has died. */
export interface Died {
  /** Only daemons and command lines, so that nothing was lost. */
  exact: boolean;
  /** A launcher, a runner or a command at a call of its own: a command that was struck has failed. */
  struck: boolean;
}

/** Everything that contradicts. */
export function judge(place: Place, scenario: Scenario, account: string, { exact, struck }: Died): string[] {
  const wrong: string[] = [];
  const tasks = tasksIn(place.dir);
  const lines = accountOf(account);
  if (new Set(lines).size !== lines.length) wrong.push(`an attempt ran twice: ${lines.join(', ')}`);
  for (const [address, folders] of tasks) {
    if (!(address in scenario.ends))
      wrong.push(`${address} is in ${folders.join(' and ')}, and nobody made such a task`);
  }
  for (const [address, [folder, times]] of Object.entries(scenario.ends)) {
    const [job = '', id = ''] = address.split('/');
    const folders = tasks.get(address) ?? [];
    if (struck && isNeverDropped(scenario, folders, id, lines)) continue;
    if (folders.length !== 1) wrong.push(`${address} is in ${folders.join(' and ') || 'no folder'}`);
    const mayFail = struck || (!exact && scenario.name === 'on_lost: fail');
    if (mayFail ? folders[0] === 'rejected' : folders[0] !== folder)
      wrong.push(`${address} is in ${folders[0]}, and ought to be in ${folder}`);
    if (homeOf(place, job, id).isClaimed(id)) wrong.push(`${address} is still claimed`);
    wrong.push(...judgeAttempts(place, job, id, lines, { times, exact, folder: folders[0] }));
  }
  if (exact && place.log.includes('"level":"error"')) {
    const errors = place.log.split('\n').filter((line) => line.includes('"level":"error"'));
    wrong.push(`a daemon complained: ${errors.slice(0, 2).join(' ')}`);
  }
  return wrong;
}

/** Whoever was to drop it has not come to that: where a runner is struck, it may be its command that dies. */
export function isNeverDropped(
  { children = [] }: Scenario,
  folders: readonly Folder[],
  id: string,
  lines: readonly string[],
): boolean {
  return children.includes(id) && folders.length === 0 && !lines.some((line) => line.startsWith(`dropped ${id} `));
}

interface Expected {
  times: number | 'again';
  exact: boolean;
  folder: Folder | undefined;
}

function judgeAttempts(
  place: Place,
  job: string,
  id: string,
  lines: string[],
  { times, exact, folder }: Expected,
): string[] {
  const wrong: string[] = [];
  const numbers = (word: string) =>
    lines.filter((line) => line.startsWith(`${word} ${id} `)).map((line) => Number(line.split(' ')[2]));
  const begun = numbers('begin');
  const ended = new Set(numbers('end'));
  if (exact && times !== 'again' && begun.length !== times)
    wrong.push(`${job}/${id} was run ${begun.length} times, and not ${times}`);
  const succeeded: number[] = [];
  for (const n of begun) {
    const text = readResult(homeOf(place, job, id).path('runs', `${id}.${n}`, 'result.json'));
    if (text === undefined) wrong.push(`${job}/${id}.${n} was run and has no result`);
    else if (exact && text.reason === 'lost') wrong.push(`${job}/${id}.${n} is called lost`);
    if (text?.outcome === 'succeeded') succeeded.push(n);
    if (text?.outcome === 'succeeded' && !ended.has(n))
      wrong.push(`${job}/${id}.${n} succeeded and never came to its end`);
  }
  if (folder === 'succeeded' && begun.length > 0 && succeeded.length !== 1)
    wrong.push(`${job}/${id} succeeded in ${succeeded.length} attempts`);
  for (const [index, n] of begun.entries()) {
    const next = begun[index + 1];
    const [end, begin] = [lines.indexOf(`end ${id} ${n}`), lines.indexOf(`begin ${id} ${next}`)];
    if (next !== undefined && end > begin) wrong.push(`${job}/${id}: attempts ${n} and ${next} overlap`);
  }
  return wrong;
}

function readResult(path: string): Result | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Result;
  } catch {
    return undefined;
  }
}
