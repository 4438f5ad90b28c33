// `spoold prove`: kills daemon, launcher and runners at random moments while work is done, on a disk of your choice, and
// says what became of the work.
import { constants, tmpdir } from 'node:os';
import { Option } from 'clipanion';
import type { Verdict } from '../client/prove.ts';
import { ReportingCommand } from './base.ts';
import { note, print, printJson, styled, usageError } from './print.ts';
import { thousands } from './words.ts';

export class ProveCommand extends ReportingCommand {
  static override paths = [['prove']];
  static override usage = ReportingCommand.Usage({
    description: 'Kill it again and again while it works, on your disk, and count what was lost.',
    details: `
      In a scratch directory of its own, tasks with dependencies, retries, timeouts and children are run while daemon,
      launcher and runners are killed by SIGKILL at random moments. The tasks write down what they do outside of the state
      directory; that account is the judge. The status is 1 if anything contradicts, and the directory is then kept.
      Interrupted, it cleans up and leaves what was under way unjudged; a second time it leaves at once.
    `,
    examples: [
      ['200 kills, in the folder for temporary files', '$0 prove'],
      ['1,000 kills, on another disk', '$0 prove --kills 1000 --on /srv/data'],
    ],
  });

  kills = Option.String('--kills', '200', { description: 'How many' });
  on = Option.String('--on', { description: 'A folder on the disk that you care about' });
  seed = Option.String('--seed', { description: 'Repeats the choices of a run (not its moments)' });

  override async execute(): Promise<number> {
    if (this.dir !== undefined) throw usageError('prove makes a directory of its own.', 'Where: --on FOLDER.');
    if (this.on === '')
      throw usageError('--on is empty: it should name a folder.', 'Leave it out for the folder for temporary files.');
    const kills = wholeNumber('--kills', this.kills);
    const seed = this.seed === undefined ? (Date.now() % 1_000_000) + 1 : wholeNumber('--seed', this.seed);
    const { prove } = await import('../client/prove.ts');
    process.umask(0o077); // who queues tasks that all may write to has them rejected
    const bar = new Bar(kills);
    const interruption = new Interruption(bar);
    const verdict = await prove({
      kills,
      seed,
      on: this.on ?? tmpdir(),
      script: process.argv[1] as string,
      onProgress: (progress) => bar.show(progress),
      onGround: (ground) => (interruption.ground = ground),
      isOver: () => interruption.status !== undefined,
    }).finally(() => bar.clear());
    const contradictions = [...verdict.lost, ...verdict.overlapping, ...verdict.reruns];
    if (this.json) printJson({ ...verdict, seed, kept: verdict.kept ?? null, contradictions: contradictions.length });
    else tell(verdict, contradictions, seed);
    return interruption.status ?? (contradictions.length === 0 ? 0 : 1);
  }
}

/** A first signal has it end and clean up; a second one leaves the folder, and nothing that runs. */
class Interruption {
  /** Undefined as long as nobody has interrupted it. */
  status: number | undefined;
  ground: { root: string; killAll: () => void } | undefined;

  constructor(bar: Bar) {
    const stop = (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void => {
      if (signal === 'SIGHUP') ignoreTheTerminal(); // it is gone
      bar.clear();
      if (this.status !== undefined) {
        this.ground?.killAll();
        note(`ended at once${this.ground === undefined ? '' : `; ${this.ground.root} is left`}`);
        process.exit(this.status);
      }
      this.status = 128 + constants.signals[signal];
      note('it is being ended: what is under way is not judged; a second time to leave at once');
    };
    process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop);
  }
}

function ignoreTheTerminal(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => undefined);
}

function wholeNumber(option: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw usageError(`${option} ${text}: it should be a whole number from 1.`);
}

function tell(verdict: Verdict, contradictions: readonly string[], seed: number): void {
  const { kills, tasks, lost, overlapping, reruns, kept } = verdict;
  const line = `${thousands(kills)} kills, ${thousands(tasks)} tasks: ${lost.length} lost, ${overlapping.length} overlapping, ${reruns.length} reruns without a recorded cause`;
  print(styled(contradictions.length === 0 ? 'green' : 'red', line));
  if (contradictions.length === 0) return;
  for (const found of contradictions.slice(0, 20)) print(`  ${found}`);
  if (contradictions.length > 20) print(`  … and ${thousands(contradictions.length - 20)} more`);
  if (kept !== undefined)
    note(`what is left of it is kept in ${kept}, with the account of the tasks; the seed was ${seed}`);
}

const WIDTH = 30;

/** On a terminal only, and on one line of it. */
class Bar {
  private readonly of: number;
  private shown = 0;
  private isOver = false;

  constructor(of: number) {
    this.of = of;
  }

  show({ kills, tasks }: { kills: number; tasks: number }): void {
    if (!process.stderr.isTTY || this.isOver) return;
    const words = `${thousands(kills)} of ${thousands(this.of)} kills${tasks === 0 ? '' : `, ${thousands(tasks)} tasks judged`}`;
    const width = Math.max(0, Math.min(WIDTH, (process.stderr.columns || 80) - words.length - 2));
    const done = Math.min(width, Math.floor((kills / this.of) * width));
    const text = `${'█'.repeat(done)}${'░'.repeat(width - done)} ${words}`;
    process.stderr.write(`\r${text.padEnd(this.shown)}`);
    this.shown = text.length;
  }

  /** Nothing is shown from now on. */
  clear(): void {
    this.isOver = true;
    if (process.stderr.isTTY && this.shown > 0) process.stderr.write(`\r${' '.repeat(this.shown)}\r`);
    this.shown = 0;
  }
}
