// The worker behind bundle.ts: reads an array of tasks, checks all of it, renames it out of sight, and publishes each
// task under its id. Half of it done by a crash is done again: what is there with equal content is left alone.
import { isDeepStrictEqual } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { errnoOf, SpooldError } from '../errors.ts';
import { isThere, moveIfFree, publish, replaceWhole } from '../host/atomic.ts';
import { JobLayout } from '../protocol/layout.ts';
import { describeJsonError, describeProblems } from '../protocol/problems.ts';
import { type BundledTask, namingEntry, parseBundle } from '../protocol/task.ts';
import { foldersHolding, isCutShort, readBundleText, readDrop, reject } from '../store/tasks.ts';
import type { SpreadAnswer, SpreadOrder } from './bundle.ts';

const order = workerData as SpreadOrder;
const job = new JobLayout(order.jobRoot);
const owners = new Set(order.owners);

function spread(): SpreadAnswer {
  const text = readBundleText(order.path, owners);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { kind: 'unparsable', reason: describeJsonError(text, order.path, error) };
  }
  if (!Array.isArray(value)) {
    return {
      kind: 'refused',
      reason: `${order.path}: a task may have 1 MB; only an array of tasks may have more. Put what it carries into a file.`,
    };
  }
  const bundle = parseBundle(value, { defaults: order.defaults, isFile: isThere });
  if (!bundle.ok) {
    const problems = bundle.problems.map((problem) => namingEntry(value as unknown[], problem));
    return { kind: 'refused', reason: describeProblems(text, order.path, problems).join('\n') };
  }
  if (order.path !== order.taken && moveIfFree(order.path, order.taken) !== 'moved') return { kind: 'missing' };
  const rejected = bundle.tasks.flatMap((task) => publishTask(task) ?? []);
  return { kind: 'spread', tasks: bundle.tasks.length, rejected };
}

/** Publishes one task; gives its name in rejected/ if its id is in use for something else. */
function publishTask(task: BundledTask): string | undefined {
  const path = job.task('pending', task.id);
  const text = `${JSON.stringify(task.raw)}\n`;
  if (foldersHolding(job, task.id).length === 0 && publish(path, text)) return undefined;
  const [state] = foldersHolding(job, task.id);
  if (state === undefined) return publish(path, text) ? undefined : task.id;
  // Published before a power cut, and not synced: here it is whole.
  if (isCutShort(job.task(state, task.id), text)) {
    replaceWhole(job.task(state, task.id), text);
    return undefined;
  }
  const there = readDrop(job.task(state, task.id), owners);
  if (there.kind === 'json' && isDeepStrictEqual(there.value, task.raw)) return undefined;
  const aside = job.task('pending', `.bundled-${task.id}`);
  publish(aside, text);
  return reject(
    job,
    aside,
    task.id,
    `${path}: the id ${task.id} of a bundle is in use: ${job.task(state, task.id)} is ${state}, with other content.\nGive one of them another id.`,
  );
}

/** Trouble of this host, and no fault of the file. */
const EXHAUSTED: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM']);

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
