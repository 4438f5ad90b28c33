// `npm run bench`: every row of the table of what spoold must reach, each measured beside its peers on this machine in the
// same rounds. Ends 0 however the verdicts are: on another machine they may differ. A row that fails (a full disk) is said
// so, the others are measured, and it ends 1. Folders are deleted at the very end.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { describeMachine, type Machine, machineOf } from './machine.ts';
import { findPeers } from './peers.ts';
import { progress } from './progress.ts';
import { Bench, type Row } from './row.ts';
import { chain } from './rows/chain.ts';
import { cli } from './rows/cli.ts';
import { disk } from './rows/disk.ts';
import { idle } from './rows/idle.ts';
import { jobs } from './rows/jobs.ts';
import { latency } from './rows/latency.ts';
import { logs } from './rows/logs.ts';
import { loopLag } from './rows/loop-lag.ts';
import { memory } from './rows/memory.ts';
import { queueLength } from './rows/queue-length.ts';
import { restart } from './rows/restart.ts';
import { submission } from './rows/submission.ts';
import { throughput } from './rows/throughput.ts';
import { Scratch } from './scratch.ts';
import { type Judged, judgeLine, markdownTable, textTable } from './table.ts';

// biome-ignore format: a table
const ROWS: readonly Row[] = [
  throughput, submission, queueLength, jobs, latency, chain, memory, disk, restart, idle, loopLag, cli, logs,
];

const HELP = `npm run bench -- [options]

  --only ROW[,ROW]  only these rows: ${ROWS.map(({ name }) => name).join(', ')}
  --rounds N        rounds that are counted; unless told, 5, and 3 where a round takes long
  --quick           small sizes, to try it: nothing is judged
  --on FOLDER       where the directories are made; unless told, ${tmpdir()}
  --json            one document with every value of every round
  --markdown        the table as Markdown
`;

interface Report {
  machine: Machine;
  quick: boolean;
  lines: Judged[];
}

interface Options {
  rows: readonly Row[];
  rounds: number | undefined;
  quick: boolean;
  on: string;
  format: 'text' | 'markdown' | 'json';
}

function mistake(message: string): never {
  process.stderr.write(`bench: ${message}\n\n${HELP}`);
  process.exit(2);
}

function readOptions(): Options {
  const given = parsed();
  if (given.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const rows = given.only?.split(',').map((name) => {
    const row = ROWS.find((candidate) => candidate.name === name);
    return row ?? mistake(`there is no row ${JSON.stringify(name)}`);
  });
  const rounds = given.rounds === undefined ? undefined : Number(given.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1)) mistake('--rounds: a whole number from 1');
  return {
    rows: rows ?? ROWS,
    rounds,
    quick: given.quick,
    on: given.on,
    format: given.json ? 'json' : given.markdown ? 'markdown' : 'text',
  };
}

function parsed() {
  try {
    return parseArgs({
      options: {
        only: { type: 'string' },
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        on: { type: 'string', default: tmpdir() },
        json: { type: 'boolean', default: false },
        markdown: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return mistake((error as Error).message);
  }
}

async function measure({ rows, rounds, quick, on }: Options): Promise<Report> {
  const peers = findPeers();
  const scratch = Scratch.untilInterrupted(on);
  try {
    const machine = machineOf(scratch.root, peers);
    const lines: Judged[] = [];
    for (const row of rows) {
      const tell = (text: string): void => progress(`${row.name}: ${text}`);
      const bench = new Bench({ rounds: rounds ?? row.rounds, quick, scratch, peers, tell });
      try {
        try {
          lines.push(...(await row.run(bench)).map((line) => judgeLine(line, quick)));
        } finally {
          scratch.endRow();
        }
      } catch (error) {
        lines.push(judgeLine({ what: row.name, unit: '', absent: `failed: ${(error as Error).message}` }, quick));
        process.exitCode = 1;
      }
    }
    progress('deleting what was made');
    return { machine, quick, lines };
  } finally {
    scratch.remove();
    progress('');
  }
}

const options = readOptions();
const report = await measure(options);
if (options.format === 'json') console.log(JSON.stringify(report, undefined, 2));
else {
  const table = options.format === 'markdown' ? markdownTable : textTable;
  console.log(`${describeMachine(report.machine)}.\n\n${table(report.lines)}`);
}
