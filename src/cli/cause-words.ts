// Each cause of client/causes.ts as what a person says: a phrase that goes on after the name of the task, "fetch …", and the
// command that is useful next. One table each, so that a new cause cannot be forgotten in either.
import { dirname, join } from 'node:path';
import type { Cause, Holder, Why } from '../client/causes.ts';
import { nextOf, rootOf } from '../client/chain.ts';
import { idPart } from '../protocol/made-ids.ts';
import { isName } from '../protocol/names.ts';
import { ago, commandLine, count, list, oneLine, span } from './words.ts';

export interface Telling {
  job: string;
  /** Milliseconds since 1970. */
  now: number;
  /** ` --dir D` where the commands named need it, else nothing. */
  dir: string;
}

/** What is to be said of a task, to go on after its name: all of its causes in one sentence, where they are few. */
export function sentence(why: Why, telling: Telling): string {
  const [first, second, ...more] = mainCauses(why);
  if (first === undefined) return 'is on its way from one folder to another';
  const head = causeWords(first, why, telling);
  if (second === undefined) return head;
  if (more.length === 0) return `${head}; and it ${causeWords(second, why, telling)}`;
  return `${head}; and there are ${more.length + 1} more reasons`;
}

/** What is worth knowing, and no cause. */
const BESIDES: readonly string[] = ['ran_instead', 'lifted'];

/** The causes with those about dependencies taken together: they are one reason. */
export function mainCauses({ causes }: Why): Cause[] {
  const first = causes.findIndex(({ cause }) => cause === 'dependency');
  return causes.filter(({ cause }, i) => !BESIDES.includes(cause) && (cause !== 'dependency' || i === first));
}

/** The same without what it leads to: for a line in a tree, or in brackets. */
export function brief(why: Why, telling: Telling): string {
  if (why.cut !== undefined && why.causes.length === 0) return why.state === 'pending' ? 'waits' : `is ${why.state}`;
  const first = why.causes.find(({ cause }) => cause === 'dependency') ?? why.causes[0];
  if (first === undefined) return 'is on its way from one folder to another';
  if (first.cause === 'dependency') {
    const on = why.causes.flatMap((cause) => (cause.cause === 'dependency' ? [cause.why.task] : []));
    return `waits for ${list(on)}`;
  }
  if (first.cause === 'skipped') return `was skipped because of ${first.why.task}`;
  return causeWords(first, why, telling);
}

