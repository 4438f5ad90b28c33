// A state directory made by hand, for what can be seen and done without a daemon.
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { ownIdentity } from '../../src/host/identity.ts';
import { VERSION } from '../../src/version.ts';
import { Place } from '../helpers/place.ts';

/** A place that no daemon serves yet. */
export function quietPlace(): Place {
  const place = new Place();
  mkdirSync(place.at('jobs'), { recursive: true, mode: 0o700 });
  writeFileSync(place.at('VERSION'), '1\n');
  return place;
}

/** Says in daemon.json that this very process serves the place; gives since when. */
export function pretendDaemon(place: Place, change: Record<string, unknown> = {}): string {
  const t = new Date().toISOString();
  const directory = String(statSync(place.dir, { bigint: true }).ino);
  const times = { started_at: t, heartbeat_at: t };
  const record = { identity: ownIdentity(), directory, version: VERSION, ...times, serving: true, ...change };
  writeFileSync(place.at('daemon.json'), JSON.stringify(record));
  return t;
}

/** A shell script beside the state directory, as an editor or anything else that is a program. */
export function script(place: Place, name: string, text: string): string {
  const path = place.aside(name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}
