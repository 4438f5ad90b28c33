// `spoold cancel ADDRESS…`: `mv` to cancelled/; what runs is ended by the daemon, which sees its file gone.
import { Option } from 'clipanion';
import { AddressCommand } from './base.ts';
import { note, print, printJson } from './print.ts';

/** How long a cancelled task that runs is watched for its end. */
const WATCH_MS = 2_000;

export class CancelCommand extends AddressCommand {
  static override paths = [['cancel']];
  static override usage = AddressCommand.Usage({
    description: 'Cancel tasks, waiting or running; of a job, all that is unfinished.',
    details: `
      A running task gets SIGTERM, and SIGKILL when its kill_after is over. What it queued is cancelled with it. To run a
      cancelled task after all: spoold retry.
    `,
    examples: [
      ['One task', '$0 cancel etl/load'],
      ['All that is unfinished in a job', '$0 cancel etl'],
    ],
  });

  addresses = Option.Rest({ name: 'address', required: 1 });

  override async execute(): Promise<number> {
    const [
      { dirOption, openDirectory },
      { awaitEnds, cancelJob, cancelTask },
      { isServed },
      { failuresJson, printFailures, tryEach },
      { endsText, movesText },
    ] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/moves.ts'),
      import('../client/place.ts'),
      import('./addresses.ts'),
      import('./moves-text.ts'),
    ]);
    const addresses = this.addresses.map((text) => this.needAddress(text));
    const layout = openDirectory(this.dir);
    const tried = await tryEach(addresses, (address) => ({
      address,
      moves:
        address.task === undefined
          ? cancelJob(layout, address.job, () =>
              note(`an array of ${address.job} is being made tasks of; they are cancelled as they come`),
            )
          : cancelTask(layout, address.job, address.task),
    }));
    const ran = tried.done.flatMap(({ moves }) => moves.moved.filter(({ attempt }) => attempt !== undefined));
    const served = isServed(layout);
    const ends = await awaitEnds(layout, ran, served ? WATCH_MS : 0);
    if (this.json) {
      if (tried.done.length === 0) return printFailures(tried);
      printJson({
        moved: tried.done.flatMap(({ moves }) => moves.moved),
        unmoved: tried.done.flatMap(({ moves }) => moves.unmoved),
        still_ending: ends.filter(({ kind }) => kind === 'ending').map(({ move: { job, task } }) => ({ job, task })),
        errors: failuresJson(tried),
      });
      return printFailures(tried);
    }
    for (const { address, moves } of tried.done) {
      if (moves.moved.length + moves.unmoved.length === 0)
        print(`${address.job} has nothing to cancel: all of it has ended`);
      const waited = moves.moved.filter(({ attempt }) => attempt === undefined);
      for (const line of movesText(
        { moved: waited, unmoved: moves.unmoved },
        () => 'is cancelled; it had not started',
        'are cancelled; they had not started',
      ))
        print(line);
    }
    for (const line of endsText(ends)) print(line);
    if (!served && ran.length > 0)
      note(`no daemon serves ${layout.root}, so what runs goes on until one does: spoold start${dirOption(layout)}`);
    return printFailures(tried);
  }
}
