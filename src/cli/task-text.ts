// `status JOB/TASK` in words: the state in a sentence, then what it runs, what it waits for, its attempts, what runs of
// it now, and the end of its output.
import type { Attempt } from '../client/attempts.ts';
import type { ProcessUse } from '../client/processes.ts';
import type { Children, TaskReport } from '../client/task-report.ts';
import { causeWords, mainCauses, nextCommand, sentence } from './cause-words.ts';
import { coloured, faint, heading, placeLine, type Show, wordOf } from './status-text.ts';
import { ago, attemptWords, commandLine, list, oneLine, printedLine, size, span, thousands } from './words.ts';

const MOST_ATTEMPTS = 10;
const MOST_PROCESSES = 20;

export function taskText(report: TaskReport, show: Show): string[] {
  const { place, job, task, processes, lastLines, rejection } = report;
  const { why } = report.why;
  const telling = { job, now: show.now, dir: show.dir };
  const attempts = report.attempts.filter(({ now }) => now.kind !== 'void');
  const latest = attempts.at(-1);
  const lines = [
    placeLine(place, show),
    '',
    `${heading(`${job}/${task}`)} ${sentence(why, telling)}`,
    '',
    ...factLines(report, show),
  ];
  const section = (title: string, shown: readonly string[]) => {
    if (shown.length > 0) lines.push('', title, ...shown);
  };
  const causes = mainCauses(why);
  if (causes.length > 2)
    section(
      heading('Why'),
      causes.map((cause) => `  it ${causeWords(cause, why, telling)}`),
    );
  section(heading('Attempts'), attemptLines(attempts, show));
  section(heading('Processes'), processLines(processes, show));
  if (latest !== undefined) {
    const output = lastLines.map((line) => `  | ${printedLine(line, show.width - 4)}`);
    section(`${heading('Output')} ${faint(`(the end of ${latest.layout.output})`)}`, output);
  }
  const reasons = rejection?.split('\n') ?? [];
  if (reasons.length > 1)
    section(
      heading('Why it was rejected'),
      reasons.map((line) => `  ${oneLine(line, 500)}`),
    );
  const next = nextCommand(why, telling);
  return next === undefined ? lines : [...lines, '', `Next: ${next}`];
}

function factLines(
  { argv, shell, cwd, path, ancestors, children, dependencies, spec }: TaskReport,
  show: Show,
): string[] {
  const facts: [string, string][] = [];
  if (typeof spec?.description === 'string') facts.push(['about', oneLine(spec.description, show.width)]);
  if (argv !== undefined) facts.push(['command', oneLine(commandLine(argv), 1000)]);
  if (shell !== undefined) facts.push(['shell', oneLine(shell.trim().replaceAll(/\r?\n/g, ' ⏎ '), 1000)]);
  if (argv !== undefined || shell !== undefined) facts.push(['in', oneLine(cwd, 1000)]);
  facts.push(['file', oneLine(path, 1000)]);
  if (ancestors.length > 0) facts.push(['queued by', ancestors.join(' ← ')]);
  if (children.groups.length > 0) facts.push(['queued', oneLine(childrenWords(children), 1000)]);
  if (dependencies.length > 0) facts.push(['depends on', list(dependencies, 8)]);
  return facts.map(([name, value]) => `  ${faint(name.padEnd(10))}  ${value}`);
}

/** `1 failed (b), 12 waiting (a, c, d and 9 more)`, and what is not in it. */
function childrenWords({ groups, isPartial }: Children): string {
  const words = groups.map(({ state, ids }) => `${thousands(ids.length)} ${wordOf(state)} (${list(ids)})`).join(', ');
  return `${words}; ${isPartial ? 'there may be more, and ' : ''}what has succeeded is not counted`;
}

function attemptLines(attempts: readonly Attempt[], show: Show): string[] {
  const lines = attempts.slice(-MOST_ATTEMPTS).map((attempt) => attemptLine(attempt, show));
  return attempts.length <= MOST_ATTEMPTS ? lines : [faint(`  … ${attempts.length - MOST_ATTEMPTS} before`), ...lines];
}

function attemptLine({ attempt, now }: Attempt, show: Show): string {
  const number = `  ${String(attempt).padStart(3)}  `;
  if (now.kind !== 'settled') {
    const since = 'startedAt' in now ? `, for ${span((show.now - now.startedAt) / 1000)}` : '';
    return `${number}${attemptWords({ now })}${since}${now.kind === 'live' ? `, runner ${now.runner.pid}` : ''}`;
  }
  const { outcome, finished_at, duration_s, cpu_s, max_rss_bytes, message } = now.result;
  const took = duration_s === null ? '' : ` after ${span(duration_s)}`;
  const use = [
    ...(cpu_s === null ? [] : [`${span(cpu_s)} CPU`]),
    ...(max_rss_bytes === null ? [] : [size(max_rss_bytes)]),
  ].join(', ');
  return `${number}${coloured(outcome)} ${ago(Date.parse(finished_at), show.now)}${took}${use === '' ? '' : ` (${use})`}: ${oneLine(message, 500)}`;
}

function processLines(processes: readonly ProcessUse[], show: Show): string[] {
  if (processes.length === 0) return [];
  const lines = processes.slice(0, MOST_PROCESSES).map(({ pid, cpuSeconds, rssBytes, age, command }) => {
    const figures = `  ${String(pid).padStart(7)} ${span(cpuSeconds).padStart(6)} ${size(rssBytes).padStart(7)} ${span(age).padStart(8)}`;
    return `${figures}  ${oneLine(command, Math.max(20, show.width - 36))}`;
  });
  const more = processes.length > MOST_PROCESSES ? [faint(`  … and ${processes.length - MOST_PROCESSES} more`)] : [];
  return [faint('      PID    CPU  memory      age  command'), ...lines, ...more];
}
