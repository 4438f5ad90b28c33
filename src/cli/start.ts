// `spoold start`: in the background unless told otherwise. The background daemon is this program again, with
// --background-child: its standard error goes to the starter until it serves, and to nobody from then on.
import { Option } from 'clipanion';
import { SpooldError } from '../errors.ts';
import { BaseCommand } from './base.ts';
import { note, print, whenUnprintable } from './print.ts';

export class StartCommand extends BaseCommand {
  static override paths = [['start']];
  static override usage = BaseCommand.Usage({
    description: 'Start the daemon, and the state directory if there is none; returns once it serves.',
    details: `
      Starting a running one is no error; where one is draining, spoold restart has another one serve at once. In the foreground: SIGTERM and Ctrl-C stop it and leave running tasks running,
      SIGHUP has it read config.yaml again. Whatever ran when a daemon went away is adopted by the next.
    `,
  });

  foreground = Option.Boolean('--foreground', false, { description: 'Stay; the log goes to standard error' });
  backgroundChild = Option.Boolean('--background-child', false, { hidden: true });

  override async execute(): Promise<number> {
    const { dirOption, openDirectory } = await import('../client/directory.ts');
    if (this.backgroundChild) return serveInBackground(this.dir);
    if (this.foreground) return serveHere(this.dir);
    const { startDaemon } = await import('../client/daemon.ts');
    const layout = openDirectory(this.dir, { create: true });
    const { pid, isNew, version } = await startDaemon(layout, process.argv[1] as string);
    const { VERSION } = await import('../version.ts');
    if (isNew) print(`spoold ${pid} serves ${layout.root}`);
    else print(`spoold ${pid} serves ${layout.root} already`);
    if (version !== VERSION)
      note(
        `it is of version ${version}, this is ${VERSION}. To change over (running tasks go on): spoold restart${dirOption(layout)}`,
      );
    return 0;
  }
}

async function serveInBackground(dir: string | undefined): Promise<number> {
  const { ANOTHER_SERVES } = await import('../client/daemon.ts');
  try {
    const { status } = await serve(dir, 'file');
    return status;
  } catch (error) {
    if (error instanceof SpooldError && error.code === 'DAEMON_RUNNING') return ANOTHER_SERVES;
    throw error;
  }
}

async function serveHere(dir: string | undefined): Promise<number> {
  const { status, running } = await serve(dir, 'stderr', (pid, root) => print(`spoold ${pid} serves ${root}`));
  for (const task of running) note(`${task} runs on`);
  return status;
}

/** Serves the directory until a signal ends it. */
async function serve(dir: string | undefined, log: 'file' | 'stderr', onServing?: (pid: number, root: string) => void) {
  const [daemon, { whereabouts }, { takeStopRequest }] = await Promise.all([
    import('../daemon/daemon.ts'),
    import('../client/directory.ts'),
    import('../client/stop-request.ts'),
  ]);
  let serving: Awaited<ReturnType<typeof daemon.serve>> | undefined;
  let early = false;
  const stop = () => {
    if (serving === undefined) {
      early = true;
      return;
    }
    serving.stop(takeStopRequest(serving.layout) ?? 'now');
  };
  whenUnprintable(() => undefined); // a daemon needs no reader
  // Before it serves: whoever sees it serve may signal it.
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => serving?.reload());
  serving = await daemon.serve({ dir: whereabouts(dir), log });
  if (early) stop();
  onServing?.(serving.pid, serving.layout.root);
  return serving.ended;
}
