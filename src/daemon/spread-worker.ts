// The worker behind spreading.ts: reads an array of tasks, checks all of it, renames it out of sight if that is asked, and
// publishes each task under its id. Half of it done by a crash is done again: what is there already is left alone.
import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { errnoOf, SpooldError } from '../errors.ts';
import { moveIfFree, publish, readParsed, remove, replaceWhole } from '../host/atomic.ts';
import { parseJson } from '../protocol/json.ts';
import { JobLayout } from '../protocol/layout.ts';
import { describeJsonError, describeProblems } from '../protocol/problems.ts';
import { unmeetable } from '../protocol/resources.ts';
import { type BundledTask, namingEntry, parseBundle, type Problem, type Raw } from '../protocol/task.ts';
import { isCutShort, type Lying, lyingAt, readBundleText, reject } from '../store/tasks.ts';
import type { Family, SpreadAnswer, SpreadOrder } from './spreading.ts';

const order = workerData as SpreadOrder;
const job = new JobLayout(order.jobRoot);

function spread(): SpreadAnswer {
  const { path, taken, family } = order;
  const text = readBundleText(path, order.owners && new Set(order.owners));
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    return { kind: 'unparsable', reason: describeJsonError(text, path, error) };
  }
  if (!Array.isArray(value)) {
    return {
      kind: 'refused',
      reason: `${path}: a task may have 1 MB; only an array of tasks may have more. Put what it carries into a file.`,
    };
  }
  const bundle = parseBundle(value, { defaults: order.defaults, isFile: existsSync });
  const problems = bundle.ok ? unmet(bundle.tasks, family) : bundle.problems;
  if (!bundle.ok || problems.length > 0) {
    const named = problems.map((problem) => namingEntry(value as unknown[], problem));
    return { kind: 'refused', reason: describeProblems(text, path, named).join('\n') };
  }
  if (family !== undefined && isTooMany(bundle.tasks, family)) return { kind: 'refused', reason: family.tooMany };
  if (taken !== undefined && path !== taken && moveIfFree(path, taken) !== 'moved') return { kind: 'missing' };
  return family === undefined ? spreadBundle(bundle.tasks) : spreadFamily(bundle.tasks, family);
}

/** What is there has been counted before: half of an array may have been spread when a daemon died. */
function isTooMany(tasks: readonly BundledTask[], { most }: Family): boolean {
  return tasks.length > most && tasks.filter(({ id }) => lyingAt(job, id) === undefined).length > most;
}

/** Requests that the host can never meet; those of a bundle are judged where they lie. */
function unmet(tasks: readonly BundledTask[], family: Family | undefined): Problem[] {
  if (family === undefined) return [];
  return tasks.flatMap(({ spec }, index) =>
    unmeetable(spec.resources, family.supply).map(({ path, message }) => ({ path: [index, ...path], message })),
  );
}

function spreadBundle(tasks: readonly BundledTask[]): SpreadAnswer {
  const rejected = tasks.flatMap((task) => {
    const there = place(task.id, `${JSON.stringify(task.raw)}\n`, (value) => isDeepStrictEqual(value, task.raw));
    return typeof there === 'object' ? (rejectTask(task, there.inUse) ?? []) : [];
  });
  return { kind: 'spread', tasks: tasks.length, published: [], rejected };
}

function spreadFamily(tasks: readonly BundledTask[], { parent, ancestors }: Family): SpreadAnswer {
  const published: string[] = [];
  for (const { id, raw } of tasks) {
    const text = `${JSON.stringify({ ...raw, parent, ancestors })}\n`;
    const there = place(id, text, (value) => (value as Raw | null)?.parent === parent); // the first text stands
    if (there === 'published') published.push(id);
    else if (typeof there === 'object') {
      const problem = `${order.path}: the id ${id} is in use by another task of the job (${there.inUse.state}). Give the child another name.`;
      return { kind: 'spread', tasks: tasks.length, published, rejected: [], problem };
    }
  }
  return { kind: 'spread', tasks: tasks.length, published, rejected: [] };
}

/** Looks at an id that cannot be looked at: it is moved each time. */
const MOST_LOOKS = 100;

/** Publishes a task in pending/, unless its id is there: as the same task, or in use by another. The daemon moves tasks meanwhile. */
function place(
  id: string,
  text: string,
  isSame: (value: unknown) => boolean,
): 'published' | 'there' | { inUse: Lying } {
  for (let looks = 0; ; looks++) {
    const lying = lyingAt(job, id);
    if (lying === undefined) {
      const rejected = job.task('rejected', id);
      if (isCutShort(rejected, text)) remove(rejected); // by a power cut, and rejected for that
      if (publish(job.task('pending', id), text)) return 'published';
      continue;
    }
    if (isCutShort(lying.path, text)) {
      replaceWhole(lying.path, text); // published before a power cut, and not synced
      return 'published';
    }
    const there = readParsed(lying.path, parseJson); // two names, half way between two folders, are no harm
    if (there.kind === 'ok' && isSame(there.value)) return 'there';
    if (there.kind !== 'missing' || looks >= MOST_LOOKS) return { inUse: lying };
  }
}

/** Gives the name in rejected/ of a task whose id is in use for something else. */
function rejectTask({ id, raw }: BundledTask, lying: Lying): string | undefined {
  const path = job.task('pending', id);
  const aside = job.task('pending', `.bundled-${id}`);
  publish(aside, `${JSON.stringify(raw)}\n`);
  return reject(
    job,
    aside,
    id,
    `${path}: the id ${id} of a bundle is in use: ${lying.path} is ${lying.state}, with other content.\nGive one of them another id.`,
  );
}

/** Trouble of this host, and no fault of the file. */
const EXHAUSTED: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'EACCES',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
]);

function answerTo(error: unknown): SpreadAnswer {
  const code = errnoOf(error) ?? '';
  if (code === 'ENOENT') return { kind: 'missing' };
  const reason = error instanceof SpooldError ? error.message : `${order.path}: ${(error as Error).message}`;
  return { kind: EXHAUSTED.has(code) ? 'failed' : 'refused', reason };
}

try {
  parentPort?.postMessage(spread());
} catch (error) {
  parentPort?.postMessage(answerTo(error));
}