/** One cause of a task, to go on after its name. */
export function causeWords(cause: Cause, why: Why, telling: Telling): string {
  const { now } = telling;
  const when = why.since === null ? '' : ` ${ago(Date.parse(why.since), now)}`;
  switch (cause.cause) {
    case 'no_daemon':
      if (why.state !== 'running') return 'waits because no daemon serves the directory';
      return why.causes.some((one) => one.cause === 'not_noted' && (one.status !== null || one.left === 0))
        ? 'stays so until there is a daemon: none serves the directory'
        : 'goes on, though no daemon serves the directory: what becomes of it is noted when one is started';
    case 'daemon_starting':
      return 'waits until the daemon has looked at everything: it has only just been started';
    case 'daemon_frozen':
      return `waits because the daemon (process ${cause.pid}) is frozen, by Ctrl-Z or SIGSTOP, and does nothing`;
    case 'daemon_stopping':
      return cause.how === 'drain'
        ? 'waits because the daemon stops as soon as what runs has ended, and starts nothing new'
        : 'waits because the daemon is stopping';
    case 'daemon_holding':
      return `waits because the daemon starts nothing new: ${oneLine(cause.reason)}`;
    case 'paused': {
      const what = cause.place === 'everything' ? 'everything is' : `the job ${telling.job} is`;
      return `waits because ${what} paused${cause.by === null ? '' : `, by ${oneLine(cause.by)}`}, ${ago(Date.parse(cause.since), now)}`;
    }
    case 'parallel_zero':
      return `waits because the file ${cause.path} says 0: no task may run${cause.place === 'job' ? ' in this job' : ''}`;
    case 'job_unreadable':
      return `waits because its job.json does not read, and until it does nothing of the job starts: ${cause.path}: ${oneLine(cause.reason)}`;
    case 'job_left_alone':
      return `waits because the daemon leaves its job alone: ${oneLine(cause.reason, 500)}`;
    case 'file_unreadable':
      return `waits, and its file does not read: ${oneLine(cause.reason)}. Unless that changes, it is rejected`;
    case 'attempt_not_over':
      return `waits until its attempt ${cause.attempt} is over${cause.ending === null ? '' : `, which is being ended: ${oneLine(cause.ending)}`}`;
    case 'retry_delay':
      return `is tried again in ${until(cause.until, now)}, as attempt ${cause.attempt}: the last one ended with ${oneLine(withoutTail(cause.message))}`;
    case 'not_before':
      return `waits for its time, which comes in ${until(cause.until, now)} (not_before: ${cause.until})`;
    case 'dependency':
      return dependencyWords(cause, why, telling);
    case 'slots':
      return slotWords(cause, telling);
    case 'resource':
      return resourceWords(cause, telling);
    case 'room_kept':
      return `waits because room is kept for ${cause.for}, which asks for more and has waited too long (starvation_after)`;
    case 'lifted':
      return `has waited so long that it goes before others, as if its priority were ${count(cause.tiers, 'tier')} higher (starvation_after)`;
    case 'due':
      return 'waits for nothing any more: it starts when the daemon looks next, within seconds';
    case 'ready':
      return 'is ready to start';
    case 'held':
      return `is held back: the name of its file is no task's (${oneLine(cause.path, 1000)})`;
    case 'not_queued':
      return `has not been queued by anybody yet${cause.similar === null ? '' : ` (there is ${cause.similar}: is that what was meant?)`}`;
    case 'being_started':
      return 'is being started';
    case 'running': {
      const which = cause.attempt === 1 ? '' : `, as attempt ${cause.attempt}`;
      const processes = (cause.processes ?? 0) < 2 ? '' : `, with ${cause.processes} processes`;
      return `runs for ${span((now - Date.parse(cause.since)) / 1000)}${which}${processes}${cause.host === null ? '' : `, on ${cause.host}`}`;
    }
    case 'being_ended':
      return `is being ended, attempt ${cause.attempt}${cause.message === '' ? '' : `: ${oneLine(cause.message)}`}`;
    case 'not_noted':
      return unnotedWords(cause);
    case 'succeeded':
      return `succeeded${when}${cause.seconds === null ? '' : `, after ${span(cause.seconds)}`}${cause.attempt === 1 ? '' : `, at attempt ${cause.attempt}`}`;
    case 'failed':
      return `failed${when}: ${oneLine(cause.message, 500)}`;
    case 'cancelled': {
      const by = cause.by === null || cause.by === 'daemon' ? '' : ` by ${cause.by}`;
      const before = cause.after === null ? ', before it ran' : `, after its attempt ${cause.after} had ended`;
      const moment = cause.attempt === null ? before : ', while it ran';
      return `was cancelled${when}${by}${moment}${cause.message === null ? '' : `: ${oneLine(cause.message)}`}`;
    }
    case 'skipped':
      return skipWords(cause, why, telling);
    case 'stopped':
      return cause.why.state === cause.folder
        ? `was cancelled${when}, before it ran, because its job stops at a failure (on_failure: stop), and ${cause.why.task} ${brief(cause.why, telling)}`
        : `was cancelled${when} because ${cause.why.task} was ${cause.folder}; that has changed, and it comes back at the next look of the daemon`;
    case 'rejected':
      return `was rejected${when}, for it is no valid task: ${oneLine(cause.reason, 500)}`;
    case 'for_each':
      return `stands for the ${count(cause.tasks, 'task')} that for_each made, and is not run itself`;
    case 'moved_by_hand': {
      const word =
        why.state === 'rejected'
          ? 'was put into rejected/'
          : why.state === 'succeeded'
            ? 'was called succeeded'
            : `was called ${why.state}`;
      return `${word}${when} by ${cause.by ?? 'a person, who moved its file there'}`;
    }
    case 'ran_instead':
      return `was followed by what is to run in such a case (run_if): ${list(cause.tasks, 8)}`;
  }
}

