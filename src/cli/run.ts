// `spoold run`: work done now, its output here, its end our end. The running daemon does it, or this process serves a
// private directory until it is done. Interrupted, it cancels the work and waits until nothing of it is left.
import { accessSync, existsSync, constants as fileConstants } from 'node:fs';
import { constants } from 'node:os';
import { Option } from 'clipanion';
import type { RunOutcome, Venue, Work } from '../client/run.ts';
import { SpooldError } from '../errors.ts';
import type { Serving } from '../daemon/daemon.ts';
import { shellWord } from '../protocol/shell.ts';
import { BaseCommand } from './base.ts';
import { Lines } from './lines.ts';
import { note, printBytes, printError, usageError, whenUnprintable } from './print.ts';

/** Our own failure, not the work's. */
const OWN_FAILURE = 125;

export class RunCommand extends BaseCommand {
  static override paths = [['run']];
  static override usage = BaseCommand.Usage({
    description: 'Run a command or a workflow now and end with its status. Needs no daemon and no init.',
    details: `
      If a daemon serves the directory it does the work; if not, a private one is made and served until the work is done: removed
      after a success, kept and named after a failure. A command's output is printed as it comes, a workflow's with the task before
      each line; standard output and standard error are one stream, and standard input is empty. The status is the command's own,
      128+n for a signal; of a workflow 0, or 1 if anything did not succeed; 125 if spoold itself failed. Ctrl-C cancels all of it.
    `,
    examples: [
      ['A command', "$0 run -- sh -c 'echo hi; exit 7'"],
      ['A workflow', '$0 run flow.yaml --var DATE=2030-01-31'],
    ],
  });

  shell = Option.Boolean('--shell', false, { description: 'The words are a script for /bin/sh -e' });
  vars = Option.Array('--var', [], { description: 'NAME=VALUE, above the vars of the file; may be repeated' });
  words = Option.Proxy({ name: 'command', required: 1 });

  override async execute(): Promise<number> {
    try {
      return await this.run();
    } catch (error) {
      const status = printError(error);
      return error instanceof SpooldError && status !== 1 ? status : OWN_FAILURE;
    }
  }

  private async run(): Promise<number> {
    const { joinDirectory, makePrivateDirectory, runningDirectory } = await import('../client/run.ts');
    const running = runningDirectory(this.dir, process.env);
    const work = await this.work();
    const interruption = new Interruption();
    const venue = running === undefined ? makePrivateDirectory(work) : joinDirectory(running, work, process.env);
    return venue.isPrivate ? runPrivately(venue, work, interruption) : runThere(venue, work, interruption);
  }

  private async work(): Promise<Work> {
    const { commandWork, workflowWork } = await import('../client/run.ts');
    const { commandKeys, givenVariables } = await import('./task-options.ts');
    const [first = '', ...others] = this.words;
    const said = [...this.vars, ...(varsIn(others) ?? [])];
    const isFileName = !this.shell && varsIn(others) !== undefined && /\.(ya?ml|json)$/.test(first);
    // One that is not there either is a slip, not a command: the reading of it says so.
    if (isFileName && (existsSync(first) || /\.ya?ml$/.test(first)))
      return workflowWork(first, await givenVariables(said));
    if (!this.shell && /\.(ya?ml|json)$/.test(first) && isPlainFile(first))
      throw usageError(
        `${first} is a workflow, and takes no words after it but --var NAME=VALUE: ${others.join(' ')}`,
        'To run it as a command, make it executable.',
      );
    if (this.vars.length > 0)
      throw usageError('--var is for a workflow file.', 'A command is given a variable by: env NAME=VALUE COMMAND…');
    return commandWork(commandKeys(this.words, this.shell));
  }
}

/** There, and nothing that could be run. */
function isPlainFile(path: string): boolean {
  try {
    accessSync(path, fileConstants.X_OK);
    return false;
  } catch {
    return existsSync(path);
  }
}

/** What `--var` says in words behind a file; undefined if there is anything else among them. */
function varsIn(words: readonly string[]): string[] | undefined {
  const said: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === '--var' && words[i + 1] !== undefined) said.push(words[++i] as string);
    else if (word.startsWith('--var=')) said.push(word.slice('--var='.length));
    else return undefined;
  }
  return said;
}

/** In a directory that a daemon serves: its tasks are cancelled if we are, and what they left stays there. */
async function runThere(venue: Venue, work: Work, interruption: Interruption): Promise<number> {
  try {
    const { status, outcome } = await doWork(venue, work, interruption);
    if (outcome !== undefined) tellFailure(venue, work, outcome);
    return status;
  } catch (error) {
    if (!(error instanceof SpooldError)) throw error;
    if (error.code === 'WAIT_STUCK')
      await (await import('../client/run.ts')).cancelAll(venue); // or it would start long after we said that it did not
    else note(`the work is not done; it is the job ${venue.job} in ${venue.layout.root}`);
    throw error;
  }
}

