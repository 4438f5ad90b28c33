// What a task's command finds: working directory, environment in layers, standard input. Everything that can be missing
// (a captured environment, env_file, a directory) is looked for here, so that the attempt fails with a sentence.
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type Stats, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { errnoOf, unless } from '../errors.ts';
import { readRegular } from '../host/regular.ts';
import { parseEnvFile } from '../protocol/env-file.ts';
import type { Reason } from '../protocol/result.ts';
import type { TaskSpec } from '../protocol/task.ts';
import type { World } from './world.ts';

/** What a path answers that leads nowhere. */
const UNREACHABLE = ['ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG'];

/** Why a task cannot be started: settles the attempt as failed. */
export class Unstartable extends Error {
  readonly reason: Reason;
  constructor(reason: Reason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Where a task runs: what it says (relative to the default), else the folder that holds `.spoold/`, else $HOME. */
export function workingDirectory(world: World, spec: TaskSpec): string {
  const root = world.layout.root;
  const home = basename(root) === '.spoold' ? dirname(root) : (world.inherited.HOME ?? '/');
  const cwd = spec.cwd === undefined ? home : resolve(home, spec.cwd);
  const stat = lookFor('cwd', cwd);
  if (stat?.isDirectory()) return cwd;
  throw new Unstartable(
    'cwd',
    `its working directory ${cwd} ${stat === undefined ? 'does not exist' : 'is no folder'}: make it, or change cwd`,
  );
}

/** What lies there, if anything; where that cannot be told (a mount that does not answer), the attempt fails. */
function lookFor(reason: Reason, path: string): Stats | undefined {
  try {
    return unless(UNREACHABLE, () => statSync(path, { throwIfNoEntry: false }));
  } catch (error) {
    throw new Unstartable(
      reason,
      `its ${reason} cannot be looked at: ${(error as Error).message}; see to it that it can, or change ${reason}`,
    );
  }
}

export interface EnvironmentChange {
  set: Record<string, string>;
  unset: string[];
}

/** What always stays, so that commands can be found. */
const KEPT = new Set(['PATH']);

/** The environment as a change to the launcher's: inherited or captured < config < env_file < task (its job's under it). */
export function environmentOf(world: World, spec: TaskSpec, cwd: string): EnvironmentChange {
  const said: Record<string, string> = {
    ...world.config.env,
    ...(spec.envFile === undefined ? {} : readEnvFile(resolve(cwd, spec.envFile))),
    ...spec.env,
  };
  if (spec.envFrom !== undefined) {
    const captured = wantedOf(readCaptured(world, spec.envFrom), spec.inheritEnv ?? true);
    const changed = Object.entries(captured).filter(([name, value]) => world.inherited[name] !== value);
    return {
      set: { ...Object.fromEntries(changed), ...said },
      unset: Object.keys(world.inherited).filter((name) => !Object.hasOwn(captured, name) && !KEPT.has(name)),
    };
  }
  const inherit = spec.inheritEnv ?? world.config.inheritEnv;
  if (inherit === true) return { set: said, unset: [] };
  const wanted = new Set(inherit === false ? [] : inherit);
  return { set: said, unset: Object.keys(world.inherited).filter((name) => !wanted.has(name) && !KEPT.has(name)) };
}

/** What is inherited of a captured environment: the config's word is about the daemon's own. */
function wantedOf(env: Record<string, string>, inherit: boolean | readonly string[]): Record<string, string> {
  if (inherit === true) return env;
  const wanted = new Set([...KEPT, ...(inherit || [])]);
  return Object.fromEntries(Object.entries(env).filter(([name]) => wanted.has(name)));
}

function readEnvFile(path: string): Record<string, string> {
  let bytes: Buffer;
  try {
    bytes = readRegular(path, null);
  } catch (error) {
    throw new Unstartable('env', `its env_file ${path} cannot be read: ${(error as Error).message}`);
  }
  if (!isUtf8(bytes)) throw new Unstartable('env', `its env_file ${path} is not valid UTF-8`);
  const parsed = parseEnvFile(bytes.toString('utf8'));
  if (parsed.ok) return parsed.env;
  throw new Unstartable('env', `its env_file ${path}:${parsed.line}: ${parsed.message}`);
}

const captures = new Map<string, Record<string, string>>();

/** An environment captured by `add`, by the hash of its content; the last few are remembered. */
function readCaptured(world: World, sha256: string): Record<string, string> {
  const known = captures.get(sha256);
  if (known !== undefined) return known;
  const path = world.layout.environment(sha256);
  let text: string;
  try {
    text = readRegular(path);
  } catch (error) {
    const why = errnoOf(error) === 'ENOENT' ? 'is not there' : `cannot be read: ${(error as Error).message}`;
    throw new Unstartable(
      'env',
      `the environment it was added with, ${path}, ${why}; add it again, or remove env_from`,
    );
  }
  if (createHash('sha256').update(text).digest('hex') !== sha256) {
    throw new Unstartable('env', `${path} is damaged: its content does not have the hash that is its name`);
  }
  const captured = JSON.parse(text) as Record<string, string>;
  if (captures.size >= 64) captures.clear();
  captures.set(sha256, captured);
  return captured;
}

/** The file that standard input is read from; text is written into the run directory by `writeText`. */
export function standardInput(
  spec: TaskSpec,
  cwd: string,
  runDir: string,
  writeText: (path: string, text: string) => void,
): string | undefined {
  if (spec.stdin === undefined) return undefined;
  if (typeof spec.stdin === 'string') {
    const path = join(runDir, 'stdin');
    writeText(path, spec.stdin);
    return path;
  }
  const path = isAbsolute(spec.stdin.file) ? spec.stdin.file : resolve(cwd, spec.stdin.file);
  if (lookFor('stdin', path) === undefined)
    throw new Unstartable(
      'stdin',
      `the file for its standard input, ${path}, does not exist: make it, or change stdin`,
    );
  return path;
}
