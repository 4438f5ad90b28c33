// The answer of `why JOB/TASK`: the sentence first, then what it rests on, as far as there is more than the sentence says:
// all reasons, the tree of tasks down to the one that everything waits for, the end of its output. The useful command last.
import type { Cause, Why } from '../client/causes.ts';
import { chainOf } from '../client/chain.ts';
import type { TaskWhy } from '../client/why.ts';
import { brief, causeWords, mainCauses, nextCommand, sentence, type Telling } from './cause-words.ts';
import { coloured, faint, heading, type Show } from './status-text.ts';
import { count, list, oneLine, printedLine } from './words.ts';

const MOST_TREE_LINES = 40;

export function taskWhyText({ job, why, output }: TaskWhy, show: Show): string[] {
  const telling: Telling = { job, now: show.now, dir: show.dir };
  const lines = [`${heading(`${job}/${why.task}`)} ${sentence(why, telling)}.`];
  const section = (title: string, shown: readonly string[]) => {
    if (shown.length > 0) lines.push('', heading(title), ...shown);
  };
  const main = mainCauses(why);
  if (main.length > 2)
    section(
      'All of it',
      main.map((cause) => `  It ${causeWords(cause, why, telling)}.`),
    );
  if (chainOf(why).size > 2 || childrenOf(why).length > 1) section('From task to task', treeLines(why, telling));
  for (const line of rejectionLines(why)) lines.push(line);
  const instead = why.causes.find((cause) => cause.cause === 'ran_instead');
  if (instead?.cause === 'ran_instead') lines.push('', `Instead of it ran ${list(instead.tasks, 8)} (run_if).`);
  const lifted = why.causes.find(({ cause }) => cause === 'lifted');
  if (lifted !== undefined) lines.push('', `It ${causeWords(lifted, why, telling)}.`);
  if (output !== undefined && !['succeeded', 'pending'].includes(why.state))
    section(
      `The end of what ${job}/${output.task} printed ${faint(`(attempt ${output.attempt}, ${output.path})`)}`,
      output.lines.map((line) => `  | ${printedLine(line, show.width - 4)}`),
    );
  const next = nextCommand(why, telling);
  return next === undefined ? lines : [...lines, '', `Next: ${next}`];
}

/** The document of `why JOB/TASK --json`. */
export function taskWhyJson({ job, why, output }: TaskWhy, show: Show): object {
  const telling: Telling = { job, now: show.now, dir: show.dir };
  return {
    job,
    ...why,
    sentence: `${job}/${why.task} ${sentence(why, telling)}.`,
    next: nextCommand(why, telling) ?? null,
    output: output ?? null,
  };
}

function rejectionLines({ causes }: Why): string[] {
  return causes.flatMap((cause) => {
    const more = cause.cause === 'rejected' ? cause.text.split('\n').slice(1) : [];
    return more.length === 0 ? [] : ['', ...more.map((line) => `  ${oneLine(line, 500)}`)];
  });
}

/** The tasks that the causes of one lead to. */
function childrenOf({ causes }: Why): Why[] {
  return causes.flatMap((cause: Cause) => {
    if (cause.cause === 'dependency') return cause.queued === undefined ? [cause.why] : [cause.why, ...cause.queued];
    return cause.cause === 'skipped' || cause.cause === 'stopped' ? [cause.why] : [];
  });
}

/** The tree of tasks; a long chain is shown by its ends, and what is too much is counted. */
function treeLines(why: Why, telling: Telling): string[] {
  const lines: string[] = [];
  let left = 0;
  const put = (line: string) => {
    if (lines.length < MOST_TREE_LINES) lines.push(line);
    else left += 1;
  };
  const walk = (node: Why, first: string, rest: string): void => {
    put(`  ${first}${coloured(stateColour(node), node.task)}  ${brief(node, telling)}`);
    const { skipped, children } = skipAhead(node);
    if (skipped > 0) put(`  ${rest}└─ ${faint(`… ${count(skipped, 'task')}, each because of the next …`)}`);
    const under = skipped > 0 ? `${rest}   ` : rest;
    children.forEach((child, i) => {
      const isLast = i === children.length - 1;
      walk(child, `${under}${isLast ? '└─ ' : '├─ '}`, `${under}${isLast ? '   ' : '│  '}`);
    });
  };
  walk(why, '', '');
  return left === 0 ? lines : [...lines, faint(`  … and ${left} more`)];
}

const LONG_CHAIN = 8;
const SHOWN_END = 3;

/** Where a chain without branches goes on for long below a task, its middle is passed over. */
function skipAhead(node: Why): { skipped: number; children: Why[] } {
  const chain: Why[] = [];
  for (let at = childrenOf(node); at.length === 1; at = childrenOf(at[0] as Why)) chain.push(at[0] as Why);
  if (chain.length <= LONG_CHAIN) return { skipped: 0, children: childrenOf(node) };
  const skipped = chain.length - SHOWN_END;
  return { skipped, children: [chain[skipped] as Why] };
}

function stateColour({ state }: Why) {
  return state === 'unknown' ? 'pending' : state;
}
