// The answer of `why JOB`: how it stands, then what failed and why, then what everything else waits for, taken together by
// the task that it comes down to.
import type { Why } from '../client/causes.ts';
import type { Group, JobWhy } from '../client/why-job.ts';
import { brief, causeWords, nextCommand, sentence, type Telling } from './cause-words.ts';
import { coloured, countsText, faint, heading, type Show } from './status-text.ts';
import { count, list, oneLine, printedLine } from './words.ts';

const MOST_GROUPS = 8;

export function jobWhyText(told: JobWhy, show: Show): string[] {
  const { line, causes, running, failed, rejected, waiting, held, skipped } = told;
  const telling: Telling = { job: line.name, now: show.now, dir: show.dir };
  const place: Why = { task: line.name, state: 'pending', since: null, causes };
  const lines = [`${heading(line.name)} is ${coloured(line.state)}: ${countsText(line.counts)}.`];
  for (const cause of causes)
    lines.push(`What waits does so ${causeWords(cause, place, telling).replace(/^waits /, '')}.`);
  const section = (title: string, shown: readonly string[]) => {
    if (shown.length > 0) lines.push('', heading(title), ...shown);
  };
  const each = (all: readonly Why[]) => all.map((why) => `  ${name(why)}  ${sentence(why, telling)}`);
  section(
    'Failed',
    failed.flatMap(({ why, lines: output }) => [
      ...each([why]),
      ...output.map((text) => faint(`    | ${printedLine(text, show.width - 6)}`)),
    ]),
  );
  section('Rejected', each(rejected));
  section('Running', each(running));
  section('Waiting', groupLines(waiting, line.counts.pending, telling));
  section('Held back', each(held));
  section('Skipped', groupLines(skipped, line.counts.skipped, telling));
  const next = nextOf(told, place, telling);
  return next === undefined ? lines : [...lines, '', `Next: ${next}`];
}

function name({ task, state }: Why): string {
  return coloured(state === 'unknown' ? 'pending' : state, oneLine(task));
}

function groupLines(groups: readonly Group[], all: number, telling: Telling): string[] {
  const lines = groups.slice(0, MOST_GROUPS).map((group) => groupLine(group, telling));
  const told = groups.slice(0, MOST_GROUPS).reduce((sum, { tasks }) => sum + tasks.length, 0);
  return told >= all ? lines : [...lines, faint(`  … and ${count(all - told, 'more task')}, not followed`)];
}

function groupLine({ tasks, example, root }: Group, telling: Telling): string {
  if (tasks.length === 1) return `  ${name(example)}  ${sentence(example, telling)}`;
  const who = `${count(tasks.length, 'task')} (${list(tasks.map((task) => oneLine(task)))})`;
  const why =
    root === example ? `each ${brief(example, telling)}` : `all because of ${root.task}, which ${brief(root, telling)}`;
  return `  ${who}: ${why}`;
}

/** What helps most: what keeps everything, then what failed, then what most wait for. */
function nextOf({ failed, rejected, waiting, running }: JobWhy, place: Why, telling: Telling): string | undefined {
  const first = [place, rejected[0], failed[0]?.why, waiting[0]?.root, running[0]];
  for (const why of first) {
    const command = why === undefined ? undefined : nextCommand(why, telling);
    if (command !== undefined) return command;
  }
  return undefined;
}

/** The document of `why JOB --json`. */
export function jobWhyJson(told: JobWhy, show: Show): object {
  const { line, causes, running, failed, rejected, waiting, held, skipped } = told;
  const telling: Telling = { job: line.name, now: show.now, dir: show.dir };
  const place: Why = { task: line.name, state: 'pending', since: null, causes };
  return {
    job: line.name,
    state: line.state,
    counts: line.counts,
    causes,
    failed: failed.map(({ why, lines }) => ({ ...why, output: lines })),
    rejected,
    running,
    waiting,
    held,
    skipped,
    next: nextOf(told, place, telling) ?? null,
  };
}
