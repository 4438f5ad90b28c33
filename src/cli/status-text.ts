// `status` in words, of everything and of one job. The first line says what keeps the place from working, if anything
// does; the last one, what to type next.
import type { Attempt } from '../client/attempts.ts';
import type { JobTrouble, Place } from '../client/place.ts';
import type { JobLine, JobReport, JobTask, Overview, ShownTask } from '../client/status.ts';
import type { Remark } from '../client/remark.ts';
import { Layout } from '../protocol/layout.ts';
import { VERSION } from '../version.ts';
import { rejectedCommand } from './cause-words.ts';
import { styled } from './print.ts';
import { ago, attemptWords, count, list, oneLine, printedLine, span, thousands } from './words.ts';

export interface Show {
  /** Milliseconds since 1970. */
  now: number;
  /** Characters in a line. */
  width: number;
  /** ` --dir D` where the commands named need it, else nothing. */
  dir: string;
}

// biome-ignore format: a table
const COLOURS = {
  working: 'cyan', running: 'cyan', waiting: 'yellow', pending: 'yellow', held: 'yellow', completed: 'green', succeeded: 'green',
  failed: 'red', rejected: 'red', unreadable: 'red', cancelled: 'magenta', skipped: 'magenta',
} as const;

/** Of a file in failed/ or rejected/ that no attempt and no verdict brought there. */
const BY_HAND = 'put there by hand';

type Folder = (typeof ORDER)[number];
const ORDER = ['running', 'pending', 'held', 'failed', 'rejected', 'skipped', 'cancelled', 'succeeded'] as const;

/** A folder in the word of a sentence. */
export function wordOf(state: Folder): string {
  return state === 'pending' ? 'waiting' : state;
}

export function coloured(state: keyof typeof COLOURS, text: string = state): string {
  return styled(COLOURS[state], text);
}

export function heading(text: string): string {
  return styled('bold', text);
}

export function faint(text: string): string {
  return styled('dim', text);
}

// ── The first line ────────────────────────────────────────────────────────────────────────────────────────────────

/** Who serves the directory, and what keeps things from starting. */
export function placeLine(place: Place, { now, dir }: Show, more: readonly string[] = []): string {
  const { daemon, root } = place;
  const warnings = [...placeWarnings(place, now, dir), ...more];
  if (daemon.kind === 'stopped') warnings.unshift(`no daemon serves ${root}: nothing starts until: spoold start${dir}`);
  const parts = warnings.map((warning) => styled('yellow', warning));
  if (daemon.kind !== 'stopped') {
    const { identity, started_at } = daemon.record;
    const where = daemon.kind === 'elsewhere' ? ` on ${identity.host}` : '';
    parts.unshift(`daemon ${identity.pid}${where} serves ${root}, up ${span((now - Date.parse(started_at)) / 1000)}`);
  }
  return parts.join(' · ');
}

function placeWarnings(place: Place, now: number, dir: string): string[] {
  const { daemon, isFrozen, otherVersion, pause, parallel } = place;
  const warnings: string[] = [];
  if (otherVersion !== undefined)
    warnings.push(`it is version ${otherVersion}, and this is ${VERSION}: spoold restart${dir}`);
  if (daemon.kind !== 'stopped') {
    const { serving, stopping, holding, held_back, identity } = daemon.record;
    if (isFrozen) warnings.push(`it is frozen, by Ctrl-Z or SIGSTOP, and does nothing: kill -CONT ${identity.pid}`);
    if (stopping === 'drain') warnings.push('it stops when what runs has ended, and starts nothing new');
    else if (stopping !== undefined) warnings.push('it is stopping');
    else if (!serving) warnings.push('it is starting');
    if (held_back !== undefined) warnings.push(held_back);
    if (holding !== undefined) warnings.push(`nothing new is started: ${holding}`);
  }
  if (pause !== undefined) {
    const by = pause.by === undefined ? '' : ` by ${oneLine(pause.by)}`;
    warnings.push(`paused${by} ${ago(Date.parse(pause.since), now)}: spoold resume${dir}`);
  }
  if (parallel === 0) warnings.push(`parallel is 0, so nothing new is started: spoold parallel --unset${dir}`);
  if (parallel === 'damaged') warnings.push('the file parallel holds no whole number, and is passed over');
  return warnings;
}