function unnotedWords({ attempt, status, left, copied, on_lost }: Cause & { cause: 'not_noted' }): string {
  if (status !== null) return `has ended with exit status ${status}, and the daemon has not taken note yet`;
  const then = on_lost === 'fail' ? 'fails it (on_lost: fail)' : 'has it run again, three times in a row at most';
  if (copied)
    return `does not run here: its attempt ${attempt} is one of the directory of which this is a copy; the daemon calls it lost, and ${then}`;
  const dead = `the runner of its attempt ${attempt} is dead and left no exit status`;
  if (left === null) return `is not noted as ended yet: ${dead}; the daemon will say what becomes of it`;
  if (left === 0)
    return `has ended, nobody knows how: ${dead}, and nothing else of it runs; the daemon calls it lost, and ${then}`;
  return `runs on, with ${left === 1 ? 'a process' : `${left} processes`}, though ${dead}; once that is over, the daemon calls it lost, and ${then}`;
}

function until(time: string, now: number): string {
  return span((Date.parse(time) - now) / 1000);
}

/** A result's message without what is said of the next attempt. */
function withoutTail(message: string): string {
  return message.replace(/; attempt \d+ of \d+, tried again$/, '');
}

/** How many `which …` a sentence holds before it goes to the end of the chain at once. */
const MOST_NESTED = 3;

function dependencyWords(cause: Cause & { cause: 'dependency' }, why: Why, telling: Telling): string {
  const all = why.causes.flatMap((one) => (one.cause === 'dependency' ? [one] : []));
  if (all.length > 1) {
    const said = all
      .slice(0, 3)
      .map(
        (one) => `${one.why.task} (${one.queued === undefined ? brief(one.why, telling) : familyWords(one, telling)})`,
      );
    return `waits for ${count(all.length, 'task')}: ${said.join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}${condition(cause)}`;
  }
  const { why: on, queued, left } = cause;
  if (queued !== undefined) {
    if (left === 0) return `waits for ${on.task}, and ${familyWords(cause, telling)}${fate(cause)}`;
    return `waits for ${on.task}, which ${familyWords(cause, telling)}${condition(cause)}`;
  }
  const length = chainLength(on);
  const root = rootOf(on);
  if (root.cut === 'told already' && root.task === why.task)
    return `waits for ${on.task}, and that in the end for ${why.task}: they wait for one another, and one of them has to go without`;
  if (root.cut === 'too deep' && root !== on)
    return `waits for ${on.task}, and that for others, over more than ${length} tasks in a row${condition(cause)}`;
  if (length <= MOST_NESTED || root.causes.length === 0)
    return `waits for ${on.task}, which ${on.causes.length === 0 ? brief(on, telling) : sentence(on, telling)}${condition(cause)}${fate(cause)}`;
  return `waits for ${on.task}, and in the end, over ${length} tasks, for ${root.task}, which ${brief(root, telling)}${condition(cause)}`;
}

function chainLength(why: Why): number {
  let length = 0;
  for (let at: Why | undefined = why; at !== undefined; at = nextOf(at)) length += 1;
  return length;
}

function condition({ run_if }: Cause & { cause: 'dependency' }): string {
  if (run_if === 'failure') return '; it runs only if that fails (run_if: failure)';
  return run_if === 'always' ? '; it runs whatever becomes of that (run_if: always)' : '';
}

const UNFINISHED: readonly string[] = ['pending', 'running', 'held', 'unknown'];

/** What the daemon will do about a dependency that has ended otherwise than asked. */
function fate({ why, left }: Cause & { cause: 'dependency' }): string {
  return left === undefined && UNFINISHED.includes(why.state)
    ? ''
    : '; so it will be skipped at the next look of the daemon';
}

