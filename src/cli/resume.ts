// `spoold resume [JOB]`: removes the file `paused`.
import { AddressCommand } from './base.ts';
import { PlaceCommand } from './pause.ts';
import { note, print, printJson } from './print.ts';

export class ResumeCommand extends PlaceCommand {
  static override paths = [['resume']];
  static override usage = AddressCommand.Usage({
    description: 'Go on after a pause, everywhere or in one job.',
    details: 'Jobs that were paused by themselves stay paused when everything goes on.',
  });

  override async execute(): Promise<void> {
    const [{ dirOption, openDirectory }, { pausedJobs, readPause, resume }] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/pause.ts'),
    ]);
    const job = this.wantedJob(this.place);
    const layout = openDirectory(this.dir);
    const { changed } = resume(layout, job);
    const others = pausedJobs(layout);
    if (this.json) return printJson({ job: job ?? null, paused: false, changed });
    print(changed ? `${job ?? 'everything'} goes on` : `${job ?? 'everything'} was not paused`);
    if (job !== undefined && readPause(layout) !== undefined)
      note(`everything is paused still: spoold resume${dirOption(layout)}`);
    if (job === undefined && others.length > 0) note(`still paused by themselves: ${others.join(', ')}`);
  }
}