// ── Everything ────────────────────────────────────────────────────────────────────────────────────────────────────

const MOST_JOBS = 40;
const MOST_RUNNING = 20;
const MOST_OTHERS = 5;

export function overviewText(overview: Overview, show: Show): string[] {
  const { place, jobs, running, failed, rejected, held, troubled, strays } = overview;
  const paused = jobs.filter(({ pause }) => pause !== undefined).map(({ name }) => name);
  const more = [
    ...(troubled.length > 0 ? [`nothing is started of ${list(troubled.map(({ job }) => job))}: see below`] : []),
    ...(strays.length > 0 ? [strayWords(strays)] : []),
    ...(paused.length > 0 ? [`paused: ${list(paused)}`] : []),
    ...(held.length > 0 ? [`${count(held.length, 'file')} held back`] : []),
  ];
  const lines = [placeLine(place, show, more), ''];
  if (jobs.length === 0) {
    const drop = `${place.root}/jobs/NAME/pending/x.json`;
    return [...lines, 'No jobs yet.', '', `Next: spoold add${show.dir} COMMAND`, `      or drop a task: ${drop}`];
  }
  lines.push(...jobTable(jobs));
  const section = (title: string, all: number, limit: number, shown: readonly string[]) => {
    if (shown.length > 0) lines.push('', heading(title), ...cut(shown, limit, all));
  };
  section(
    'Running',
    running.length,
    MOST_RUNNING,
    running.map((task) => runningLine(task, show)),
  );
  if (failed.length > 0) lines.push('', heading('Failed lately'));
  for (const task of failed) lines.push(...failureLines(task, task.lastLines, show));
  const allRejected = jobs.reduce((sum, { counts }) => sum + counts.rejected, 0);
  const whyRejected = rejected.map(
    ({ job, name, reason }) =>
      `  ${coloured('rejected', oneLine(`${job}/${name}`))}  ${oneLine(reason || BY_HAND, show.width)}`,
  );
  section('Rejected', allRejected, MOST_OTHERS, whyRejected);
  section(
    'Held back',
    held.length,
    MOST_OTHERS,
    held.map(({ job, name }) => `  jobs/${job}/pending/${oneLine(name)}`),
  );
  for (const { trouble } of troubled.slice(0, MOST_OTHERS))
    lines.push('', coloured('failed', troubleWords(trouble, show.width)));
  return withNext(lines, nextOf(overview, show));
}

function strayWords(names: readonly string[]): string {
  const which =
    names.length === 1 ? `jobs/${oneLine(names[0] ?? '')} is` : `${count(names.length, 'file')} in jobs/ are`;
  return `${which} in no job: tasks go into jobs/NAME/pending/`;
}

function troubleWords({ kind, path, reason }: JobTrouble, width: number): string {
  if (kind === 'closed')
    return `${path} cannot be looked into, so nothing of it is shown, or starts: ${oneLine(reason, 500)}`;
  return kind === 'damaged'
    ? `${path} does not read, so its job starts nothing: ${oneLine(reason, width)}`
    : `${path} is left alone, so nothing of it starts: ${oneLine(reason, 500)}`;
}

function withNext(lines: readonly string[], next: string | undefined): string[] {
  return next === undefined ? [...lines] : [...lines, '', `Next: ${next}`];
}

function jobTable(jobs: readonly JobLine[]): string[] {
  const width = Math.max(...jobs.map(({ name }) => name.length));
  const importance = { unreadable: 0, working: 1, waiting: 2, failed: 3, completed: 4 } as const;
  // All of them by name; where they are too many, those that matter now.
  const chosen = jobs.length <= MOST_JOBS ? jobs : [...jobs].sort((a, b) => importance[a.state] - importance[b.state]);
  const lines = chosen.slice(0, MOST_JOBS).map(({ name, state, pause, counts }) => {
    const word = coloured(state, state.padEnd(9));
    if (state === 'unreadable') return `${name.padEnd(width)}  ${word}  see below`;
    return `${name.padEnd(width)}  ${word}  ${countsText(counts)}${pause === undefined ? '' : styled('yellow', ', paused')}`;
  });
  return cut(lines, MOST_JOBS, jobs.length, 'job');
}

