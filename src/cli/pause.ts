// `spoold pause [JOB]`: the file `paused`; while it is there, nothing new is started. What runs goes on.
import { Option } from 'clipanion';
import { AddressCommand } from './base.ts';
import { print, printJson, usageError } from './print.ts';

export abstract class PlaceCommand extends AddressCommand {
  place = Option.String({ name: 'job', required: false });

  /** The job that is meant; undefined: everything. */
  protected wantedJob(text: string | undefined): string | undefined {
    if (text !== undefined && this.job !== undefined && text !== this.job)
      throw usageError(`Two jobs are named: ${this.job} and ${text}.`);
    const { job, task } = this.address(this.job === undefined ? text : undefined) ?? {};
    if (task !== undefined) throw usageError(`This works on a whole job: ${job}, not ${job}/${task}.`);
    return job;
  }
}

export class PauseCommand extends PlaceCommand {
  static override paths = [['pause']];
  static override usage = AddressCommand.Usage({
    description: 'Start nothing new, anywhere or in one job; what runs goes on.',
    examples: [
      ['Everything', '$0 pause'],
      ['One job', '$0 pause etl'],
    ],
  });

  override async execute(): Promise<void> {
    const [{ dirOption, openDirectory }, { pause }] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/pause.ts'),
    ]);
    const job = this.wantedJob(this.place);
    const layout = openDirectory(this.dir);
    const { changed, pause: held } = pause(layout, job);
    if (this.json)
      return printJson({ job: job ?? null, paused: true, changed, by: held?.by ?? null, since: held?.since ?? null });
    const place = job ?? 'everything';
    if (changed)
      print(
        `${place} is paused: nothing new starts, what runs goes on. To go on: spoold resume${dirOption(layout)}${job === undefined ? '' : ` ${job}`}`,
      );
    else
      print(
        `${place} is paused already${held?.by === undefined ? '' : `, by ${held.by}`}${held === undefined ? '' : ` since ${held.since}`}`,
      );
  }
}
