// `spoold status`: everything, one job, or one task.
import { Option } from 'clipanion';
import type { Layout } from '../protocol/layout.ts';
import type { Address } from '../protocol/names.ts';
import { AddressCommand } from './base.ts';
import { print, printJson, usageError } from './print.ts';

const SHOWN_FAILURES = 5;
const SHOWN_TASKS = 10;
const LAST_LINES = 10;

export class StatusCommand extends AddressCommand {
  static override paths = [['status']];
  static override usage = AddressCommand.Usage({
    description: 'Show what runs, what waits and why, what failed and why; of everything, one job, or one task.',
    examples: [
      ['Everything', '$0 status'],
      ['One job', '$0 status etl'],
      ['One task: its command, its attempts, its output', '$0 status etl/load'],
      ['As it goes', '$0 status --watch'],
    ],
  });

  watch = Option.Boolean('-w,--watch', false, { description: 'Show it as it changes, until q or Ctrl-C' });
  where = Option.String({ name: 'address', required: false });

  override async execute(): Promise<void> {
    if (this.watch && this.json) throw usageError('--watch and --json do not go together: --json is one document.');
    const address = this.address(this.where);
    const { openDirectory } = await import('../client/directory.ts');
    const layout = openDirectory(this.dir);
    if (this.json) return printJson(await documentOf(layout, address));
    if (this.watch) {
      const { watchText } = await import('./watch.ts');
      return watchText(() => this.text(layout, address));
    }
    print((await this.text(layout, address)).join('\n'));
  }

  private async text(layout: Layout, address: Address | undefined): Promise<string[]> {
    const { dirOption } = await import('../client/directory.ts');
    const width = process.stdout.isTTY ? Math.max(40, process.stdout.columns ?? 80) : 200;
    const show = { now: Date.now(), width, dir: dirOption(layout) };
    if (address?.task !== undefined) {
      const [{ taskText }, { taskReport }] = await Promise.all([
        import('./task-text.ts'),
        import('../client/task-report.ts'),
      ]);
      return taskText(taskReport(layout, address.job, address.task, LAST_LINES), show);
    }
    const [words, { jobReport, overview }] = await Promise.all([
      import('./status-text.ts'),
      import('../client/status.ts'),
    ]);
    if (address !== undefined) return words.jobText(jobReport(layout, address.job, SHOWN_TASKS), show);
    return words.overviewText(overview(layout, { failed: SHOWN_FAILURES, lines: 3, others: 5 }), show);
  }
}

async function documentOf(layout: Layout, address: Address | undefined): Promise<unknown> {
  const { jobStatusJson, statusJson } = await import('../client/status.ts');
  if (address === undefined) return statusJson(layout);
  if (address.task === undefined) return jobStatusJson(layout, address.job);
  const { taskJson, taskReport } = await import('../client/task-report.ts');
  return taskJson(taskReport(layout, address.job, address.task, 0));
}