export function countsText(counts: JobLine['counts']): string {
  const parts = ORDER.filter((state) => counts[state] > 0).map((state) =>
    coloured(state, `${thousands(counts[state])} ${wordOf(state)}`),
  );
  return parts.length === 0 ? 'no tasks' : parts.join(', ');
}

function cut(lines: readonly string[], limit: number, all: number, what = ''): string[] {
  const shown = lines.slice(0, limit);
  const left = all - shown.length;
  if (left <= 0) return shown;
  return [...shown, faint(what === '' ? `  … and ${thousands(left)} more` : `… and ${count(left, `more ${what}`)}`)];
}

function runningLine({ job, id, attempt, since }: ShownTask, show: Show): string {
  return `  ${coloured('running', `${job}/${id}`)}  ${runningWords(attempt, since, show.now)}`;
}

function runningWords(attempt: Attempt | undefined, since: number, at: number): string {
  if (attempt === undefined) return 'is being taken up';
  const { now } = attempt;
  const which = attempt.attempt === 1 ? '' : `, attempt ${attempt.attempt}`;
  if (now.kind !== 'live' || now.ending !== undefined) return `${attemptWords(attempt)}${which}`;
  return `for ${span((at - (now.startedAt || since)) / 1000)}${which}`;
}

function failureLines({ job, id, attempt, since }: ShownTask, lastLines: readonly string[], show: Show): string[] {
  const why = attempt === undefined ? BY_HAND : attemptWords(attempt);
  const head = `  ${coloured('failed', oneLine(`${job}/${id}`))}  ${ago(since, show.now)}: ${oneLine(why, show.width)}`;
  return [head, ...lastLines.map((line) => faint(`    | ${printedLine(line, show.width - 6)}`))];
}

/** The next useful command, if there is one. */
function nextOf({ place, jobs, running, failed, rejected, troubled }: Overview, { dir }: Show): string | undefined {
  const isWaiting = jobs.some(({ counts }) => counts.pending + counts.running > 0);
  if (place.daemon.kind === 'stopped' && isWaiting) return `spoold start${dir}`;
  if (place.pause !== undefined && isWaiting) return `spoold resume${dir}`;
  const [trouble, reject, failure, run] = [troubled[0]?.trouble, rejected[0], failed[0], running[0]];
  if (trouble !== undefined) return `${trouble.kind === 'damaged' ? 'correct' : 'mend'} ${trouble.path}`;
  if (reject !== undefined) return rejectedNext(place, reject.job, reject.name, dir);
  if (failure !== undefined) {
    const address = `${failure.job}/${failure.id}`;
    const look = failure.attempt === undefined ? '' : `spoold logs${dir} ${address}, then: `;
    return `${look}spoold retry${dir} ${address}`;
  }
  if (run !== undefined) return `spoold logs${dir} -f ${run.job}/${run.id}`;
  const waiting = jobs.find(({ state }) => state === 'waiting');
  return waiting === undefined ? undefined : `spoold why${dir} ${waiting.name}`;
}

function rejectedNext({ root }: Place, job: string, name: string, dir: string): string {
  return rejectedCommand(new Layout(root).job(job).task('rejected', name), { job, dir }, name);
}

