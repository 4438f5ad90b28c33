// What could come next on a command line that is being typed: one line each for the scripts of `spoold completion`,
// `word<TAB>what it is`, or what the shell itself knows best: `:files`, `:dirs`, `:commands`.
import { newCli } from './perform.ts';
import { VERBS, verbIn } from './verbs.ts';

export type Source = 'address' | 'task' | 'job' | ':files' | ':commands' | readonly string[];

/** What the positionals of a verb are; the last one is repeated. */
const POSITIONALS: Record<string, readonly Source[]> = {
  run: [':commands'],
  init: [':files'],
  add: [':commands'],
  submit: [':files'],
  status: ['address'],
  why: ['address'],
  graph: ['job'],
  logs: ['task'],
  wait: ['address'],
  cancel: ['address'],
  retry: ['address'],
  reset: ['address'],
  edit: ['task'],
  mark: ['address', ['succeeded', 'skipped']],
  pause: ['job'],
  resume: ['job'],
  parallel: [[], 'job'],
  validate: [':files'],
  schema: [['task', 'job', 'workflow', 'config']],
  completion: [['bash', 'zsh', 'fish']],
};

interface OptionWords {
  names: string[];
  takesValue: boolean;
  about: string;
}

/** `words`: those after `spoold`, the last one being the one that is typed (maybe empty). Lines for the shell's script. */
export async function complete(words: readonly string[]): Promise<string[]> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? '';
  const name = verbIn(before);
  const verb = name === undefined || !Object.hasOwn(VERBS, name) ? undefined : VERBS[name];
  if (before.at(-1) === '--dir') return [':dirs'];
  if (name === undefined || verb === undefined)
    return beginning(current, [...verbLines(), '--dir\tThe state directory', '--help', '--version']);
  const cli = newCli();
  cli.register(await verb.load());
  const options = (cli.definitions()[0]?.options ?? []).map(optionWords);
  const { positionals, option, isOver } = scan(before.slice(before.indexOf(name) + 1), options, name);
  if (option !== undefined) return valuesOf(option, before, current);
  if (current.startsWith('-') && !isOver) {
    const lines = options.flatMap(({ names, about }) =>
      names.filter((one) => one.startsWith('--')).map((one) => `${one}\t${about}`),
    );
    return beginning(current, [...lines, '--help\tWhat the verb does']);
  }
  if (positionals > 0 && (name === 'add' || name === 'run')) return [':files'];
  const sources = POSITIONALS[name] ?? [[]];
  const source = sources[Math.min(positionals, sources.length - 1)] ?? [];
  if (name === 'graph') return [...(await valuesFrom(source, before, current)), ':files'];
  return name === 'run' || name === 'init' ? [source as string, ':files'] : valuesFrom(source, before, current);
}

function verbLines(): string[] {
  return Object.entries(VERBS).map(([name, { about }]) => `${name}\t${about}`);
}

function beginning(prefix: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith(prefix));
}

function optionWords({ definition, description }: { definition: string; description?: string }): OptionWords {
  const [names = '', ...values] = definition.split(' ');
  return { names: names.split(','), takesValue: values.length > 0, about: (description ?? '').replaceAll('\n', ' ') };
}

/** How many positionals there are already, and the option that waits for its value. */
function scan(words: readonly string[], options: readonly OptionWords[], verb: string) {
  let positionals = 0;
  let isOver = false;
  let option: OptionWords | undefined;
  for (const word of words) {
    if (option !== undefined) option = undefined;
    else if (isOver || !word.startsWith('-')) {
      positionals += 1;
      isOver ||= verb === 'add' || verb === 'run'; // what follows is the command's
    } else if (word === '--') isOver = true;
    else option = options.find(({ names, takesValue }) => takesValue && names.includes(word));
  }
  return { positionals, option, isOver };
}

function valuesOf(option: OptionWords, before: readonly string[], current: string): Promise<string[]> | string[] {
  if (option.names.includes('--job')) return valuesFrom('job', before, current);
  if (option.names.includes('--after')) return afterValues(before, current);
  if (option.names.includes('--priority')) return beginning(current, ['foreground', 'background', 'best_effort']);
  if (option.names.includes('--format')) return beginning(current, ['tree', 'mermaid', 'dot']);
  if (option.names.includes('--as')) return beginning(current, ['task', 'bundle', 'job', 'workflow', 'config']);
  if (option.names.includes('--on')) return [':dirs'];
  return [];
}

/** Tasks that a new one may depend on: `a,b,c`. */
async function afterValues(before: readonly string[], current: string): Promise<string[]> {
  const at = current.lastIndexOf(',') + 1;
  const job = jobIn(before) ?? 'default';
  const tasks = await valuesFrom('task', before, `${job}/${current.slice(at)}`);
  return tasks.map((address) => current.slice(0, at) + address.slice(job.length + 1));
}

async function valuesFrom(source: Source, before: readonly string[], current: string): Promise<string[]> {
  if (typeof source !== 'string') return beginning(current, source);
  if (source.startsWith(':')) return [source];
  const [{ addressesBeginning, jobsBeginning, tasksBeginning }, { isThere, openDirectory }] = await Promise.all([
    import('../client/addresses.ts'),
    import('../client/directory.ts'),
  ]);
  const dir = valueAfter(before, ['--dir']);
  if (!isThere(dir)) return [];
  const layout = openDirectory(dir);
  const job = jobIn(before);
  if (source === 'job') return jobsBeginning(layout, current);
  if (job !== undefined && !current.includes('/')) return tasksBeginning(layout, job, current);
  return addressesBeginning(layout, current, source === 'task' ? 'task' : 'any');
}

function jobIn(words: readonly string[]): string | undefined {
  return valueAfter(words, ['-J', '--job']);
}

function valueAfter(words: readonly string[], names: readonly string[]): string | undefined {
  const at = words.findLastIndex((word) => names.includes(word));
  return at < 0 ? undefined : words[at + 1];
}
