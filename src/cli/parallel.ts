// `spoold parallel [N] [JOB]`: the file `parallel`, a number that holds instead of max_parallel.
import { Option } from 'clipanion';
import type { Parallel } from '../client/pause.ts';
import { AddressCommand } from './base.ts';
import { note, print, printJson, usageError } from './print.ts';

export class ParallelCommand extends AddressCommand {
  static override paths = [['parallel']];
  static override usage = AddressCommand.Usage({
    description: 'Show or set how many tasks run at a time, in all or of one job.',
    details:
      'The number holds instead of max_parallel in config.yaml or job.json, at once, until --unset. 0 starts nothing.',
    examples: [
      ['What holds', '$0 parallel'],
      ['Four at a time in all', '$0 parallel 4'],
      ['Two of the job etl', '$0 parallel 2 etl'],
      ['As the config says', '$0 parallel --unset'],
    ],
  });

  unset = Option.Boolean('--unset', false, { description: 'Remove the number: max_parallel holds again' });
  first = Option.String({ name: 'n', required: false });
  second = Option.String({ name: 'job', required: false });

  override async execute(): Promise<void> {
    const [{ openDirectory }, { allParallel, parallelOf, setParallel }] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/pause.ts'),
    ]);
    const { count, job } = this.meaning();
    const layout = openDirectory(this.dir);
    if (count === undefined && !this.unset) {
      const all = job === undefined && this.job === undefined ? allParallel(layout) : [parallelOf(layout, job)];
      if (this.json) return printJson(all.map(json));
      for (const one of all) print(words(one));
      return;
    }
    const now = setParallel(layout, job, count);
    if (this.json) return printJson(json(now));
    if (count === undefined) print(`${job ?? 'everything'}: max_parallel holds again`);
    else print(`${job ?? 'everything'}: at most ${count} at a time`);
    if (count === 0) note('nothing new starts while it is 0');
  }

  private meaning(): { count: number | undefined; job: string | undefined } {
    const { first, second } = this;
    const isCount = first !== undefined && /^-?[\d.]+$/.test(first) && !(this.unset && second === undefined);
    const name = isCount ? second : first;
    if (!isCount && second !== undefined)
      throw usageError(`${JSON.stringify(first)} is no number.`, 'Usage: spoold parallel [N] [JOB]');
    if (isCount && this.unset) throw usageError('A number and --unset contradict each other.');
    if (name !== undefined && this.job !== undefined && name !== this.job)
      throw usageError(`Two jobs are named: ${this.job} and ${name}.`);
    const address = this.address(this.job === undefined ? name : undefined);
    if (address?.task !== undefined) throw usageError(`This works on a whole job: ${address.job}, not one task of it.`);
    return { count: isCount ? Number(first) : undefined, job: address?.job };
  }
}

function json({ job, set, inForce }: Parallel): object {
  return { job: job ?? null, set: set ?? null, ...(job === undefined && { in_force: inForce ?? null }) };
}

function words({ job, set, inForce }: Parallel): string {
  const place = job ?? 'everything';
  if (set === 'damaged') return `${place}: the file parallel holds no whole number, and is passed over`;
  if (set !== undefined) return `${place}: at most ${set} at a time (by the file parallel)`;
  if (job !== undefined) return `${place}: as job.json says, or one at a time`;
  return inForce === undefined ? 'everything: as config.yaml says' : `everything: at most ${inForce} at a time`;
}
