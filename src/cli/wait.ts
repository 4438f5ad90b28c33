// `spoold wait [ADDRESS…]`: until it has ended, with everything it queued.
import { Option } from 'clipanion';
import type { WaitItem, WaitOutcome, WaitProgress } from '../client/wait.ts';
import { knownError } from '../client/access.ts';
import type { Address } from '../protocol/names.ts';
import { AddressCommand } from './base.ts';
import { note, printError, printJson, usageError } from './print.ts';

export class WaitCommand extends AddressCommand {
  static override paths = [['wait']];
  static override usage = AddressCommand.Usage({
    description: 'Wait until tasks or jobs have ended, with all they queued; without an address, until everything has.',
    details: `
      Ends with the exit status of the task where one task is named (128 + n if signal n killed it, 125 if spoold could not
      start it; cancelled, skipped, rejected and lost are 1), else with 0 or 1; with 124 at the --timeout, and with 3 at once
      where it would wait for ever: no daemon, or nothing able to start.
    `,
    examples: [
      ['A job', '$0 wait etl'],
      ['A task, for five minutes at most', '$0 wait etl/load --timeout 5m'],
    ],
  });

  timeout = Option.String('--timeout', { description: 'Give up after this time, with exit status 124: 90s, 5m' });
  addresses = Option.Rest({ name: 'address' });

  override async execute(): Promise<number> {
    const addresses = this.wanted();
    const timeout = await this.seconds();
    const [{ openDirectory }, { waitFor }] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/wait.ts'),
    ]);
    const layout = openDirectory(this.dir);
    try {
      const outcome = await withProgress((onProgress) => waitFor(layout, addresses, { timeout, ...onProgress }));
      if (this.json) printJson(outcomeJson(outcome));
      else tell(outcome.items);
      return outcome.status;
    } catch (error) {
      const known = knownError(error);
      if (known !== undefined) throw known;
      printError(error);
      return 125; // no status of the task's
    }
  }

  private wanted(): Address[] {
    if (this.addresses.length > 0) return this.addresses.map((text) => this.needAddress(text));
    return this.job === undefined ? [] : [this.needAddress(undefined)];
  }

  private async seconds(): Promise<number | undefined> {
    if (this.timeout === undefined) return undefined;
    const { durationProblem, parseDuration } = await import('../protocol/values.ts');
    const seconds = parseDuration(this.timeout);
    if (seconds === undefined) throw usageError(`--timeout: ${durationProblem(this.timeout)}.`);
    return seconds === 'none' ? undefined : seconds;
  }
}

/** Has a wait shown on one line of the terminal, if there is one. */
export async function withProgress(
  wait: (options: { onProgress?: (progress: WaitProgress) => void }) => Promise<WaitOutcome>,
): Promise<WaitOutcome> {
  const progress = process.stderr.isTTY ? new ProgressLine() : undefined;
  return wait(progress === undefined ? {} : { onProgress: progress.show }).finally(() => progress?.clear());
}

/** The document of `wait --json`. */
export function outcomeJson({ kind, items, status }: WaitOutcome): object {
  return { ended: kind === 'ended', timed_out: kind === 'timeout', status, items: items.map(json) };
}

function json({ job, task, state, status, message }: WaitItem): object {
  return {
    job,
    ...(task !== undefined && { task }),
    state,
    status: status ?? null,
    ...(message !== undefined && { message }),
  };
}

const MOST_TOLD = 20;

/** Success is silent, as with wait(1). */
export function tell(items: readonly WaitItem[]): void {
  const lines = items.flatMap(({ job, task, state, status, message }) => {
    const name = task === undefined ? job : `${job}/${task}`;
    if (status === undefined) return [`${name} has not ended: ${state}`];
    const why = message === undefined || message === state ? '' : `: ${message}`;
    return status === 0 ? [] : [`${name} is ${state}${why}`];
  });
  for (const line of lines.slice(0, MOST_TOLD)) note(line);
  if (lines.length > MOST_TOLD) note(`and ${lines.length - MOST_TOLD} more`);
}

/** One line on the terminal that is written over. */
class ProgressLine {
  private shown = '';

  readonly show = ({ running, waiting, left, of, holding }: WaitProgress): void => {
    const ended = of > 1 ? `${of - left} of ${of} ended · ` : '';
    const text = `${ended}${running} running, ${waiting} waiting${holding === undefined ? '' : ` · ${holding}`}`;
    if (text === this.shown) return;
    this.shown = text;
    process.stderr.write(`\r\u001b[K${text.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1))}`);
  };

  clear(): void {
    if (this.shown !== '') process.stderr.write('\r\u001b[K');
  }
}
