// `spoold stop`: the daemon goes, the work stays, unless --drain or --kill say otherwise.
import { Option } from 'clipanion';
import type { StopHow, Stopped } from '../client/daemon.ts';
import { BaseCommand } from './base.ts';
import { note, print, usageError } from './print.ts';

export class StopCommand extends BaseCommand {
  static override paths = [['stop']];
  static override usage = BaseCommand.Usage({
    description: 'Stop the daemon. Running tasks run on, and the next daemon adopts them.',
    details: 'Stopping a stopped one is no error. With --timeout the exit status is 124 if it has not stopped by then.',
  });

  drain = Option.Boolean('--drain', false, { description: 'Start nothing new, and stop when all that runs has ended' });
  kill = Option.Boolean('--kill', false, { description: 'End running tasks first; they go back to pending' });
  timeout = Option.String('--timeout', { description: 'Wait for it at most this long: 90s, 5m' });

  override async execute(): Promise<void> {
    const { openDirectory, isThere } = await import('../client/directory.ts');
    const how = stopHow(this.drain, this.kill);
    const timeout = await milliseconds(this.timeout);
    if (!isThere(this.dir)) {
      print('No daemon was running.');
      return;
    }
    const layout = openDirectory(this.dir);
    const { stopDaemon } = await import('../client/daemon.ts');
    const stopped = await stopDaemon(layout, { how, timeout, onWait: waiting(how) }).finally(endProgress);
    report(stopped, layout.root);
  }
}

/** Errors: USAGE. */
export function stopHow(drain: boolean, kill: boolean): StopHow {
  if (drain && kill) throw usageError('--drain waits for running tasks, --kill ends them.', 'Give one of them.');
  return drain ? 'drain' : kill ? 'kill' : 'now';
}

async function milliseconds(text: string | undefined): Promise<number | undefined> {
  if (text === undefined) return undefined;
  const { durationProblem, parseDuration } = await import('../protocol/values.ts');
  const seconds = parseDuration(text);
  if (seconds === undefined) throw usageError(`--timeout: ${durationProblem(text)}.`);
  return seconds === 'none' ? undefined : seconds * 1000;
}

let lineIsOpen = false;

/** Tells a terminal, on one line, what a drain waits for. */
export function waiting(how: StopHow): (running: string[]) => void {
  return (running) => {
    if (how === 'now' || !process.stderr.isTTY) return;
    const names = running.slice(0, 3).join(', ') + (running.length > 3 ? ', …' : '');
    process.stderr.write(
      `\r\u001B[Kwaiting for ${running.length} running: ${names}`.slice(0, (process.stderr.columns || 80) + 4),
    );
    lineIsOpen = true;
  };
}

/** Leaves the terminal as `waiting` found it. */
export function endProgress(): void {
  if (lineIsOpen) process.stderr.write('\r\u001B[K');
  lineIsOpen = false;
}

export function report({ pid, running, unnoted }: Stopped, root: string): void {
  print(pid === undefined ? `No daemon was running in ${root}.` : `spoold ${pid} has stopped.`);
  const on = 'on without a daemon, and the next one adopts them';
  tell(running, `this task runs ${on}`, `these ${running.length} tasks run ${on}`);
  const noted = 'ended, and the next daemon notes what became of it';
  tell(unnoted, `this task has ${noted}`, `these ${unnoted.length} tasks have ${noted}`);
}

function tell(tasks: readonly string[], one: string, many: string): void {
  if (tasks.length === 0) return;
  note(`${tasks.length === 1 ? one : many}:\n  ${tasks.slice(0, 20).join('\n  ')}`);
  if (tasks.length > 20) process.stderr.write(`  … and ${tasks.length - 20} more\n`);
}