function familyWords({ why: on, left = 0, queued = [] }: Cause & { cause: 'dependency' }, telling: Telling): string {
  const members = queued.slice(0, 3).map((member) => `${member.task} (${brief(member, telling)})`);
  const more = left > members.length ? ` and ${left - members.length} more` : '';
  if (left === 0)
    return `${queued[0]?.task}, which it queued, ${queued[0] === undefined ? '' : brief(queued[0], telling)}`;
  const [itself] = on.causes;
  if (itself?.cause === 'for_each')
    return `stands for ${count(itself.tasks, 'task')} that for_each made, and not yet ended: ${members.join(', ')}${more}`;
  return `has ${on.state === 'succeeded' ? 'succeeded' : 'ended'} itself, but not yet ${left === 1 ? 'a task' : `${left} tasks`} that it queued: ${members.join(', ')}${more}`;
}

function slotWords(
  { place, limit, said_by, held_back, holders }: Cause & { cause: 'slots' },
  telling: Telling,
): string {
  const who = holdersWords(holders, place === 'job', telling);
  if (place === 'everything') {
    const why = held_back === null ? '' : ` (${held_back})`;
    return `waits for its turn: at most ${count(limit, 'task')} may run at a time over all jobs${why}, and ${limit === 1 ? 'that is' : 'these are'} now ${who}`;
  }
  const rule = limit === 1 ? 'one task at a time' : `at most ${count(limit, 'task')} at a time`;
  const source = said_by === 'default' ? 'as a job does whose job.json does not say otherwise' : `as ${said_by} says`;
  return `waits for its turn: its job runs ${rule}, ${source}, and now ${limit === 1 ? 'that is' : 'these are'} ${who}`;
}

function resourceWords(cause: Cause & { cause: 'resource' }, telling: Telling): string {
  const { name, asked, free, total, never, holders } = cause;
  if (never)
    return `waits for the resource ${name}: it asks for ${asked}, and there is ${total === '0' ? 'none' : `only ${total} in all`}; as config.yaml is now, it never starts`;
  const who = holders.map(
    ({ job, task, since, holds }) =>
      `${job === telling.job ? task : `${job}/${task}`} has ${holds} (for ${span((telling.now - Date.parse(since)) / 1000)})`,
  );
  return `waits for the resource ${name}: it asks for ${asked}, and of ${total} in all ${free} is free; ${who.length === 0 ? 'who has it has just ended' : list(who, 4)}`;
}

function holdersWords(holders: readonly Holder[], isOwn: boolean, { now }: Telling): string {
  const names = holders.map(
    ({ job, task, since }) => `${isOwn ? task : `${job}/${task}`} (for ${span((now - Date.parse(since)) / 1000)})`,
  );
  return names.length === 0 ? 'ones that have just ended' : list(names, 4);
}

function skipWords(cause: Cause & { cause: 'skipped' }, why: Why, telling: Telling): string {
  const when = why.since === null ? '' : ` ${ago(Date.parse(why.since), telling.now)}`;
  const { why: by, folder, run_if } = cause;
  if (by.state !== folder)
    return `was skipped${when} because ${by.task} was ${folder}; that has changed, and it comes back at the next look of the daemon`;
  if (folder === 'succeeded' && run_if === 'failure')
    return `was skipped${when}: it runs only if what it depends on fails (run_if: failure), and ${by.task} succeeded`;
  const root = rootOf(by);
  if (root === by || by.causes.length === 0) return `was skipped${when} because ${by.task} ${brief(by, telling)}`;
  return `was skipped${when} because ${by.task} was; and that because, in the end, ${root.task} ${brief(root, telling)}`;
}

/** The command that helps next with a task, or with what it comes down to; undefined if there is none. */
export function nextCommand(why: Why, telling: Telling): string | undefined {
  for (const cause of why.causes) {
    const command = commandFor(cause, why, telling);
    if (command !== undefined) return command;
  }
  return undefined;
}

