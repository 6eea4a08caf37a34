// The order of things. Contenders alternate operation by operation (each has a repository of its own), and who begins changes from
// round to round. A run that others disturbed is kept, marked, and done again from the same state.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MIB } from '../src/base/units.ts';
import { differences, volumeDifferences } from './compare.ts';
import type { Area, Contender } from './contenders/contender.ts';
import { summaryOf } from './contenders/holdfast.ts';
import type { DataSet, SetName } from './data/sets.ts';
import { type Command, type Cost, measureAll, waitForQuiet } from './measure.ts';
import { storedBytes, touchMemory } from './memory.ts';

export const OPERATIONS = ['first', 'unchanged', 'changed', 'restore', 'verify', 'prune'] as const;
export type Operation = (typeof OPERATIONS)[number];

export type Sample = Cost & {
  readonly set: SetName;
  readonly contender: string;
  readonly operation: Operation;
  readonly round: number;
  readonly isNoisy: boolean;
  /** All files of the repository after the operation. */
  readonly storedBytes: number;
  /** What the contender itself said at its end. */
  readonly summary?: Record<string, unknown>;
};

export type Rounds = {
  readonly count: number;
  /** Foreign CPU share above which a run is noisy. */
  readonly noiseMax: number;
  /** How often a noisy run is done again. */
  readonly retries: number;
  /** How long to wait for a quiet machine before each run. */
  readonly patienceMs: number;
  /** Where repositories and restored data live. */
  readonly directory: string;
  readonly say: (line: string) => void;
};

const LIMIT_OPERATIONS: readonly Operation[] = ['first', 'restore'];
/** Operations that change the repository, which is therefore copied before, to be able to do them again. */
const CHANGING: readonly Operation[] = ['unchanged', 'changed', 'prune'];
const PASSPHRASE = 'the passphrase of a benchmark';

class Entrant {
  readonly contender: Contender;
  readonly #set: DataSet;
  readonly #rounds: Rounds;
  readonly #home: string;
  readonly #saved: string;
  readonly #target: string;
  readonly #scratch: string;
  readonly #area: Area;

