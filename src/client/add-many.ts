// Many commands → one array dropped at once, which the daemon takes as a whole. Ids are made from the arguments; one that is
// in use gets a number. Under an id of their own they are a family: a last entry stands for all of them, so that what
// depends on it waits until every one is there and has ended.
import { existsSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { SpooldError, unless } from '../errors.ts';
import { namesIn, publish, syncFolder } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { idPart, MadeIds } from '../protocol/made-ids.ts';
import { FOR_EACH_KEY } from '../protocol/names.ts';
import { MAX_BUNDLE_BYTES, namingEntry, parseBundle, type Raw } from '../protocol/task.ts';
import { formatProblem } from '../protocol/validation.ts';
import { readBundleText } from '../store/tasks.ts';
import { check, DEFAULT_JOB, isInUse, publishChild } from './add.ts';
import { currentFolder, type Surroundings } from './directory.ts';
import { keepEnvironment } from './environment.ts';
import { jobDefaults } from './facts.ts';
import { refuseTwin } from './find.ts';
import { ownFolders } from './own-folders.ts';
import { recordEvents } from './who.ts';

export interface ManyRequest {
  job?: string | undefined;
  /** What their ids begin with, and the id that stands for all of them. */
  id?: string | undefined;
  /** Each with the arguments that it was made of. */
  tasks: readonly { args: readonly string[]; task: Raw }[];
  /** What all of them depend on. */
  dependencies?: unknown;
  inside?: Surroundings | undefined;
}

export interface Many {
  job: string;
  /** Their ids → what becomes their files. */
  tasks: Map<string, Raw>;
  /** The array that is dropped. */
  entries: Raw[];
}

const PREFIX = 'bulk-';

/** Names and checks them; writes nothing. `layout`: where they would be queued, if that is there. Errors: JOB_NAME, TASK_ID, TASK_EXISTS, TASK_INVALID. */
export function prepareMany(
  layout: Layout | undefined,
  { job: said, id, tasks, dependencies, inside }: ManyRequest,
): Many {
  const job = said ?? inside?.job ?? DEFAULT_JOB;
  check('JOB_NAME', 'a job', job);
  if (id !== undefined) check('TASK_ID', 'a task', id);
  const isChild = inside !== undefined && inside.job === job;
  const files = layout?.job(job);
  const taken = files === undefined ? () => false : takenIn(files);
  if (id !== undefined && !isChild && taken(id)) throw exists(job, id);
  const prefix = id ?? (isChild ? inside.task : undefined);
  // A child's ids are the same after a retry, whatever lies there: the first text stands.
  const ids = new MadeIds(isChild ? () => false : (made) => made === id || taken(made));
  const named = new Map<string, Raw>();
  for (const [index, { args, task }] of tasks.entries()) {
    const made = idPart(args.join('+')) || String(index + 1);
    const part = isChild && id === undefined && /^\d+$/.test(made) ? `n${made}` : made; // numbers are those of single ones
    named.set(ids.take(prefix === undefined ? part : `${prefix}.${part}`), { cwd: currentFolder(), ...task });
  }
  const family = id === undefined || isChild ? undefined : id;
  const entries = [...named].map(([own, task]) => {
    const lineage = family === undefined ? {} : { parent: family, ancestors: [family] };
    return { id: own, ...task, ...lineage };
  });
  if (family !== undefined) entries.push(headOf(family, tasks.length, dependencies));
  else if (id !== undefined) entries.push(sumOf(id, [...named.keys()], dependencies));
  if (entries.length > 0) judge(entries, files);
  return { job, tasks: named, entries };
}

/** It is the last of the array: when it is there, so are all that it stands for. Of none, it waits for what they would have. */
function headOf(id: string, count: number, dependencies: unknown): Raw & { id: string } {
  const command = ['true'];
  if (count > 0)
    return { id, command, description: `what depends on ${id} waits for its ${count} tasks`, [FOR_EACH_KEY]: count };
  const description = 'of an empty list: there was nothing to do';
  return { id, command, description, ...(dependencies !== undefined && { dependencies }) };
}

/** Of children, whose family is the task that queues them, it waits for all of them. */
function sumOf(id: string, members: readonly string[], dependencies: unknown): Raw & { id: string } {
  if (members.length === 0) return headOf(id, 0, dependencies);
  return { id, command: ['true'], description: `waits for ${members.length} tasks`, dependencies: members };
}

function judge(entries: readonly Raw[], job: JobLayout | undefined): void {
  const parsed = parseBundle(entries, { defaults: job && jobDefaults(job), isFile: existsSync });
  if (parsed.ok) return;
  const problems = parsed.problems.slice(0, 10).map((problem) => {
    const { path, message } = namingEntry(entries, problem);
    return formatProblem({ path: path.slice(1), message });
  });
  throw new SpooldError('TASK_INVALID', `These are no valid tasks. ${problems.join('\n')}`, {
    hint: 'Nothing was queued. spoold add --help names the options, spoold schema task every key.',
  });
}

/** Whether an id is in use, also by an array that no daemon has spread yet. */
function takenIn(job: JobLayout): (id: string) => boolean {
  const waiting = new Set<string>();
  const pending = job.folder('pending');
  for (const name of namesIn(pending)) {
    if (!name.startsWith(PREFIX) && !name.startsWith(`.bundle-${PREFIX}`)) continue;
    for (const id of idsOfArray(join(pending, name))) waiting.add(id);
  }
  return (id) => waiting.has(id) || isInUse(job, id);
}

function idsOfArray(path: string): string[] {
  try {
    return (JSON.parse(readBundleText(path)) as { id: string }[]).map(({ id }) => id);
  } catch {
    return []; // it has just been spread, or is none of ours
  }
}

function exists(job: string, id: string): SpooldError {
  return new SpooldError('TASK_EXISTS', `${job}/${id} is there already.`, {
    hint: 'Give these another --id, or none: then their ids are made from their arguments alone.',
  });
}

/** Queues what `prepareMany` made; it survives a power cut when this returns. Gives the file that was written. Errors: JOB_LEFT_ALONE, JOB_TAKEN. */
export function addMany(
  layout: Layout,
  { job, entries }: Many,
  { environment, inside }: { environment: NodeJS.ProcessEnv | undefined; inside: Surroundings | undefined },
): string {
  const env_from = environment === undefined ? undefined : keepEnvironment(layout, environment);
  const all = entries.map((entry) => (env_from === undefined ? entry : { env_from, ...entry }));
  const text = `[\n${all.map((entry) => JSON.stringify(entry)).join(',\n')}\n]\n`;
  if (Buffer.byteLength(text) > MAX_BUNDLE_BYTES)
    throw new SpooldError('TASK_INVALID', 'These tasks are larger than 64 MB together.', {
      hint: 'Nothing was queued.',
    });
  const name = `${PREFIX}${randomBytes(6).toString('hex')}.json`;
  if (inside !== undefined && inside.job === job) {
    publishChild(join(inside.pending, name), text);
    syncFolder(inside.pending);
    return join(inside.pending, name);
  }
  refuseTwin(layout, job);
  const pending = layout.job(job).folder('pending');
  const path = join(pending, name);
  for (;;) {
    const folders = ownFolders(layout, job, ['pending'], 'pending');
    if (unless('ENOENT', () => publish(path, text, { sync: true })) !== true) continue; // the job may be archived under us
    unless('ENOENT', () => syncFolder(pending));
    folders.confirm();
    break;
  }
  recordEvents(layout, [{ job, event: 'added', to: 'pending', reason: `${entries.length} tasks` }]);
  return path;
}
