// Words of a command line → keys of a task file. What a value may be is for the task's own check to say; here it is
// only told what is a number or JSON, and what is text.
import { existsSync, statSync } from 'node:fs';
import { parseJson } from '../protocol/json.ts';
import { usageError } from './print.ts';

type Raw = Record<string, unknown>;

/** `5` → 5, `true` → true, `{"max": 2}` and `[a, b]` → what they are; anything else is text. `what` it is the value of. Errors: USAGE. */
export async function valueOf(text: string, what: string): Promise<unknown> {
  try {
    return parseJson(text);
  } catch {
    if (!/^\s*[[{]/.test(text)) return text;
  }
  const { readText } = await import('../protocol/yaml.ts');
  const read = readText(text, what);
  if (read.ok) return read.value;
  throw usageError(`${what} ${text}: this is neither JSON nor YAML (${read.problems.join('; ')}).`);
}

/** `--set retry.max=3` → {retry: {max: 3}}, put into `task`. Text values of keys that are text stay text. Errors: USAGE. */
export async function setKey(task: Raw, assignment: string): Promise<void> {
  const [name, value] = splitAssignment('--set', assignment);
  const path = name.startsWith('x-') ? [name] : name.split('.');
  let at = task;
  for (const step of path.slice(0, -1)) {
    const inner = at[step];
    at[step] = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {};
    at = at[step] as Raw;
  }
  at[path.at(-1) as string] = TEXT_KEYS.has(name) ? value : await valueOf(value, `--set ${name}`);
}

const TEXT_KEYS = new Set(['cwd', 'description', 'shell', 'stdin', 'env_file', 'timeout', 'kill_after', 'not_before']);

/** `--env NAME=value`, or `--env NAME` for the value it has here. Errors: USAGE. */
export function variables(assignments: readonly string[], env: NodeJS.ProcessEnv): Record<string, string> {
  const all: Record<string, string> = {};
  for (const assignment of assignments) {
    if (assignment.includes('=')) {
      const [name, value] = splitAssignment('--env', assignment);
      all[name] = value;
      continue;
    }
    const value = env[assignment];
    if (value === undefined)
      throw usageError(`--env ${assignment}: there is no such variable here.`, 'Give it a value: --env NAME=VALUE.');
    all[assignment] = value;
  }
  return all;
}

/** `--var NAME=value` of a workflow; the last of a name holds. Errors: USAGE. */
export async function givenVariables(assignments: readonly string[]): Promise<Map<string, string>> {
  const { variableProblem } = await import('../protocol/variables.ts');
  const all = assignments.map((assignment) => splitAssignment('--var', assignment));
  for (const [name] of all) {
    const problem = variableProblem(name);
    if (problem !== undefined) throw usageError(`--var ${name}: ${problem}.`);
  }
  return new Map(all);
}

function splitAssignment(option: string, text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw usageError(`${option} ${text}: an assignment is missing.`, `Write ${option} NAME=VALUE.`);
}

/** The words of a command, or of a script with --shell, as keys of a task. Errors: USAGE. */
export function commandKeys(words: readonly string[], shell: boolean): Raw {
  const [first = ''] = words;
  if (words.length === 0 || (words.length === 1 && first.trim() === ''))
    throw usageError('There is no command to run.');
  if (shell) return { shell: words.join(' ') };
  if (words.length === 1 && /\s/.test(first) && !isFile(first)) {
    const quoted = `'${first.replaceAll("'", "'\\''")}'`;
    const byShell = `To have a shell read it: --shell ${quoted}`;
    throw usageError(
      `${JSON.stringify(first)} is one word, and no file has that name.`,
      /[|&;<>()$`*?~"']/.test(first)
        ? byShell
        : `${byShell}\nTo run a program with arguments, do not quote them as one: ${first}`,
    );
  }
  return { command: words };
}

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
