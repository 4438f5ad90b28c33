// `status JOB/TASK` in words: the state in a sentence, then what it runs, what it waits for, its attempts, what runs of
// it now, and the end of its output.
import type { Attempt } from '../client/attempts.ts';
import type { ProcessUse } from '../client/processes.ts';
import type { TaskReport } from '../client/task-report.ts';
import type { Obstacle } from '../client/waiting.ts';
import { coloured, faint, heading, placeLine, type Show, wordOf } from './status-text.ts';
import { ago, attemptWords, commandLine, count, list, oneLine, size, span } from './words.ts';

const MOST_ATTEMPTS = 10;
const MOST_PROCESSES = 20;

export function taskText(report: TaskReport, show: Show): string[] {
  const { place, job, task, processes, lastLines, rejection, waitingFor } = report;
  const attempts = report.attempts.filter(({ now }) => now.kind !== 'void');
  const latest = attempts.at(-1);
  const lines = [
    placeLine(place, show),
    '',
    `${heading(`${job}/${task}`)} ${sentence(report, latest, show)}`,
    '',
    ...factLines(report, show),
  ];
  const section = (title: string, shown: readonly string[]) => {
    if (shown.length > 0) lines.push('', title, ...shown);
  };
  if (waitingFor.length > 1)
    section(
      heading('Waits'),
      waitingFor.map((one) => `  ${obstacleWords(one, report, show)}`),
    );
  section(heading('Attempts'), attemptLines(attempts, show));
  section(heading('Processes'), processLines(processes, show));
  if (latest !== undefined) {
    const output = lastLines.map((line) => `  | ${oneLine(line, show.width - 4)}`);
    section(`${heading('Output')} ${faint(`(the end of ${latest.layout.output})`)}`, output);
  }
  const reasons = rejection?.whole.split('\n') ?? [];
  if (reasons.length > 1)
    section(
      heading('Why it was rejected'),
      reasons.map((line) => `  ${oneLine(line, 500)}`),
    );
  const next = nextOf(report, show);
  return next === undefined ? lines : [...lines, '', `Next: ${next}`];
}

/** The state of a task as a sentence without its subject. */
function sentence(report: TaskReport, latest: Attempt | undefined, show: Show): string {
  const { state, since, waitingFor, cause, rejection, damage } = report;
  const when = since === undefined ? '' : ` ${ago(since, show.now)}`;
  const result = latest?.now.kind === 'settled' ? latest.now.result : undefined;
  switch (state) {
    case 'running':
      return runningSentence(latest, show);
    case 'pending': {
      const first = waitingFor[0];
      if (damage !== undefined)
        return `${coloured('pending', 'waits')}, and its file does not read: ${oneLine(damage, 500)}`;
      if (first === undefined) return coloured('pending', 'waits');
      return waitingFor.length === 1
        ? `${coloured('pending', 'waits')} ${obstacleWords(first, report, show)}`
        : `${coloured('pending', 'waits')}, for ${waitingFor.length} reasons`;
    }
    case 'held': {
      const folder = report.path.slice(0, report.path.lastIndexOf('/') + 1);
      return `is ${coloured('held', 'held back')}: its file has a name that is no task's. To let it run: mv ${report.path} ${folder}${report.task}.json`;
    }
    case 'succeeded': {
      const took = result?.duration_s == null ? '' : `, after ${span(result.duration_s)}`;
      return `${coloured('succeeded')}${when}${result?.to === 'succeeded' ? took : ', by hand'}`;
    }
    case 'failed':
      return `${coloured('failed')}${when}: ${result?.to === 'failed' ? oneLine(result.message, 500) : 'it was put there by hand'}`;
    case 'cancelled':
      return `was ${coloured('cancelled')}${when}${latest === undefined ? '; it had not started' : `: ${oneLine(attemptWords(latest), 500)}`}`;
    case 'skipped':
      return `was ${coloured('skipped')}${when}${cause === undefined ? ', by hand' : `, because ${cause.id} is ${wordOf(cause.folder)}`}`;
    case 'rejected':
      return `was ${coloured('rejected')}${when}: ${oneLine(rejection?.first || 'put there by hand', 500)}`;
  }
}

