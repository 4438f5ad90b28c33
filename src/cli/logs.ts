// `spoold logs ADDRESS`: what a task, or all tasks of a job, printed; bytes as they came.
import { once } from 'node:events';
import { Option } from 'clipanion';
import { BaseCommand, resolveAddress } from './base.ts';
import { note, usageError } from './print.ts';

export class LogsCommand extends BaseCommand {
  static override paths = [['logs']];
  static override usage = BaseCommand.Usage({
    description: 'Show what a task printed; of a job, what all its tasks printed, each line with its task.',
    details:
      'Without --attempt it is the latest attempt. With -f it goes on until the task has ended, over to the next attempt if it is tried again.',
    examples: [
      ['The last 20 lines, and what follows', '$0 logs -f -n 20 etl/load'],
      ['What the first attempt printed', '$0 logs --attempt 1 etl/load'],
    ],
  });

  job = Option.String('-J,--job', { description: 'The job; the address is then the name of a task in it' });
  follow = Option.Boolean('-f,--follow', false, { description: 'Go on as it grows, until the task has ended' });
  lines = Option.String('-n,--lines', { description: 'Only the last so many lines' });
  attempt = Option.String('--attempt', { description: 'Which attempt, from 1 (default: the latest)' });
  where = Option.String({ name: 'address', required: false });

  override async execute(): Promise<void> {
    const address = resolveAddress(this.job, this.where);
    if (address === undefined)
      throw usageError('Whose output? Give an address: JOB/TASK, or JOB for all of it.', 'spoold status lists them.');
    const lines = wholeNumber('-n', this.lines, 0);
    const attempt = wholeNumber('--attempt', this.attempt, 1);
    const { job, task } = address;
    if (task === undefined && attempt !== undefined) throw usageError('--attempt needs one task: JOB/TASK.');
    const [{ dirOption, openDirectory }, logs] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/logs.ts'),
    ]);
    const layout = openDirectory(this.dir);
    if (this.follow) {
      const { isServed } = await import('../client/place.ts');
      if (!isServed(layout)) note(`no daemon serves ${layout.root}, so nothing new starts`);
    }
    if (task === undefined) {
      if (this.follow) await logs.followJob(layout, job, { lines, sink });
      else await logs.showJobLogs(layout, job, lines, sink);
    } else if (this.follow) {
      const onAttempt = (n: number | undefined) =>
        note(n === undefined ? `${job}/${task} has not been started yet` : `${job}/${task}, attempt ${n}:`);
      await logs.followTask(layout, job, task, { lines, attempt, sink, onAttempt });
    } else {
      const shown = logs.attemptToShow(layout, job, task, attempt);
      if (shown === undefined)
        note(`${job}/${task} has not been started yet: spoold why${dirOption(layout)} ${job}/${task}`);
      else await logs.showLog(shown, lines, sink);
    }
    if (process.stdout.writableLength > 0)
      await new Promise<void>((written) => process.stdout.write('', () => written()));
  }
}

/** Waits for a slow reader, so that a log of a gigabyte is never held in memory. */
async function sink(bytes: Uint8Array): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

function wholeNumber(option: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw usageError(`${option}: expected a whole number ≥ ${least}, got ${JSON.stringify(text)}.`);
  return Number(text);
}
