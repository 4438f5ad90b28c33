// A process on a small file system of its own: fills it to the last byte, writes the ending of an attempt, and says what
// is read of it.
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunLayout } from '../../src/protocol/layout.ts';
import { readEnding, writeEnding } from '../../src/store/runs.ts';

const [disk = ''] = process.argv.slice(2);
const run = new RunLayout(disk);

/** Until the disk takes no more. */
function fill(): void {
  for (let size = 4096; size > 0; size = Math.floor(size / 2)) {
    try {
      for (;;) appendFileSync(join(disk, 'ballast'), Buffer.alloc(size));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}

writeFileSync(run.ending, ''); // as if half of it had been written
fill();
const isWritten = writeEnding(run, { reason: 'timeout', message: 'it ran longer than 1 s', at: Date.now() });
console.log(JSON.stringify({ isWritten, ending: readEnding(run) }));
