// `spoold retry ADDRESS…`: `mv` to pending/, with a fresh retry budget.
import { Option } from 'clipanion';
import type { Moves } from '../client/moves.ts';
import type { Layout } from '../protocol/layout.ts';
import { AddressCommand } from './base.ts';
import { note, print, printJson } from './print.ts';

export class RetryCommand extends AddressCommand {
  static override paths = [['retry']];
  static override usage = AddressCommand.Usage({
    description:
      'Run tasks again: failed, cancelled, skipped, rejected or succeeded; of a job, all failed and cancelled ones.',
    details: `
      What was skipped because of a task comes back by itself when that task is tried again. With --edit the task is changed
      first, in $VISUAL or $EDITOR; a rejected one nearly always needs that.
    `,
    examples: [
      ['One task', '$0 retry etl/load'],
      ['All that failed or was cancelled in a job', '$0 retry etl'],
      ['Correct a task that was rejected', '$0 retry --edit etl/lod'],
    ],
  });

  edit = Option.Boolean('--edit', false, { description: 'Change it in an editor first' });
  addresses = Option.Rest({ name: 'address', required: 1 });

  override async execute(): Promise<number> {
    const [
      { dirOption, openDirectory },
      { retryJob, retryTask },
      { isServed },
      { failuresJson, printFailures, tryEach },
    ] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/moves.ts'),
      import('../client/place.ts'),
      import('./addresses.ts'),
    ]);
    const addresses = this.addresses.map((text) => (this.edit ? this.needTask(text) : this.needAddress(text)));
    const layout = openDirectory(this.dir);
    const tried = await tryEach(addresses, async ({ job, task }) => {
      if (task === undefined) return { job, moves: retryJob(layout, job) };
      if (this.edit && (await editFirst(layout, job, task)) === 'queued') return { job, moves: corrected(job, task) };
      return { job, moves: retryTask(layout, job, task) };
    });
    const dir = dirOption(layout);
    if (this.json) {
      if (tried.done.length === 0) return printFailures(tried);
      const moved = tried.done.flatMap(({ moves }) => moves.moved);
      printJson({ moved, unmoved: tried.done.flatMap(({ moves }) => moves.unmoved), errors: failuresJson(tried) });
      return printFailures(tried);
    }
    for (const { job, moves } of tried.done) await this.tell(job, moves, dir);
    if (tried.done.some(({ moves }) => moves.moved.length > 0) && !isServed(layout)) {
      note(`no daemon serves ${layout.root}, so nothing starts until one does: spoold start${dir}`);
    }
    return printFailures(tried);
  }

  private async tell(job: string, moves: Moves, dir: string): Promise<void> {
    const { addressOf, movesText } = await import('./moves-text.ts');
    if (moves.moved.length + moves.unmoved.length === 0)
      print(`${job} has nothing to run again: no task of it is failed or cancelled`);
    for (const line of movesText(
      moves,
      ({ from }) => (from === 'pending' ? NOW : `is pending again (it was ${from})`),
      'are pending again',
    ))
      print(line);
    for (const move of moves.moved) {
      if (move.cause === undefined) {
        if (move.from === 'rejected' && !this.edit)
          note(
            `${addressOf(move)} was rejected and has not been changed; if it is rejected again: spoold retry${dir} --edit ${addressOf(move)}`,
          );
        continue;
      }
      const { id, folder } = move.cause;
      note(
        `${addressOf(move)} was skipped because of ${job}/${id}, which is ${folder} still: it will be skipped again, but for: spoold retry${dir} ${job}/${id}`,
      );
    }
  }
}

async function editFirst(layout: Layout, job: string, task: string): Promise<'changed' | 'unchanged' | 'queued'> {
  const { editTask } = await import('./edit-dialogue.ts');
  return editTask(layout, job, task, ['failed', 'cancelled', 'skipped', 'rejected', 'succeeded']);
}

const NOW = 'waits no longer for the delay before its next attempt';

/** A rejected task that was corrected: it is in pending/ already. */
function corrected(job: string, task: string): Moves {
  return { moved: [{ job, task, from: 'rejected', to: 'pending' }], unmoved: [] };
}
