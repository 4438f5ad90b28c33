// `spoold why`: why a task waits, failed, was skipped, or is what it is; or the same of a whole job.
import { Option } from 'clipanion';
import { AddressCommand } from './base.ts';
import { print, printJson } from './print.ts';

const LAST_LINES = 10;

export class WhyCommand extends AddressCommand {
  static override paths = [['why']];
  static override usage = AddressCommand.Usage({
    description: 'Say why a task waits, failed, was skipped or cancelled, and what it all comes down to.',
    details: `
      Tells what a waiting task waits for (a task, one that this one queued, a slot and who holds it, a time, a pause, a
      daemon), why one failed or was skipped, down to the task that caused it, and the command that helps next. Of a
      whole job: what failed, and what everything else waits for.
    `,
    examples: [
      ['A task', '$0 why etl/load'],
      ['A job', '$0 why etl'],
    ],
  });

  where = Option.String({ name: 'address' });

  override async execute(): Promise<void> {
    const { job, task } = this.needAddress(this.where);
    const { dirOption, openDirectory } = await import('../client/directory.ts');
    const layout = openDirectory(this.dir);
    const width = process.stdout.isTTY ? Math.max(40, process.stdout.columns ?? 80) : 200;
    const show = { now: Date.now(), width, dir: dirOption(layout) };
    if (task === undefined) {
      const [{ whyJob }, { jobWhyJson, jobWhyText }] = await Promise.all([
        import('../client/why-job.ts'),
        import('./why-job-text.ts'),
      ]);
      const told = whyJob(layout, job);
      return this.json ? printJson(jobWhyJson(told, show)) : print(jobWhyText(told, show).join('\n'));
    }
    const [{ whyTask }, { taskWhyJson, taskWhyText }] = await Promise.all([
      import('../client/why.ts'),
      import('./why-text.ts'),
    ]);
    const told = whyTask(layout, job, task, LAST_LINES);
    if (this.json) printJson(taskWhyJson(told, show));
    else print(taskWhyText(told, show).join('\n'));
  }
}