// ── A job ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export function jobText({ place, line, parallel, trouble, groups }: JobReport, show: Show): string[] {
  const more: string[] = [];
  if (trouble !== undefined) more.push(`nothing is started of ${line.name}: see below`);
  if (line.pause !== undefined) {
    const by = line.pause.by === undefined ? '' : ` by ${oneLine(line.pause.by)}`;
    more.push(`${line.name} is paused${by}: spoold resume${show.dir} ${line.name}`);
  }
  if (line.counts.held > 0) more.push(`${count(line.counts.held, 'file')} held back`);
  const lines = [
    placeLine(place, show, more),
    '',
    `${heading(line.name)} is ${coloured(line.state)}: ${countsText(line.counts)}${limitText(parallel)}`,
  ];
  if (trouble !== undefined) lines.push(coloured('failed', troubleWords(trouble, show.width)));
  for (const { state, count: all, tasks } of groups) {
    const word = wordOf(state);
    const width = Math.max(0, ...tasks.map(({ id }) => id.length));
    lines.push('', heading(`${word.charAt(0).toUpperCase()}${word.slice(1)} (${thousands(all)})`));
    lines.push(
      ...cut(
        tasks.map((task) => jobTaskLine(task, state, width, show)),
        tasks.length,
        all,
      ),
    );
  }
  return withNext(lines, jobNext(line.name, place, groups, show));
}

function limitText(parallel: JobReport['parallel']): string {
  if (parallel === undefined) return '';
  return parallel === 'damaged'
    ? '; the file parallel holds no whole number'
    : `; at most ${parallel} at a time (by the file parallel)`;
}

function jobTaskLine(task: JobTask, state: Folder, width: number, show: Show): string {
  const words = jobTaskWords(task, state, show);
  const name = oneLine(task.id);
  return words === '' ? `  ${coloured(state, name)}` : `  ${coloured(state, name.padEnd(width))}  ${words}`;
}

function jobTaskWords({ attempt, since, remark }: JobTask, state: Folder, show: Show): string {
  if (state === 'held') return '';
  if (state === 'running') return runningWords(attempt, since, show.now);
  if (remark !== undefined) return oneLine(remarkWords(remark, show.now), show.width);
  if (state === 'pending') return attempt === undefined ? '' : `${count(attempt.attempt, 'attempt')} before`;
  const which = attempt === undefined || attempt.attempt === 1 ? '' : `, ${count(attempt.attempt, 'attempt')}`;
  const seconds = attempt?.now.kind === 'settled' ? attempt.now.result.duration_s : null;
  const took = seconds === null ? '' : `, took ${span(seconds)}`;
  const why = state === 'failed' && attempt !== undefined ? `: ${oneLine(attemptWords(attempt), show.width)}` : '';
  return `${ago(since, show.now)}${took}${which}${why}`;
}

function remarkWords(remark: Remark, now: number): string {
  switch (remark.kind) {
    case 'waits for':
      return `waits for ${remark.tasks.map(({ task, state }) => `${task} (${state === 'unknown' ? 'not queued yet' : wordOf(state)})`).join(', ')}${remark.more > 0 ? ` and ${remark.more} more` : ''}`;
    case 'retry':
      return `is tried again in ${span((remark.at - now) / 1000)}`;
    case 'not before':
      return `waits for its time, which comes in ${span((remark.at - now) / 1000)}`;
    case 'rejected':
      return remark.reason || BY_HAND;
    case 'skipped':
      return `because ${remark.cause} is ${wordOf(remark.folder)}`;
    case 'unreadable':
      return `does not read: ${remark.reason}`;
  }
}

function jobNext(name: string, place: Place, groups: JobReport['groups'], { dir }: Show): string | undefined {
  const first = (state: Folder) => groups.find((group) => group.state === state)?.tasks[0];
  const [rejected, failed, running] = [first('rejected'), first('failed'), first('running')];
  if (place.daemon.kind === 'stopped' && (running ?? first('pending')) !== undefined) return `spoold start${dir}`;
  if (rejected !== undefined) return rejectedNext(place, name, rejected.id, dir);
  if (failed !== undefined)
    return `spoold why${dir} ${name}/${failed.id}; to try all that failed again: spoold retry${dir} ${name}`;
  if (running !== undefined) return `spoold logs${dir} -f ${name}/${running.id}`;
  return first('pending') === undefined ? undefined : `spoold why${dir} ${name}`;
}
