// The file `pid` of an attempt. Line 1, the runner's identity, made before anything runs: PID, start time in clock ticks
// since the host's start, boot id, PID namespace, host, inode of the run directory. Line 2, its last word:
// `exited STATUS TICKS .`, the exit status as a shell has it and the CPU time of the command in clock ticks. A line that
// is not whole counts as absent.

export interface RunnerLine {
  pid: number;
  startTicks: number;
  boot: string;
  pidns: string;
  host: string;
  /** Inode of the run directory: a copied state directory must not adopt the original's processes. */
  inode: string;
}

export interface LastWord {
  /** 0 to 255; 128 + n for death by signal n. */
  status: number;
  /** CPU time of the command and what it waited for, in clock ticks. */
  cpuTicks: number;
}

export interface PidFile {
  runner?: RunnerLine;
  lastWord?: LastWord;
}

/** Parses what is whole of a file `pid`. */
export function parsePidFile(text: string): PidFile {
  const lines = text.split('\n');
  lines.pop(); // what follows the last newline is not whole
  const file: PidFile = {};
  const runner = parseRunnerLine(lines[0] ?? '');
  if (runner === undefined) return file;
  file.runner = runner;
  for (const line of lines.slice(1)) {
    const match = /^exited (\d{1,3}) (\d+) \.$/.exec(line);
    if (match) file.lastWord = { status: Number(match[1]), cpuTicks: Number(match[2]) };
  }
  return file;
}

function parseRunnerLine(line: string): RunnerLine | undefined {
  const [pid, startTicks, boot, pidns, host, inode, ...rest] = line.split(' ');
  if (rest.length > 0 || !/^[1-9]\d*$/.test(pid ?? '') || !/^\d+$/.test(startTicks ?? '') || !/^\d+$/.test(inode ?? ''))
    return undefined;
  if (boot === undefined || pidns === undefined || host === undefined || inode === undefined) return undefined;
  return { pid: Number(pid), startTicks: Number(startTicks), boot, pidns, host, inode };
}
