// `spoold validate FILE…`: what would be wrong with them, before anybody is told to run them.
import { Option } from 'clipanion';
import type { FileKind } from '../client/validate.ts';
import { ReportingCommand } from './base.ts';
import { print, printJson, styled, usageError } from './print.ts';

export class ValidateCommand extends ReportingCommand {
  static override paths = [['validate']];
  static override usage = ReportingCommand.Usage({
    description: 'Check task files, arrays of tasks, job.json, workflows and config.yaml.',
    details: 'The kind is told by the name and by what is in the file. The status is 2 if anything is wrong.',
  });

  as = Option.String('--as', { description: 'task, bundle, job, workflow or config' });
  vars = Option.Array('--var', [], { description: 'NAME=VALUE of a workflow; may be repeated' });
  files = Option.Rest({ name: 'FILE', required: 1 });

  override async execute(): Promise<number> {
    const { FILE_KINDS, validateFile } = await import('../client/validate.ts');
    const kind = FILE_KINDS.find((name) => name === this.as);
    if (this.as !== undefined && kind === undefined)
      throw usageError(`--as ${this.as}: there is no such kind of file.`, `There are ${FILE_KINDS.join(', ')}.`);
    const { givenVariables } = await import('./task-options.ts');
    const vars = await givenVariables(this.vars);
    const all = this.files.map((file) => validateFile(file, kind, vars));
    if (this.json)
      printJson(
        all.map(({ path, kind: found, problems }) => ({
          path,
          kind: found ?? null,
          valid: problems.length === 0,
          problems,
        })),
      );
    else
      for (const { path, kind: found, problems } of all)
        print(
          problems.length === 0 ? `${path}: ${styled('green', 'ok')} (${WORDS[found ?? 'task']})` : problems.join('\n'),
        );
    return all.every(({ problems }) => problems.length === 0) ? 0 : 2;
  }
}

const WORDS: Record<FileKind, string> = {
  task: 'a task',
  bundle: 'an array of tasks',
  job: "a job's settings",
  workflow: 'a workflow',
  config: 'the settings of a state directory',
};
