// One job, as `doctor` looks at it: every name in its folders, and what has run. Texts of finished tasks are not parsed:
// their size and kind say whether there is one, and results are read as bytes.
import { closeSync, constants, lstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, unless } from '../errors.ts';
import { isThere, namesIn, readParsed, remove, removeTree } from '../host/atomic.ts';
import { parseJob } from '../protocol/job.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { parseRunName, type RunName, taskIdOf } from '../protocol/names.ts';
import { describeProblems } from '../protocol/problems.ts';
import { parseResult } from '../protocol/result.ts';
import { FINAL_STATES, PRECEDENCE, type State, STATES } from '../protocol/states.ts';
import { claimedAttempt } from '../store/runs.ts';
import { heldId, isHeldName, readParallel } from '../store/snapshot.ts';
import { readDrop } from '../store/tasks.ts';
import { examineClaim } from './doctor-attempt.ts';
import {
  type Finding,
  isAbandoned,
  isDenied,
  lookOver,
  TO_READ,
  UNFINISHED,
  type Ward,
  withoutRights,
} from './doctor-finding.ts';
import { canBeRead, foldersOf } from './doctor-folder.ts';
import { reasons } from './doctor-reason.ts';
import { bundle, reasonOf, waitingTasks } from './doctor-waiting.ts';

/** The names in a job's folders, read once. */
interface Names {
  job: JobLayout;
  /** Folder → the names in it. */
  folders: Map<State, string[]>;
  /** Task id → the folders that hold it, by precedence. */
  holders: Map<string, State[]>;
  /** Ids that an attempt claims. */
  claims: Set<string>;
}

const CHECKS = [summary, clock, leftovers, waiting, running, copies, why, finished, attempts];

/** All that is odd about a job, which is a folder. */
export function examineJob(job: JobLayout, ward: Ward): Finding[] {
  const folders = lookOver(job.root, () => foldersOf(job, ward));
  const odd = [
    ...folders,
    ...lookOver(job.settings, () => settings(job)),
    ...lookOver(job.parallel, () => parallel(job)),
  ];
  // What is behind a link is not ours, and of names that cannot be read nobody knows what is missing among the others.
  if (folders.some(({ path }) => !canBeRead(path))) return odd;
  return [...odd, ...lookOver(job.root, () => inside(job, ward))];
}

function inside(job: JobLayout, ward: Ward): Finding[] {
  const names = readNames(job);
  return CHECKS.flatMap((check) => lookOver(job.root, () => check(names, ward)));
}

function readNames(job: JobLayout): Names {
  const folders = new Map(STATES.map((state) => [state, namesIn(job.folder(state))]));
  const holders = new Map<string, State[]>();
  for (const state of PRECEDENCE) {
    for (const name of folders.get(state) ?? []) {
      const id = taskIdOf(name);
      if (id === undefined) continue;
      const known = holders.get(id);
      if (known === undefined) holders.set(id, [state]);
      else known.push(state);
    }
  }
  const links = (folders.get('running') ?? []).filter((name) => name.endsWith('.run') && !name.startsWith('.'));
  return { job, folders, holders, claims: new Set(links.map((name) => name.slice(0, -'.run'.length))) };
}

function* settings(job: JobLayout): Iterable<Finding> {
  const would = 'Its job starts nothing until it reads. Mend it; spoold validate checks it.';
  const drop = readDrop(job.settings);
  const parsed = drop.kind === 'json' ? parseJob(drop.value) : undefined;
  const problems = parsed === undefined || parsed.ok ? [] : parsed.problems;
  const wrong =
    drop.kind === 'json'
      ? problems.length > 0 && describeProblems(drop.text, job.settings, problems).join('\n')
      : drop.kind !== 'missing' && reasonOf(drop, job.settings);
  if (wrong !== false) yield { kind: 'settings', path: job.settings, says: wrong, would, by: 'you' };
}

function* parallel({ parallel: path }: JobLayout): Iterable<Finding> {
  if (isDenied(path, TO_READ)) yield* withoutRights(path, TO_READ);
  else if (readParallel(path) === 'damaged')
    yield {
      kind: 'settings',
      path,
      says: 'it should hold a whole number, and does not; what held before it was damaged stays in force.',
      would: 'Write the number anew: spoold parallel N JOB.',
      by: 'you',
    };
}

