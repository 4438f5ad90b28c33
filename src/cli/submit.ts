// `spoold submit FILE`: a workflow becomes a job, whole or not at all.
import { Option } from 'clipanion';
import { ReportingCommand } from './base.ts';
import { note, print, printError, printJson, whenUnprintable } from './print.ts';

export class SubmitCommand extends ReportingCommand {
  static override paths = [['submit']];
  static override usage = ReportingCommand.Usage({
    description: 'Queue the tasks of a workflow file as one job; prints JOB once they are safely on the disk.',
    details: `
      The file is YAML or JSON: the job's settings, its variables under \`vars\`, and its tasks by id under \`tasks\`. It is
      checked whole first. \${NAME} in any text stands for a variable; a shell's own is written $NAME, or $\${NAME}. Tasks run
      in the file's folder unless they say where. A finished job of the same name goes to archive/.
    `,
    examples: [
      ['See what would run, and in which order', '$0 submit --dry-run flow.yaml'],
      ['With another value for a variable, until all has ended', '$0 submit --var DATE=2030-01-31 --wait flow.yaml'],
    ],
  });

  job = Option.String('-J,--job', { description: "The job's name (default: what the file says, or the file's name)" });
  vars = Option.Array('--var', [], { description: 'NAME=VALUE, above the vars of the file; may be repeated' });
  wait = Option.Boolean('--wait', false, { description: 'Return when all has ended, with the status of wait' });
  dryRun = Option.Boolean('-n,--dry-run', false, { description: 'Check it and print the plan; write nothing' });
  file = Option.String({ name: 'FILE' });

  override async execute(): Promise<number> {
    const [{ jobFilesOf, jobNameFor, readWorkflow }, { givenVariables }] = await Promise.all([
      import('../client/workflow.ts'),
      import('./task-options.ts'),
    ]);
    const workflow = readWorkflow(this.file, await givenVariables(this.vars));
    const job = jobNameFor(workflow, this.file, this.job);
    const files = jobFilesOf(workflow, this.file);
    const { dirOption, isThere, openDirectory } = await import('../client/directory.ts');
    if (this.dryRun) {
      const [{ planOf }, { planText }] = await Promise.all([import('../client/plan.ts'), import('./plan-text.ts')]);
      const plan = planOf(workflow, this.file, isThere(this.dir) ? openDirectory(this.dir) : undefined);
      if (this.json) printJson({ job, settings: files.settings, ...plan });
      else print(planText(job, plan));
      return 0;
    }
    const [{ submitJob }, { whoServes }] = await Promise.all([
      import('../client/submit.ts'),
      import('../client/daemon.ts'),
    ]);
    const layout = openDirectory(this.dir, { create: true });
    const { tasks, archived, notArchived } = submitJob(layout, job, files);
    const report = { job, tasks, archived: archived ?? null };
    // Who does not read the job's name waits for its end all the same.
    if (this.wait) whenUnprintable((error) => error && process.exit(printError(error)));
    if (!this.json) print(job);
    else if (!this.wait) printJson(report);
    if (archived !== undefined) note(`the finished job ${job} went to ${archived}`);
    if (notArchived !== undefined) note(`it cannot go to archive/, which a daemon tries again: ${notArchived}`);
    if (this.wait) {
      const [{ waitFor }, { outcomeJson, tell, withProgress }] = await Promise.all([
        import('../client/wait.ts'),
        import('./wait.ts'),
      ]);
      const outcome = await withProgress((onProgress) => waitFor(layout, [{ job }], onProgress));
      if (this.json) printJson({ ...report, ...outcomeJson(outcome) });
      else tell(outcome.items);
      return outcome.status;
    }
    if (whoServes(layout) === 'nobody') {
      note(
        `no daemon serves ${layout.root}, so its ${tasks} tasks wait. To have them run: spoold start${dirOption(layout)}`,
      );
    }
    return 0;
  }
}
