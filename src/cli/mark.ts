// `spoold mark ADDRESS… succeeded|skipped`: `mv` to that folder; events.ndjson says who did it.
import { Option } from 'clipanion';
import { AddressCommand } from './base.ts';
import { note, print, printJson, usageError } from './print.ts';

const WATCH_MS = 2_000;

export class MarkCommand extends AddressCommand {
  static override paths = [['mark']];
  static override usage = AddressCommand.Usage({
    description: 'Call tasks succeeded or skipped without running them.',
    details: 'What depends on a task marked succeeded may start. A task that runs is ended. events.ndjson keeps who did it.',
    examples: [['It was done by hand', '$0 mark etl/load succeeded']],
  });

  words = Option.Rest({ name: 'address… succeeded|skipped', required: 2 });

  override async execute(): Promise<number> {
    const to = this.words.at(-1);
    if (to !== 'succeeded' && to !== 'skipped') {
      throw usageError(`A task can be marked succeeded or skipped, not ${JSON.stringify(to)}.`, 'Usage: spoold mark JOB/TASK succeeded|skipped');
    }
    const addresses = this.words.slice(0, -1).map((text) => this.needTask(text));
    const [{ openDirectory }, { awaitEnds, markTask }, { isServed }, { failuresJson, printFailures, tryEach }, { addressOf, movesText }] =
      await Promise.all([
        import('../client/directory.ts'),
        import('../client/moves.ts'),
        import('../client/place.ts'),
        import('./addresses.ts'),
        import('./moves-text.ts'),
      ]);
    const layout = openDirectory(this.dir);
    const tried = tryEach(addresses, ({ job, task }) => markTask(layout, job, task, to));
    const moved = tried.done.flatMap((moves) => moves.moved);
    const ran = moved.filter(({ attempt }) => attempt !== undefined);
    const served = isServed(layout);
    const ends = await awaitEnds(layout, ran, served ? WATCH_MS : 0);
    if (this.json) {
      printJson({ moved, unmoved: tried.done.flatMap((moves) => moves.unmoved), errors: failuresJson(tried) });
      return printFailures(tried);
    }
    for (const moves of tried.done) for (const line of movesText(moves, ({ from }) => `is ${to} now (it was ${from})`)) print(line);
    for (const { kind, move } of ends) if (kind === 'ending' && served) print(`${addressOf(move)}: attempt ${move.attempt} is being ended`);
    if (!served && ran.length > 0) note(`no daemon serves ${layout.root}, so what runs goes on until one does: spoold start`);
    return printFailures(tried);
  }
}