async function runPrivately(venue: Venue, work: Work, interruption: Interruption): Promise<number> {
  const [{ serve }, { discardWork, removePrivateDirectory }] = await Promise.all([
    import('../daemon/daemon.ts'),
    import('../client/run.ts'),
  ]);
  let serving: Serving;
  try {
    serving = await serve({ dir: venue.layout.root, log: 'file' });
  } catch (error) {
    removePrivateDirectory(venue);
    throw error;
  }
  let keep = true;
  try {
    const { status, outcome } = await doWork(venue, work, interruption);
    keep = outcome !== undefined && status !== 0;
    if (outcome !== undefined) tellFailure(venue, work, outcome);
    return status;
  } finally {
    if (!keep) discardWork(venue);
    serving.stop('kill');
    await serving.ended;
    if (keep)
      note(
        `what is left of it is kept in ${venue.layout.root} (spoold status --dir ${shellWord(venue.layout.root)}; rm -r when done)`,
      );
    else removePrivateDirectory(venue);
  }
}

interface Done {
  status: number;
  /** Undefined: it was interrupted. */
  outcome: RunOutcome | undefined;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** From its making on, signals end nothing by themselves. */
class Interruption {
  signal: (typeof SIGNALS)[number] | 'SIGPIPE' | undefined;
  /** Why it came to be, where that was no signal: the output cannot be written. */
  failure: SpooldError | undefined;
  /** The work is to be cancelled. */
  readonly first: Promise<void>;
  /** And its output does not matter any more: nobody reads it, or it was asked for twice. */
  readonly final: Promise<void>;

  constructor() {
    let begin!: () => void;
    let end!: () => void;
    this.first = new Promise((resolve) => (begin = resolve));
    this.final = new Promise((resolve) => (end = resolve));
    const interrupt = (name: NonNullable<Interruption['signal']>) => {
      if (this.signal !== undefined || name === 'SIGPIPE') end();
      if (this.signal !== undefined && name !== 'SIGPIPE')
        note('it is being cancelled; what does not end is killed when its time is up');
      this.signal ??= name;
      begin();
    };
    for (const name of SIGNALS) process.on(name, () => interrupt(name));
    whenUnprintable((error) => {
      if (this.signal === undefined) this.failure = error;
      interrupt('SIGPIPE');
    });
  }
}

/** Shows the work's output until it has ended; a signal cancels it. */
async function doWork(venue: Venue, work: Work, interruption: Interruption): Promise<Done> {
  const [{ followJob }, { cancelAll, outcomeOf }, { waitFor }] = await Promise.all([
    import('../client/follow-run.ts'),
    import('../client/run.ts'),
    import('../client/wait.ts'),
  ]);
  const { layout, job } = venue;
  const leave = new AbortController();
  const printed = followJob(layout.job(job), printer(venue, work), leave.signal);
  // It knows what can never end, and says why; that the work has ended, the follower knows sooner.
  const watched = waitFor(layout, [{ job }], { signal: leave.signal, onProgress: tellHolding() }).then(() => printed);
  void interruption.final.then(() => leave.abort()); // nobody reads, or wants to, what is still printed
  try {
    await Promise.race([printed, watched, interruption.first]);
    if (interruption.signal !== undefined) await cancelAll(venue);
    await printed;
  } finally {
    leave.abort();
    await watched.catch(() => undefined);
  }
  if (interruption.failure !== undefined) throw interruption.failure;
  if (interruption.signal !== undefined)
    return { status: 128 + constants.signals[interruption.signal], outcome: undefined };
  const outcome = outcomeOf(venue, work.only);
  return { status: outcome.status, outcome };
}

function printer({ job }: Venue, { only }: Work) {
  if (only !== undefined) return { onOutput: (_: unknown, bytes: Buffer) => printBytes(bytes) };
  const open = new Map<string, Lines>();
  return {
    onOutput({ task, attempt }: { task: string; attempt: number }, bytes: Buffer) {
      const name = `${task}.${attempt}`;
      const lines = open.get(name) ?? new Lines(`${job}/${task}`);
      open.set(name, lines);
      return printBytes(lines.add(bytes));
    },
    onEnd({ task, attempt }: { task: string; attempt: number }) {
      const rest = open.get(`${task}.${attempt}`)?.end();
      if (rest !== undefined) void printBytes(rest);
      open.delete(`${task}.${attempt}`);
    },
  };
}

/** Says once why nothing new is started, if so. */
function tellHolding(): (progress: { holding: string | undefined }) => void {
  let told: string | undefined;
  return ({ holding }) => {
    if (holding !== undefined && holding !== told) note(`nothing new is started: ${holding}`);
    told = holding;
  };
}

/** A single command speaks for itself, unless it was never run. */
function tellFailure(
  { job, layout, isPrivate }: Venue,
  { only }: Work,
  { status, unsuccessful, tasks }: RunOutcome,
): void {
  if (status === 0) return;
  if (unsuccessful.length === 0) return note('the work vanished before it was done');
  const shown = unsuccessful
    .slice(0, 10)
    .map(({ task, state, why }) => `  ${job}/${task} ${state}${why === '' ? '' : `: ${why}`}`);
  if (unsuccessful.length > 10) shown.push(`  … and ${unsuccessful.length - 10} more`);
  if (only !== undefined && tasks === 1) note((unsuccessful[0]?.why ?? '') || `${only} did not succeed`);
  else note(`${unsuccessful.length} of ${tasks} tasks did not succeed:\n${shown.join('\n')}`);
  if (!isPrivate) note(`more: spoold why ${job} --dir ${shellWord(layout.root)}`);
}