function runningSentence(latest: Attempt | undefined, show: Show): string {
  if (latest === undefined) return `is ${coloured('running', 'being taken up')}`;
  const { now, attempt } = latest;
  if (now.kind !== 'live' || now.ending !== undefined)
    return `is ${coloured('running')}, attempt ${attempt}: ${attemptWords(latest)}`;
  const where = now.here ? '' : `, on ${now.runner.host}`;
  return `${coloured('running', 'runs')} for ${span((show.now - now.startedAt) / 1000)}, attempt ${attempt}${where}`;
}

function obstacleWords(obstacle: Obstacle, { job }: TaskReport, { now, dir }: Show): string {
  switch (obstacle.kind) {
    case 'dependency': {
      const { task, state, left } = obstacle;
      if (state === 'unknown') return `for ${task}, which nobody has queued yet`;
      if (left !== undefined) return `for ${task}, which has succeeded, and ${count(left, 'task')} that it queued`;
      return `for ${task}, which is ${state === 'held' ? 'held back' : wordOf(state)}`;
    }
    case 'time': {
      const rest = span((Date.parse(obstacle.until) - now) / 1000);
      return obstacle.why === 'retry'
        ? `to be tried again in ${rest} (${obstacle.until})`
        : `for its time, in ${rest} (${obstacle.until})`;
    }
    case 'attempt':
      return `for its attempt ${obstacle.attempt}, which is not over yet`;
    case 'paused':
      return obstacle.place === 'everything'
        ? `because everything is paused: spoold resume${dir}`
        : `because its job is paused: spoold resume${dir} ${job}`;
    case 'parallel':
      return `because ${obstacle.place === 'everything' ? `parallel is 0: spoold parallel --unset${dir}` : `the job's parallel is 0: spoold parallel --unset${dir} ${job}`}`;
    case 'job_damaged':
      return `because its job.json does not read: ${oneLine(obstacle.reason)}`;
    case 'daemon':
      return `because ${oneLine(obstacle.reason)}`;
    case 'slot':
      return 'for its turn';
  }
}

function factLines({ argv, shell, cwd, path, ancestors, dependencies, spec }: TaskReport, show: Show): string[] {
  const facts: [string, string][] = [];
  if (typeof spec?.description === 'string') facts.push(['about', oneLine(spec.description, show.width)]);
  if (argv !== undefined) facts.push(['command', oneLine(commandLine(argv), 1000)]);
  if (shell !== undefined) facts.push(['shell', oneLine(shell.trim().replaceAll('\n', ' ⏎ '), 1000)]);
  if (argv !== undefined || shell !== undefined) facts.push(['in', oneLine(cwd, 1000)]);
  facts.push(['file', path]);
  if (ancestors.length > 0) facts.push(['queued by', ancestors.join(' ← ')]);
  if (dependencies.length > 0) facts.push(['depends on', list(dependencies, 8)]);
  return facts.map(([name, value]) => `  ${faint(name.padEnd(10))}  ${value}`);
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

function nextOf({ job, task, state, place, attempts, waitingFor }: TaskReport, { dir }: Show): string | undefined {
  const address = `${job}/${task}`;
  if (place.daemon.kind === 'stopped' && (state === 'pending' || state === 'running')) return `spoold start${dir}`;
  if (state === 'running') return `spoold logs${dir} -f ${address}`;
  if (state === 'failed')
    return attempts.length > 0
      ? `spoold logs${dir} ${address}, then: spoold retry${dir} ${address}`
      : `spoold retry${dir} ${address}`;
  if (state === 'cancelled') return `to run it again: spoold retry${dir} ${address}`;
  if (state === 'rejected') return `spoold retry${dir} --edit ${address}`;
  const first = waitingFor.find((one) => one.kind === 'dependency' && one.state !== 'unknown');
  return first?.kind === 'dependency' ? `spoold status${dir} ${job}/${first.task}` : undefined;
}
