// `spoold mark JOB/TASK succeeded|skipped`: `mv` to that folder; events.ndjson says who did it.
import { Option } from 'clipanion';
import { AddressCommand } from './base.ts';
import { note, print, printJson, usageError } from './print.ts';

const WATCH_MS = 2_000;

export class MarkCommand extends AddressCommand {
  static override paths = [['mark']];
  static override usage = AddressCommand.Usage({
    description: 'Call a task succeeded or skipped without running it.',
    details:
      'What depends on a task marked succeeded may start. A task that runs is ended. events.ndjson keeps who did it.',
    examples: [['It was done by hand', '$0 mark etl/load succeeded']],
  });

  where = Option.String({ name: 'address' });
  what = Option.String({ name: 'succeeded|skipped' });

  override async execute(): Promise<void> {
    const to = this.what;
    if (to !== 'succeeded' && to !== 'skipped') {
      throw usageError(
        `A task can be marked succeeded or skipped, not ${JSON.stringify(to)}.`,
        'Usage: spoold mark JOB/TASK succeeded|skipped',
      );
    }
    const { job, task } = this.needTask(this.where);
    const [{ dirOption, openDirectory }, { awaitEnds, markTask }, { isServed }, { addressOf, movesText }] =
      await Promise.all([
        import('../client/directory.ts'),
        import('../client/moves.ts'),
        import('../client/place.ts'),
        import('./moves-text.ts'),
      ]);
    const layout = openDirectory(this.dir);
    const moves = markTask(layout, job, task, to);
    if (this.json) return printJson(moves);
    for (const line of movesText(moves, ({ from }) => `is ${to} now (it was ${from})`)) print(line);
    const ran = moves.moved.filter(({ attempt }) => attempt !== undefined);
    if (ran.length === 0) return;
    if (!isServed(layout))
      return note(
        `no daemon serves ${layout.root}, so what runs goes on until one does: spoold start${dirOption(layout)}`,
      );
    for (const { kind, move } of await awaitEnds(layout, ran, WATCH_MS)) {
      print(`${addressOf(move)}: attempt ${move.attempt} ${kind === 'ended' ? 'has ended' : 'is being ended'}`);
    }
  }
}
