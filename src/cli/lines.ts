// Output of many tasks on one stream: whole lines, each after the name of its task.

const NEWLINE = 10;
/** A line longer than this is broken, so that a task that prints none cannot fill the memory. */
const LONGEST = 64 * 1024;

/** Bytes as they come → `name | line`; what is left of a last line without its end is given by `end`. */
export class Lines {
  private readonly prefix: Buffer;
  private rest: Buffer[] = [];
  private restLength = 0;

  constructor(name: string) {
    this.prefix = Buffer.from(`${name} | `);
  }

  add(bytes: Buffer): Buffer {
    const out: Buffer[] = [];
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      out.push(this.prefix, ...this.rest, bytes.subarray(from, end + 1));
      this.rest = [];
      this.restLength = 0;
      from = end + 1;
    }
    if (from < bytes.length) {
      this.rest.push(bytes.subarray(from));
      this.restLength += bytes.length - from;
    }
    if (this.restLength > LONGEST) out.push(this.end());
    return Buffer.concat(out);
  }

  end(): Buffer {
    if (this.rest.length === 0) return Buffer.alloc(0);
    const line = Buffer.concat([this.prefix, ...this.rest, Buffer.from('\n')]);
    this.rest = [];
    this.restLength = 0;
    return line;
  }
}
