// `spoold init [DIR]`: a state directory in DIR/.spoold, with every setting as a comment in its config.yaml.
import { Option } from 'clipanion';
import { BaseCommand } from './base.ts';
import { print } from './print.ts';

export class InitCommand extends BaseCommand {
  static override paths = [['init']];
  static override usage = BaseCommand.Usage({
    description: 'Make a state directory: DIR/.spoold (DIR: here), or what --dir says.',
    details: 'Commands in DIR and below find it by themselves. Doing it again changes nothing.',
  });

  at = Option.String({ name: 'DIR', required: false });

  override async execute(): Promise<void> {
    const [{ initDirectory }, { dirOption }] = await Promise.all([
      import('../client/init.ts'),
      import('../client/directory.ts'),
    ]);
    const { layout, isNew } = initDirectory(this.dir, this.at);
    print(isNew ? `Made ${layout.root}. Next: spoold start${dirOption(layout)}` : `${layout.root} was there already.`);
  }
}