/** A cache: what cannot be read of it is thrown away. */
function* summary({ job }: Names): Iterable<Finding> {
  if (isDenied(job.summary, TO_READ)) return yield* withoutRights(job.summary, TO_READ);
  const read = readParsed(job.summary, (text) => (JSON.parse(text) as { counts: object }).counts);
  if (read.kind === 'missing' || (read.kind === 'ok' && typeof read.value === 'object')) return;
  yield {
    kind: 'cache',
    path: job.summary,
    says: 'the summary cannot be read.',
    would: 'It is a cache: it is removed, and made again when the job is next at rest.',
    by: 'doctor',
    mend: () => remove(job.summary),
  };
}

/** When the job's present run began, for its job_timeout: the daemon removes it once nothing of the job waits or runs. */
function* clock({ job, folders, claims }: Names, { setAside }: Ward): Iterable<Finding> {
  const path = job.started;
  if (isDenied(path, TO_READ)) return yield* withoutRights(path, TO_READ);
  const read = readParsed(path, (text) => Date.parse(text.trim()));
  if (read.kind === 'missing') return;
  if (read.kind === 'damaged' || Number.isNaN(read.value))
    yield {
      kind: 'damaged',
      path,
      says: 'it should say when the job began, for its job_timeout, and does not.',
      would: "It is set aside in aside/; the job's time begins anew with its next task.",
      by: 'doctor',
      mend: () => setAside(path),
    };
  else if (claims.size === 0 && isAtRest(folders.get('running')) && isAtRest(folders.get('pending')))
    yield {
      kind: 'leftover',
      path,
      says: 'the clock of the job_timeout runs, and nothing of the job waits or runs.',
      would: 'It is removed: the next task begins a run of its own.',
      by: 'doctor',
      mend: () => remove(path),
    };
}

function isAtRest(names: readonly string[] = []): boolean {
  return names.every((name) => name.startsWith('.'));
}

/** What killed writers have left, ours and others'. */
function* leftovers({ job, folders }: Names, ward: Ward): Iterable<Finding> {
  for (const [state, names] of folders) {
    for (const name of names) {
      if (!name.startsWith('.')) continue;
      const path = join(job.folder(state), name);
      if (state === 'pending' && name.startsWith('.bundle-')) yield* lookOver(path, () => bundle(job, name));
      else yield* leftover(path, name, ward);
    }
  }
  for (const name of namesIn(job.root)) if (UNFINISHED.test(name)) yield* leftover(join(job.root, name), name, ward);
}

/** A dot name: of a writer of ours that was killed, or of somebody else's. */
export function* leftover(path: string, name: string, { now }: Ward): Iterable<Finding> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !isAbandoned(stat, now)) return;
  if (UNFINISHED.test(name) || name.startsWith('.bundled-'))
    yield {
      kind: 'leftover',
      path,
      says: 'a writer of spoold was killed before it had finished this.',
      would: 'It was never shown to anybody, and is removed.',
      by: 'doctor',
      mend: () => removeTree(path),
    };
  else if (stat.isFile() && now - stat.mtimeMs > DAY_MS)
    yield {
      kind: 'draft',
      path,
      says: 'somebody began to write this over a day ago, and it has a dot name still.',
      would: 'To queue it, rename it to NAME.json; else remove it.',
      by: 'you',
    };
}

const DAY_MS = 86_400_000;

/** Texts of waiting tasks. */
function waiting({ job, folders, holders }: Names): Iterable<Finding> {
  const ids = (folders.get('pending') ?? []).flatMap((name) => taskIdOf(name) ?? []);
  return waitingTasks(
    job,
    ids.filter((id) => (holders.get(id)?.length ?? 0) <= 1),
  );
}

function* running({ job, folders, claims, holders }: Names, ward: Ward): Iterable<Finding> {
  for (const id of claims) yield* lookOver(job.claim(id), () => [examineClaim(job, id, ward)]);
  for (const name of folders.get('running') ?? []) {
    const id = taskIdOf(name);
    if (id === undefined || claims.has(id) || (holders.get(id)?.length ?? 0) > 1) continue;
    const path = job.task('running', id);
    const says = 'no attempt claims it: it was put there by hand, or a crash has left it there.';
    yield {
      kind: 'unclaimed',
      path,
      says,
      would: 'It goes back to pending/, and runs when its turn comes.',
      by: 'start',
    };
  }
}

