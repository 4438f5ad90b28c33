// Output of many tasks on one stream: whole lines, each after the name of its task.

const NEWLINE = 10;
/** A line longer than this is broken, so that a task that prints none cannot fill the memory. */
const LONGEST = 64 * 1024;

/** Bytes as they come → `name | line`; what is left of a last line without its end is handed on by `end`. */
export class Lines {
  private readonly prefix: Buffer;
  private readonly write: (bytes: Buffer) => void;
  private rest: Buffer[] = [];
  private restLength = 0;

  constructor(name: string, write: (bytes: Buffer) => void) {
    this.prefix = Buffer.from(`${name} | `);
    this.write = write;
  }

  add(bytes: Buffer): void {
    const out: Buffer[] = [];
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      out.push(this.prefix, ...this.rest, bytes.subarray(from, end + 1));
      this.rest = [];
      this.restLength = 0;
      from = end + 1;
    }
    if (out.length > 0) this.write(Buffer.concat(out));
    if (from === bytes.length) return;
    this.rest.push(bytes.subarray(from));
    this.restLength += bytes.length - from;
    if (this.restLength > LONGEST) this.end();
  }

  end(): void {
    if (this.rest.length === 0) return;
    this.write(Buffer.concat([this.prefix, ...this.rest, Buffer.from('\n')]));
    this.rest = [];
    this.restLength = 0;
  }
}
