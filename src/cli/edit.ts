// `spoold edit JOB/TASK`: changes a waiting task by a copy that is checked before it takes the file's place.
import { Option } from 'clipanion';
import { AddressCommand } from './base.ts';
import { print, printJson } from './print.ts';

export class EditCommand extends AddressCommand {
  static override paths = [['edit']];
  static override usage = AddressCommand.Usage({
    description: 'Change a waiting task in $VISUAL or $EDITOR.',
    details:
      'The copy is checked before it is put back. If the task has started meanwhile, nothing is changed and the copy is kept.',
    examples: [['Change a task that waits', '$0 edit etl/load']],
  });

  task = Option.String({ name: 'address', required: true });

  override async execute(): Promise<void> {
    const [{ openDirectory }, { editTask }] = await Promise.all([
      import('../client/directory.ts'),
      import('./edit-dialogue.ts'),
    ]);
    const { job, task } = this.needTask(this.task);
    const outcome = await editTask(openDirectory(this.dir), job, task, ['pending']);
    if (this.json) printJson({ job, task, changed: outcome === 'changed' });
    else print(`${job}/${task} is ${outcome}`);
  }
}