  constructor(contender: Contender, set: DataSet, rounds: Rounds) {
    this.contender = contender;
    this.#set = set;
    this.#rounds = rounds;
    const place = join(rounds.directory, contender.name.replaceAll(/\W+/g, '-'));
    this.#home = join(place, 'area');
    this.#saved = join(place, 'saved');
    this.#target = join(place, 'restored');
    this.#scratch = join(place, 'scratch');
    this.#area = {
      repository: join(this.#home, 'repository'),
      home: join(this.#home, 'home'),
      passphraseFile: join(this.#scratch, 'passphrase'),
      passphrase: PASSPHRASE,
    };
  }

  async #create(): Promise<void> {
    rmSync(this.#home, { recursive: true, force: true });
    mkdirSync(this.#area.home, { recursive: true });
    mkdirSync(this.#scratch, { recursive: true });
    writeFileSync(this.#area.passphraseFile, PASSPHRASE, { mode: 0o600 });
    await measureAll(this.contender.init(this.#area), this.#scratch);
  }

  #commands(operation: Operation): readonly Command[] {
    const { contender } = this;
    switch (operation) {
      case 'first':
      case 'unchanged':
      case 'changed':
        return contender.backup(this.#area, this.#set, operation);
      case 'restore':
        return contender.restore(this.#area, this.#set, 'changed', this.#target);
      case 'verify':
        return contender.verify(this.#area);
      case 'prune':
        return contender.prune(this.#area);
    }
  }

  /** Brings everything into the state from which the operation starts, however often it was tried. */
  async #prepare(operation: Operation, attempt: number): Promise<void> {
    if (operation === 'first') await this.#create();
    if (operation === 'restore') {
      rmSync(this.#target, { recursive: true, force: true });
      mkdirSync(this.#target);
    }
    if (CHANGING.includes(operation) && this.#rounds.retries > 0) {
      const [from, to] = attempt === 0 ? [this.#home, this.#saved] : [this.#saved, this.#home];
      rmSync(to, { recursive: true, force: true });
      execFileSync('cp', ['-a', from, to]);
    }
    await waitForQuiet(this.#rounds.noiseMax, this.#rounds.patienceMs);
    const isLarge = operation === 'first' || operation === 'restore' || operation === 'prune';
    touchMemory(this.#rounds.directory, (isLarge ? this.#set.extent.allocatedBytes : 0) + 256 * MIB);
  }

  #checkRestored(): void {
    const restored = this.contender.restored(this.#set, this.#target).find((path) => existsSync(path));
    const compare = this.#set.kind === 'file' ? volumeDifferences : differences;
    const found = restored === undefined ? [`nothing below ${this.#target}`] : compare(this.#set.path, restored);
    if (found.length > 0)
      throw new Error(`${this.contender.name} did not restore ${this.#set.name} as it was:\n${found.join('\n')}`);
    rmSync(this.#target, { recursive: true });
  }

  async #try(operation: Operation, round: number, attempt: number): Promise<Sample> {
    await this.#prepare(operation, attempt);
    const { log, ...cost } = await measureAll(this.#commands(operation), this.#scratch);
    if (operation === 'restore') this.#checkRestored();
    const summary = summaryOf(log);
    const sample: Sample = {
      set: this.#set.name,
      contender: this.contender.name,
      operation,
      round,
      ...cost,
      isNoisy: cost.foreignShare > this.#rounds.noiseMax,
      storedBytes: storedBytes(this.#area.repository),
      ...(summary === undefined ? {} : { summary }),
    };
    this.#rounds.say(lineOf(sample));
    return sample;
  }

  /** Runs the operation until it was quiet enough or the retries are used up. */
  async run(operation: Operation, round: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    if (this.contender.isLimit && !LIMIT_OPERATIONS.includes(operation)) return samples;
    if (this.contender.isLimit && operation === 'restore') await this.#renew();
    do samples.push(await this.#try(operation, round, samples.length));
    while (samples.at(-1)!.isNoisy && samples.length <= this.#rounds.retries);
    rmSync(this.#saved, { recursive: true, force: true });
    if (this.contender.isLimit) this.remove();
    return samples;
  }

  /** A plain copy has no history: it is made again, untimed, so that what it restores is the second state. */
  async #renew(): Promise<void> {
    await this.#create();
    await measureAll(this.#commands('changed'), this.#scratch);
  }

  remove(): void {
    for (const path of [this.#home, this.#saved, this.#target, this.#scratch]) rmSync(path, { recursive: true, force: true });
  }
}

function lineOf(sample: Sample): string {
  const words = [
    sample.set.padEnd(8),
    sample.operation.padEnd(9),
    sample.contender.padEnd(10),
    `${sample.wallSeconds.toFixed(2).padStart(7)} s`,
    `${(sample.userSeconds + sample.systemSeconds).toFixed(2).padStart(7)} cpu`,
    `${(sample.peakBytes / MIB).toFixed(0).padStart(5)} MiB`,
    `stored ${(sample.storedBytes / MIB).toFixed(1)} MiB`,
    `foreign ${(sample.foreignShare * 100).toFixed(0)} %${sample.isNoisy ? ' NOISY' : ''}`,
  ];
  return words.join('  ');
}

/** All rounds over one data set. */
export async function runRounds(
  set: DataSet,
  contenders: readonly Contender[],
  rounds: Rounds,
  keep: (sample: Sample) => void,
): Promise<void> {
  for (let round = 0; round < rounds.count; round++) {
    const entrants = contenders.map((contender) => new Entrant(contender, set, rounds));
    const turns = [...entrants.slice(round % entrants.length), ...entrants.slice(0, round % entrants.length)];
    try {
      set.become('first');
      for (const operation of OPERATIONS) {
        if (operation === 'changed') set.become('second');
        for (const entrant of turns) for (const sample of await entrant.run(operation, round)) keep(sample);
      }
    } finally {
      for (const entrant of entrants) entrant.remove();
    }
  }
}