function commandFor(cause: Cause, why: Why, telling: Telling): string | undefined {
  const { job, dir } = telling;
  const { task, state } = why;
  const address = `${job}/${task}`;
  if (!isName(task) && cause.cause !== 'held' && cause.cause !== 'rejected') return undefined; // no verb takes it
  switch (cause.cause) {
    case 'no_daemon':
      return `spoold start${dir}`;
    case 'daemon_frozen':
      return `kill -CONT ${cause.pid}`;
    case 'daemon_stopping':
      return `once it has stopped: spoold start${dir}`;
    case 'daemon_holding':
      return 'make room on the disk, or lower min_free in config.yaml; then it goes on by itself';
    case 'paused':
      return `spoold resume${dir}${cause.place === 'job' ? ` ${job}` : ''}`;
    case 'parallel_zero':
      return `spoold parallel${dir} --unset${cause.place === 'job' ? ` ${job}` : ''}`;
    case 'job_unreadable':
      return `correct it, and see whether it reads: spoold validate ${cause.path}`;
    case 'job_left_alone':
      return `mend ${cause.path}; then it goes on by itself`;
    case 'file_unreadable':
      return `correct it, and see whether it reads: spoold validate ${cause.path}`;
    case 'not_before':
      return `to change its time: spoold edit${dir} ${address}`;
    case 'retry_delay':
      return `spoold logs${dir} ${address}`;
    case 'dependency': {
      const next = nextOf(why) ?? cause.why;
      if (next.state === 'unknown')
        return `queue it (spoold add${dir} -J ${job} --id ${next.task} COMMAND), or correct the name: spoold edit${dir} ${address}`;
      return nextCommand(next, telling);
    }
    case 'resource': {
      const [holder] = cause.holders;
      if (cause.never)
        return `ask for less (spoold edit${dir} ${address}), or give more under resources: in config.yaml`;
      return holder === undefined ? undefined : `spoold logs${dir} -f ${holder.job}/${holder.task}`;
    }
    case 'room_kept':
      return `spoold why${dir} ${cause.for}`;
    case 'slots':
      return cause.place === 'job'
        ? `to let more run at a time: spoold parallel${dir} ${cause.limit + 1} ${job}`
        : `to let more run at a time: spoold parallel${dir} ${cause.limit + 1}`;
    case 'held':
      return `to let it run: ${moveCommand(cause.path, cause.to, task)}`;
    case 'running':
    case 'being_ended':
      return `spoold logs${dir} -f ${address}`;
    case 'succeeded':
      return `spoold logs${dir} ${address}`;
    case 'failed':
      return `spoold logs${dir} ${address}, then: spoold retry${dir} ${address}`;
    case 'cancelled':
      return `to run it again: spoold retry${dir} ${address}`;
    case 'skipped':
      return cause.folder === 'succeeded'
        ? `to run it all the same: spoold retry${dir} ${address}`
        : nextCommand(cause.why, telling);
    case 'stopped':
      return nextCommand(cause.why, telling);
    case 'rejected':
      return rejectedCommand(cause.path, telling, task);
    case 'moved_by_hand':
      return state === 'succeeded' ? undefined : `to run it: spoold retry${dir} ${address}`;
    default:
      return undefined;
  }
}

/** What helps with a rejected file (`path`): to correct it, or to give it a name that a task may have. */
export function rejectedCommand(path: string, { job, dir }: Pick<Telling, 'job' | 'dir'>, name: string): string {
  if (isName(name)) return `spoold retry${dir} --edit ${job}/${name}`;
  return `give it a name that a task may have: ${moveCommand(path, join(dirname(path), '..', 'pending', 'x.json'), name)}`;
}

/** Moves a file to where it is a task; under a name like its own, where its own is none. */
function moveCommand(from: string, to: string, id: string): string {
  if (isName(id)) return commandLine(['mv', from, to]);
  return commandLine(['mv', '-n', from, join(dirname(to), `${idPart(id).slice(0, 100) || 'task'}.json`)]);
}
