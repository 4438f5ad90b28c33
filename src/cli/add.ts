// `spoold add COMMAND…`: a task that runs the command here, in this environment, when its turn comes.
import { Option } from 'clipanion';
import { ReportingCommand } from './base.ts';
import { note, print, printJson } from './print.ts';

export class AddCommand extends ReportingCommand {
  static override paths = [['add']];
  static override usage = ReportingCommand.Usage({
    description: 'Queue a command; prints JOB/TASK once it is safely on the disk.',
    details: `
      The task runs in this directory with this environment (without what belongs to the terminal). Options end at the first
      word of the command. Without --job it goes to the job \`default\`, without --id it gets the next number. Inside a task it
      becomes a child of that task, and whatever depends on the task waits for it too.
    `,
    examples: [
      ['Run make when its turn comes', '$0 add make -j4'],
      ['One after another', '$0 add -J etl --id load -a extract,clean ./load.sh'],
      ['A line of shell', "$0 add --shell 'sort big.txt | uniq -c > counts.txt'"],
    ],
  });

  job = Option.String('-J,--job', { description: 'The job it belongs to (default: default)' });
  id = Option.String('--id', { description: 'Its name in the job (default: the next number)' });
  after = Option.Array('-a,--after', [], { description: 'Tasks that must have succeeded first: A,B' });
  priority = Option.String('--priority', { description: 'foreground, background, best_effort, or a number' });
  retry = Option.String('--retry', { description: 'How many more attempts after a failure' });
  timeout = Option.String('--timeout', { description: 'How long one attempt may take: 90s, 5m' });
  env = Option.Array('--env', [], { description: 'NAME=VALUE, above the environment; may be repeated' });
  noEnv = Option.Boolean('--no-env', false, { description: "Do not capture this environment: the daemon's holds" });
  set = Option.Array('--set', [], { description: 'KEY=VALUE: any key of the task file; may be repeated' });
  shell = Option.Boolean('--shell', false, { description: 'The words are a script for /bin/sh -e' });
  words = Option.Proxy({ name: 'command', required: 1 });

  override async execute(): Promise<void> {
    const [{ addTask }, { openDirectory, surroundings }, { whoServes }] = await Promise.all([
      import('../client/add.ts'),
      import('../client/directory.ts'),
      import('../client/daemon.ts'),
    ]);
    const task = await this.task();
    const layout = openDirectory(this.dir, { create: true });
    const inside = surroundings(layout);
    const environment = this.noEnv ? undefined : process.env;
    const added = addTask(layout, { job: this.job, id: this.id, task, environment, inside });
    if (this.json) printJson({ job: added.job, task: added.task, path: added.path });
    else print(`${added.job}/${added.task}`);
    if (inside === undefined && whoServes(layout) === 'nobody') {
      note(`no daemon serves ${layout.root}, so the task waits. To have it run: spoold start${this.dirOption()}`);
    }
  }

  private async task(): Promise<Record<string, unknown>> {
    const { commandKeys, setKey, valueOf, variables } = await import('./task-options.ts');
    const task: Record<string, unknown> = commandKeys(this.words, this.shell);
    const dependencies = this.after.flatMap((list) => list.split(',')).filter((id) => id !== '');
    if (dependencies.length > 0) task.dependencies = dependencies;
    if (this.priority !== undefined) task.priority = await valueOf(this.priority);
    if (this.retry !== undefined) task.retry = await valueOf(this.retry);
    if (this.timeout !== undefined) task.timeout = this.timeout;
    const env = variables(this.env, process.env);
    if (Object.keys(env).length > 0) task.env = env;
    for (const assignment of this.set) await setKey(task, assignment);
    return task;
  }

  private dirOption(): string {
    return this.dir === undefined ? '' : ` --dir ${this.dir}`;
  }
}