/** One id in several folders. */
function* copies({ job, holders, claims }: Names): Iterable<Finding> {
  for (const [id, [keeper, ...others]] of holders) {
    if (keeper === undefined || others.length === 0 || claims.has(id)) continue;
    for (const state of others) {
      const path = job.task(state, id);
      yield inodeOf(path) === inodeOf(job.task(keeper, id))
        ? {
            kind: 'half_moved',
            path,
            says: `it is the same file as ${keeper}/${id}.json: a move was cut off half way.`,
            would: 'This name of it is removed.',
            by: 'start',
          }
        : {
            kind: 'copies',
            path,
            says: `the task is in ${keeper}/ too: a copy, or a restored backup.`,
            would: `The one in ${keeper}/ stands; this one is moved to rejected/, with the reason beside it.`,
            by: 'start',
          };
    }
  }
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

function why({ job, folders }: Names, ward: Ward): Iterable<Finding> {
  return reasons(job, folders, ward);
}

/** What lies in the final folders is a file with something in it. */
function* finished({ job, folders, holders }: Names): Iterable<Finding> {
  for (const state of FINAL_STATES) {
    for (const name of folders.get(state) ?? []) {
      const id = taskIdOf(name);
      if (id === undefined || (holders.get(id)?.length ?? 0) > 1) continue;
      const path = job.task(state, id);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined || (stat.isFile() && stat.size > 0)) continue;
      yield {
        kind: 'damaged',
        path,
        says: stat.isFile()
          ? 'it is empty: a power cut has taken its text, and nothing else.'
          : 'it should be a file, and is something else.',
        would: `The task stays ${state}; to run it again, write its text anew.`,
        by: 'you',
      };
    }
  }
}

/** Run directories: whose task is gone, whose result is not whole, and what runs without a claim. */
function* attempts(names: Names, ward: Ward): Iterable<Finding> {
  const { job, folders } = names;
  const rejected = new Set(folders.get('rejected'));
  const held = new Set((folders.get('pending') ?? []).filter(isHeldName).map(heldId));
  const isKnown = (id: string) => names.holders.has(id) || names.claims.has(id) || rejected.has(`${id}.json`);
  for (const name of namesIn(job.runs)) {
    const parsed = parseRunName(name);
    if (parsed === undefined) continue;
    const path = join(job.runs, name);
    yield* lookOver(path, () => attempt(names, path, parsed, isKnown, held, ward));
  }
}

function* attempt(
  { job, claims }: Names,
  path: string,
  { task, attempt: number }: RunName,
  isKnown: (id: string) => boolean,
  held: ReadonlySet<string>,
  ward: Ward,
): Iterable<Finding> {
  if (claims.has(task) && claimedAttempt(job, task) === number) return;
  const result = join(path, 'result.json');
  if (ward.living.has(path) && !isWhole(result)) yield* withoutClaim(job, path, task);
  else if (!isKnown(task)) {
    if (!held.has(task)) yield orphan(path, task, ward);
  } else if (isWhole(result) === false) yield halfResult(result, ward);
}

function* withoutClaim(job: JobLayout, path: string, id: string): Iterable<Finding> {
  const wanted = isThere(job.task('running', id));
  yield {
    kind: 'runs_unclaimed',
    path,
    says: 'processes of this attempt run, and no claim stands for it.',
    would: wanted ? 'It is claimed again, and goes on.' : 'Its task is gone: its processes are ended.',
    by: 'start',
  };
}

function orphan(path: string, id: string, { setAside }: Ward): Finding {
  return {
    kind: 'run_without_task',
    path,
    says: `it is an attempt of a task ${id} that no folder holds any more.`,
    would: 'It is set aside in aside/, with all it holds.',
    by: 'doctor',
    mend: () => setAside(path),
  };
}

function halfResult(path: string, { setAside }: Ward): Finding {
  return {
    kind: 'half_result',
    path,
    says: 'it is not whole, and counts as absent; the folder of the task says what became of it.',
    would: 'It is set aside in aside/.',
    by: 'doctor',
    mend: () => setAside(path),
  };
}

const buffer = Buffer.allocUnsafe(64 * 1024);

/** Whether a result.json is whole; undefined if there is none. One that ends as ours do is, and is not parsed. */
function isWhole(path: string): boolean | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'EACCES') throw error;
    return errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' ? undefined : false;
  }
  try {
    const length =
      unless(['EISDIR', 'EAGAIN', 'EINVAL', 'ESPIPE'], () => readSync(fd, buffer, 0, buffer.length, 0)) ?? 0;
    if (length > 2 && buffer[0] === 0x7b && buffer[length - 2] === 0x7d && buffer[length - 1] === 0x0a) return true;
    return parseResult(buffer.toString('utf8', 0, length)) !== undefined;
  } finally {
    closeSync(fd);
  }
}
