// `spoold add COMMAND…`: a task that runs the command here, in this environment, when its turn comes.
import { buffer as bytesOf } from 'node:stream/consumers';
import { Option } from 'clipanion';
import type { Many } from '../client/add-many.ts';
import type { Layout } from '../protocol/layout.ts';
import { ReportingCommand } from './base.ts';
import { combinations, fillScript, fillWords, type Template, templateOf } from './placeholders.ts';
import { note, print, printJson } from './print.ts';

export class AddCommand extends ReportingCommand {
  static override paths = [['add']];
  static override usage = ReportingCommand.Usage({
    description: 'Queue a command; prints JOB/TASK once it is safely on the disk.',
    details: `
      The task runs in this directory with this environment (without what belongs to the terminal). Options end at the first
      word of the command. Without --job it goes to the job \`default\`, without --id it gets the next number. Inside a task it
      becomes a child of that task, and whatever depends on the task waits for it too.

      After ::: come arguments, after :::: files of them (- is standard input), a line each, as GNU parallel has them: the
      command is queued once for each, or for each combination of several lists. {} in it stands for the argument, {.} for it
      without its ending, {/} for its file name, {//} for its folder, {/.}, {1} {2.} for those of one list, {#} for the number;
      without any, the arguments are added at the end. Ids are made from the arguments; with --id they begin with it, and what
      depends on that id waits for all of them.
    `,
    examples: [
      ['Run make when its turn comes', '$0 add make -j4'],
      ['One after another', '$0 add -J etl --id load -a extract,clean ./load.sh'],
      ['One for each file', '$0 add -J thumbs --id make convert {} -resize 200 thumbs/{/.}.png ::: *.jpg'],
      ['One for each combination', '$0 add ./train.py --lr {1} --depth {2} ::: 0.1 0.01 ::: 2 4 8'],
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
  dryRun = Option.Boolean('-n,--dry-run', false, { description: 'Print what would be queued; write nothing' });
  words = Option.Proxy({ name: 'command', required: 1 });

  override async execute(): Promise<void> {
    const template = templateOf(this.words);
    return template === undefined ? this.addOne() : this.addMany(template);
  }

  private async addOne(): Promise<void> {
    const task = await this.task(this.words);
    if (this.dryRun) return print(JSON.stringify({ ...(this.id !== undefined && { id: this.id }), ...task }));
    const [{ addTask }, { openDirectory, surroundings }] = await Promise.all([
      import('../client/add.ts'),
      import('../client/directory.ts'),
    ]);
    const layout = openDirectory(this.dir, { create: true });
    const inside = surroundings(layout);
    const environment = this.noEnv ? undefined : process.env;
    const added = addTask(layout, { job: this.job, id: this.id, task, environment, inside });
    if (this.json) printJson({ job: added.job, task: added.task, path: added.path });
    else print(`${added.job}/${added.task}`);
    if (inside === undefined) await this.noteIfUnserved(layout, 'the task waits. To have it run');
  }

  private async addMany({ typed, words, lists }: Template): Promise<void> {
    const [{ addMany, prepareMany }, { isThere, openDirectory, surroundings }] = await Promise.all([
      import('../client/add-many.ts'),
      import('../client/directory.ts'),
    ]);
    const values = await Promise.all(
      lists.map(async ({ kind, values: given }) => (kind === 'words' ? [given] : Promise.all(given.map(linesOf)))),
    );
    const { command: _, shell: __, ...others } = await this.task(typed);
    const tasks = combinations(values.flat()).map((args, i) => {
      const what = this.shell ? { shell: fillScript(words, args, i + 1) } : { command: fillWords(words, args, i + 1) };
      return { args, task: { ...what, ...others } };
    });
    const mayMake = !this.dryRun;
    const layout = mayMake || isThere(this.dir) ? openDirectory(this.dir, { create: mayMake }) : undefined;
    const inside = layout && surroundings(layout);
    const many = prepareMany(layout, { job: this.job, id: this.id, tasks, dependencies: others.dependencies, inside });
    if (this.dryRun || layout === undefined) return this.show(many);
    if (many.entries.length === 0) return note('the lists are empty, so there was nothing to queue');
    const path = addMany(layout, many, { environment: this.noEnv ? undefined : process.env, inside });
    const ids = [...many.tasks.keys()];
    if (this.json) printJson({ job: many.job, tasks: ids, path });
    else if (ids.length > 0) print(ids.map((id) => `${many.job}/${id}`).join('\n'));
    if (inside === undefined) await this.noteIfUnserved(layout, `its ${ids.length} tasks wait. To have them run`);
  }

  private async show({ job, tasks }: Many): Promise<void> {
    if (this.json) return printJson({ job, tasks: [...tasks].map(([id, task]) => ({ id, ...task })) });
    const { commandLine } = await import('./words.ts');
    const what = ({ shell, command }: Record<string, unknown>) =>
      typeof shell === 'string' ? shell : commandLine(command as string[]);
    for (const [id, task] of tasks) print(`${job}/${id}  ${what(task)}`);
  }

  private async task(words: readonly string[]): Promise<Record<string, unknown>> {
    const { commandKeys, setKey, valueOf, variables } = await import('./task-options.ts');
    const task: Record<string, unknown> = commandKeys(words, this.shell);
    const dependencies = this.after.flatMap((list) => list.split(',')).filter((id) => id !== '');
    if (dependencies.length > 0) task.dependencies = dependencies;
    if (this.priority !== undefined) task.priority = await valueOf(this.priority, '--priority');
    if (this.retry !== undefined) task.retry = await valueOf(this.retry, '--retry');
    if (this.timeout !== undefined) task.timeout = this.timeout;
    const env = variables(this.env, process.env);
    if (Object.keys(env).length > 0) task.env = env;
    for (const assignment of this.set) await setKey(task, assignment);
    return task;
  }

  private async noteIfUnserved(layout: Layout, what: string): Promise<void> {
    const [{ whoServes }, { dirOption }] = await Promise.all([
      import('../client/daemon.ts'),
      import('../client/directory.ts'),
    ]);
    if (whoServes(layout) !== 'nobody') return;
    note(`no daemon serves ${layout.root}, so ${what}: spoold start${dirOption(layout)}`);
  }
}

/** The lines of a file, or of standard input. */
async function linesOf(path: string): Promise<string[]> {
  const { readTextFile, textOfBytes } = await import('../client/workflow.ts');
  const text = path === '-' ? textOfBytes(await bytesOf(process.stdin), 'standard input') : readTextFile(path);
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
