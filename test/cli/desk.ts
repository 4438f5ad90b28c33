// Where `spoold run` is tried: a folder with nothing in it, and all that a run leaves can be seen.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bin, Place, type Spoken, speak } from '../helpers/place.ts';

/** A folder of the test's own; private directories are made in it, so that what is left can be seen. */
export class Desk {
  readonly place = new Place();
  readonly root = this.place.root;
  readonly temporary = this.place.aside('tmp');
  readonly env = {
    TMPDIR: this.temporary,
    XDG_RUNTIME_DIR: undefined,
    HOME: this.root,
    XDG_STATE_HOME: undefined,
    TEST_PLACE: this.root,
  };

  constructor() {
    mkdirSync(this.temporary);
  }

  run(...args: string[]): Promise<Spoken> {
    return speak(['run', ...args], { cwd: this.root, env: this.env });
  }

  spawn(...args: string[]): {
    child: ChildProcess;
    out: () => string;
    err: () => string;
    end: Promise<number | string | null>;
  } {
    const env = { ...process.env, ...this.env };
    const child = spawn(process.execPath, [bin, 'run', ...args], {
      cwd: this.root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const end = new Promise<number | string | null>((resolve) =>
      child.once('close', (code, signal) => resolve(code ?? signal)),
    );
    return { child, out: () => out, err: () => err, end };
  }

  write(name: string, text: string): string {
    const path = join(this.root, name);
    writeFileSync(path, text);
    return path;
  }

  /** Private directories that are still there. */
  left(): string[] {
    return readdirSync(this.temporary);
  }

  readonly processes = (): string[] => this.place.processes().map(({ args }) => args);
}
