// `spoold submit FILE`: a workflow becomes a job, whole or not at all.
import { Option } from 'clipanion';
import type { PlannedTask } from '../client/workflow.ts';
import { ReportingCommand } from './base.ts';
import { note, print, printJson, styled } from './print.ts';

export class SubmitCommand extends ReportingCommand {
  static override paths = [['submit']];
  static override usage = ReportingCommand.Usage({
    description: 'Queue the tasks of a workflow file as one job; prints JOB once they are safely on the disk.',
    details: `
      The file is YAML or JSON: the job's settings, and its tasks by id under \`tasks\`. It is checked whole first. Tasks run in the
      file's folder unless they say where. A finished job of the same name goes to archive/.
    `,
    examples: [['See what would run, and in which order', '$0 submit --dry-run flow.yaml']],
  });

  job = Option.String('-J,--job', { description: "The job's name (default: what the file says, or the file's name)" });
  dryRun = Option.Boolean('-n,--dry-run', false, { description: 'Check it and print the plan; write nothing' });
  file = Option.String({ name: 'FILE' });

  override async execute(): Promise<void> {
    const { jobFilesOf, jobNameFor, planOf, readWorkflow } = await import('../client/workflow.ts');
    const workflow = readWorkflow(this.file);
    const job = jobNameFor(workflow, this.file, this.job);
    const files = jobFilesOf(workflow, this.file);
    if (this.dryRun) {
      const plan = planOf(workflow);
      if (this.json) printJson({ job, settings: files.settings, tasks: plan });
      else print(planText(job, String(files.settings.max_parallel), plan));
      return;
    }
    const [{ openDirectory }, { submitJob }, { whoServes }] = await Promise.all([
      import('../client/directory.ts'),
      import('../client/submit.ts'),
      import('../client/daemon.ts'),
    ]);
    const layout = openDirectory(this.dir, { create: true });
    const submitted = submitJob(layout, job, files);
    if (this.json) printJson({ job, tasks: submitted.tasks, archived: submitted.archived ?? null });
    else print(job);
    if (submitted.archived !== undefined) note(`the finished job ${job} went to ${submitted.archived}`);
    if (whoServes(layout) === 'nobody') {
      note(
        `no daemon serves ${layout.root}, so its ${submitted.tasks} tasks wait. To have them run: spoold start${this.dir === undefined ? '' : ` --dir ${this.dir}`}`,
      );
    }
  }
}

function planText(job: string, parallel: string, plan: readonly PlannedTask[]): string {
  const width = Math.max(...plan.map(({ id }) => id.length)) + 2;
  const limit = parallel === 'none' ? 'as many at a time as the daemon allows' : `at most ${parallel} at a time`;
  const lines = plan.map(({ id, level, dependencies }, i) => {
    const number = plan[i - 1]?.level === level ? '' : String(level);
    const after =
      dependencies.length === 0
        ? ''
        : `after ${dependencies.slice(0, 5).join(', ')}${dependencies.length > 5 ? `, and ${dependencies.length - 5} more` : ''}`;
    return `${number.padStart(3)}  ${id.padEnd(after === '' ? 0 : width)}${after}`;
  });
  const count = plan.length === 1 ? '1 task' : `${plan.length} tasks`;
  return `${styled('bold', job)}: ${count} in ${plan.at(-1)?.level ?? 0} steps, ${limit}\n${lines.join('\n')}`;
}
