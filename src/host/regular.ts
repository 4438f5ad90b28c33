// Reading what should be a file: opened without waiting for whoever would write to a FIFO, and refused if it is no file.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/** A descriptor to read a file by. Never waits for a FIFO: what is no file fails with EINVAL. */
export function openRegular(path: string): number {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw Object.assign(new Error(`EINVAL: it is no file, read '${path}'`), { code: 'EINVAL' });
}

/** The text of a file, or with `null` its bytes. Errors: as above. */
export function readRegular(path: string): string;
export function readRegular(path: string, encoding: null): Buffer;
export function readRegular(path: string, encoding: 'utf8' | null = 'utf8'): string | Buffer {
  const fd = openRegular(path);
  try {
    return readFileSync(fd, encoding);
  } finally {
    closeSync(fd);
  }
}
