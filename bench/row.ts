// What a row of the table is, and what it is given: sizes, rounds, a folder of its own, the peers. Contenders of a row run
// in turn in every round, beginning with another one each time; the first round warms all of them up and is not counted.
import type { Must } from './measure.ts';
import type { Peer } from './peers.ts';
import type { Scratch } from './scratch.ts';

/** One line of the table. */
export interface Figure {
  what: string;
  /** `×` for ratios. */
  unit: string;
  /** Absent: shown, and nothing is asked of it. */
  must?: Must;
  /** One of each round. */
  values: number[];
  /** Absolute figures behind a ratio, and the like. */
  detail?: string;
}

/** One line that could not be measured. */
export interface Absent {
  what: string;
  unit: string;
  must?: Must;
  /** As `pueue is not installed`. */
  absent: string;
}

export type Line = Figure | Absent;

export interface Row {
  /** For --only. */
  name: string;
  rounds: number;
  run(bench: Bench): Promise<Line[]>;
}

export interface Contender {
  name: string;
  /** Gives the figure of one round. */
  run(): Promise<number> | number;
}

export class Bench {
  readonly rounds: number;
  readonly scratch: Scratch;
  readonly peers: readonly Peer[];
  private readonly quick: boolean;
  private readonly tell: (text: string) => void;

  constructor(given: {
    rounds: number;
    quick: boolean;
    scratch: Scratch;
    peers: readonly Peer[];
    tell: (text: string) => void;
  }) {
    this.rounds = given.rounds;
    this.quick = given.quick;
    this.scratch = given.scratch;
    this.peers = given.peers;
    this.tell = given.tell;
  }

  /** The size that is asked for, or the small one to try things with. */
  size(full: number, quick: number): number {
    return this.quick ? quick : full;
  }

  /** Says on the progress line what is being done. */
  doing(what: string): void {
    this.tell(what);
  }

  /** Runs all contenders in each round; gives the figures of each, in the order of the rounds. */
  async paired<C extends Contender>(contenders: readonly C[]): Promise<Map<C, number[]>> {
    const figures = new Map<C, number[]>(contenders.map((contender) => [contender, []]));
    for (let round = 0; round <= this.rounds; round++) {
      for (let turn = 0; turn < contenders.length; turn++) {
        const contender = contenders[(round + turn) % contenders.length] as C;
        this.tell(`${round === 0 ? 'warming up' : `round ${round} of ${this.rounds}`}: ${contender.name}`);
        const figure = await contender.run();
        if (round > 0) figures.get(contender)?.push(figure);
      }
    }
    return figures;
  }

  /** One alone, from its first round. */
  async repeated(name: string, run: (round: number) => Promise<number> | number): Promise<number[]> {
    const figures: number[] = [];
    for (let round = 1; round <= this.rounds; round++) {
      this.tell(`round ${round} of ${this.rounds}: ${name}`);
      figures.push(await run(round));
    }
    return figures;
  }
}
