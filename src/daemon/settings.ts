// config.yaml → settings in force, and whose files are run.
import { readFileSync } from 'node:fs';
import { SpooldError, unless } from '../errors.ts';
import { readRegular } from '../host/regular.ts';
import { type Config, DEFAULT_CONFIG, parseConfig } from '../protocol/config.ts';
import type { Layout } from '../protocol/layout.ts';

/** It is read in the daemon's loop. */
const MAX_CONFIG = 20_000;

/** Reads the settings; none are the defaults. Errors: CONFIG_INVALID, with every problem and its line. */
export function readConfig(layout: Layout): Config {
  const text = readText(layout.config);
  if (text === undefined) return DEFAULT_CONFIG;
  if (text.length > MAX_CONFIG) {
    throw new SpooldError(
      'CONFIG_INVALID',
      `${layout.config} has ${text.length} characters; at most ${MAX_CONFIG} are read.`,
      {
        path: layout.config,
        hint: 'Variables of a task belong into an env_file.',
      },
    );
  }
  const parsed = parseConfig(text, layout.config);
  if (parsed.ok) return parsed.config;
  throw new SpooldError('CONFIG_INVALID', parsed.problems.join('\n'), {
    path: layout.config,
    hint: 'Every setting is described in config.example.yaml; spoold schema config prints the schema.',
  });
}

function readText(path: string): string | undefined {
  try {
    return unless('ENOENT', () => readRegular(path));
  } catch (error) {
    throw new SpooldError('CONFIG_INVALID', `${path} cannot be read: ${(error as Error).message}`, {
      path,
      cause: error,
      hint: "It must be a file that the daemon's user may read.",
    });
  }
}

/** User ids whose files are run: the daemon's own, and those that `allowed_owners` names. */
export function ownersOf(config: Config): ReadonlySet<number> {
  const owners = new Set([process.getuid?.() ?? 0]);
  for (const owner of config.allowedOwners) owners.add(typeof owner === 'number' ? owner : uidOf(owner));
  return owners;
}

function uidOf(name: string): number {
  const line = unless('ENOENT', () => readFileSync('/etc/passwd', 'utf8'))
    ?.split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const uid = Number(line?.split(':')[2]);
  if (line !== undefined && Number.isInteger(uid)) return uid;
  throw new SpooldError('CONFIG_INVALID', `allowed_owners: there is no user ${name} in /etc/passwd.`, {
    hint: 'Use the number of the user instead.',
  });
}
