// The text of an attempt's `run`: a POSIX script that sets up exactly what the task asks for and becomes the command.
//
// A runner sources it (bash) or starts it (sh); `sh run` in the run directory repeats it by hand. Everything that
// came from a user is single-quoted, and what no shell can set as a variable goes by env(1), which the native runner itself is.
import { formatHoldings, type Holdings, holdingVariables } from '../protocol/resources.ts';

export interface ScriptSpec {
  job: string;
  task: string;
  /** From 1. */
  attempt: number;
  /** Absolute, as is `runDir`. */
  stateDir: string;
  runDir: string;
  /** The boot id of the host that the attempt is handed over on. */
  boot: string;
  argv: readonly string[];
  /** Absolute. */
  cwd: string;
  setEnv: Readonly<Record<string, string>>;
  unsetEnv: readonly string[];
  /** The absolute path of a file; /dev/null unless told. */
  stdin?: string;
  /** The resources that it is given. */
  holdings?: Holdings;
  /** 0 to 19. */
  nice?: number;
  /** Words of a program that lowers what it starts otherwise, as ionice. Only beside `nice`. */
  lowered?: readonly string[];
  umask?: number;
}

/** The argv of a task's `shell`. */
export function shellArgv(script: string): string[] {
  return ['/bin/sh', '-e', '-c', script, 'sh'];
}

/** Writes `run`. Pure; the caller has refused NUL bytes and variable names that are empty or hold `=`. */
export function renderScript(spec: ScriptSpec): string {
  const own = {
    SPOOLD_DIR: spec.stateDir,
    SPOOLD_JOB: spec.job,
    SPOOLD_TASK: spec.task,
    SPOOLD_ATTEMPT: String(spec.attempt),
    SPOOLD_RUN_DIR: spec.runDir,
    SPOOLD_PENDING: `${spec.runDir}/pending`,
    ...(isHolding(spec) ? holdingVariables(spec.holdings) : {}),
  };
  const set = Object.entries(spec.setEnv).filter(([name]) => !Object.hasOwn(own, name));
  const unset = spec.unsetEnv.filter((name) => !Object.hasOwn(own, name) && !Object.hasOwn(spec.setEnv, name));
  return [
    '#!/bin/sh',
    `# Attempt ${spec.attempt} of task ${spec.task} of job ${spec.job}. \`sh run\` repeats it by hand.`,
    `# boot: ${spec.boot}`,
    ...(isHolding(spec) ? [`# holds: ${formatHoldings(spec.holdings)}`] : []),
    ...unset.filter(isSettable).map((name) => `unset -v ${name}`),
    ...set.filter(([name]) => isSettable(name)).map(([name, value]) => exportLine(name, value)),
    `export ${Object.entries(own)
      .map(([name, value]) => `${name}=${quote(value)}`)
      .join(' \\\n  ')}`,
    ...(spec.stdin === undefined
      ? []
      : [orFail(`[ -r ${quote(spec.stdin)} ]`, `cannot read standard input from ${spec.stdin}`)]),
    orFail(`cd ${quote(spec.cwd)} 2>/dev/null`, `cannot enter the working directory ${spec.cwd}`),
    ...(Object.hasOwn(spec.setEnv, 'OLDPWD') ? [] : ['unset -v OLDPWD']),
    ...(spec.umask === undefined ? [] : [`umask ${spec.umask.toString(8).padStart(3, '0')}`]),
    `exec ${commandLine(spec, set, unset)} <${quote(spec.stdin ?? '/dev/null')}`,
    '',
  ].join('\n');
}

function isHolding(spec: ScriptSpec): spec is ScriptSpec & { holdings: Holdings } {
  return spec.holdings !== undefined && spec.holdings.size > 0;
}

function commandLine(spec: ScriptSpec, set: [string, string][], unset: string[]): string {
  const byEnv = set.filter(([name]) => !isSettable(name)).map(([name, value]) => `${name}=${value}`);
  const goneByEnv = unset.filter((name) => !isSettable(name)).flatMap((name) => ['-u', name]);
  const program = spec.argv[0] ?? '';
  const words: string[] = [];
  // `exec` and `nice` could take a leading dash for an option; env could take `a=b` for a variable.
  if (byEnv.length + goneByEnv.length > 0 || program.startsWith('-'))
    words.push('/usr/bin/env', ...goneByEnv, '--', ...byEnv);
  if (spec.nice !== undefined || (words.length > 0 && program.includes('=')))
    words.push(...(spec.lowered ?? []), 'nice', '-n', String(spec.nice ?? 0));
  if (words.includes('nice') && program.startsWith('-')) words.push('--');
  return [...words, ...spec.argv].map(quote).join(' ');
}

/** Single quotes keep every byte but themselves. */
function quote(text: string): string {
  return /^[A-Za-z0-9_./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** What bash has to say of a locale that is not installed is not for the task's log. */
function exportLine(name: string, value: string): string {
  const quiet = /^(LANG|LC_\w+)$/.test(name) ? ' 2>/dev/null' : '';
  return `export ${name}=${quote(value)}${quiet}`;
}

function orFail(test: string, complaint: string): string {
  return `${test} || { printf '%s\\n' ${quote(`spoold: ${complaint}`)} >&2; exit 125; }`;
}

/** Variables that a shell keeps for itself: read-only, computed, or changing what it does. */
const KEPT_BY_SHELLS = new Set([
  ...['UID', 'EUID', 'PPID', 'GROUPS', 'SHELLOPTS', 'BASHOPTS', 'POSIXLY_CORRECT', 'DIRSTACK', 'FUNCNAME', 'HISTCMD'],
  ...['LINENO', 'RANDOM', 'SRANDOM', 'SECONDS', 'EPOCHREALTIME', 'EPOCHSECONDS', 'PIPESTATUS', 'OPTIND', 'OPTARG'],
  ...['IFS', 'PWD', 'OLDPWD', 'SHLVL', 'FUNCNEST', 'COMP_WORDBREAKS', 'HOSTTYPE', 'MACHTYPE', 'OSTYPE', '_'],
]);

/** True if `NAME=value` in a shell makes it that variable and nothing else happens. */
function isSettable(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !KEPT_BY_SHELLS.has(name) && !/^BASH_(?!ENV$)/.test(name);
}
