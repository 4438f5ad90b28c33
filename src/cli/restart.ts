// `spoold restart`: stop, then start; what runs meanwhile runs on and is adopted.
import { Option } from 'clipanion';
import { BaseCommand } from './base.ts';
import { print } from './print.ts';
import { endProgress, stopHow, waiting } from './stop.ts';

export class RestartCommand extends BaseCommand {
  static override paths = [['restart']];
  static override usage = BaseCommand.Usage({
    description: 'Stop the daemon, if one runs, and start one. Running tasks run on and are adopted.',
  });

  drain = Option.Boolean('--drain', false, { description: 'Wait for running tasks first' });
  kill = Option.Boolean('--kill', false, { description: 'End running tasks first; they go back to pending' });

  override async execute(): Promise<void> {
    const [{ startDaemon, stopDaemon }, { openDirectory }] = await Promise.all([
      import('../client/daemon.ts'),
      import('../client/directory.ts'),
    ]);
    const how = stopHow(this.drain, this.kill);
    const layout = openDirectory(this.dir, { create: true });
    await stopDaemon(layout, { how, onWait: waiting(how) }).finally(endProgress);
    const { pid } = await startDaemon(layout, process.argv[1] as string);
    print(`spoold ${pid} serves ${layout.root}`);
  }
}
