// What the benchmark asks of a program under test: six verbs, each answered with the commands to run. A contender runs nothing
// itself, so all of them are measured in the same way.

import type { DataSet } from '../data/sets.ts';
import type { Command } from '../measure.ts';

/** The directory that a contender has to itself for one data set: what it keeps lies below, caches included. */
export type Area = {
  readonly repository: string;
  readonly home: string;
  readonly passphraseFile: string;
  readonly passphrase: string;
};

export type Contender = {
  readonly name: string;
  /** What to print in the report; throws when the program is not there. */
  readonly version: () => string;
  /** Makes the empty repository; not timed. */
  readonly init: (area: Area) => readonly Command[];
  /** `name` is unique in the repository. */
  readonly backup: (area: Area, set: DataSet, name: string) => readonly Command[];
  /** Restores the newest snapshot, which has that name, below the existing empty directory `target`. */
  readonly restore: (area: Area, set: DataSet, name: string, target: string) => readonly Command[];
  /** Where below `target` the restored counterpart of `set.path` may be; the first that exists is compared. */
  readonly restored: (set: DataSet, target: string) => readonly string[];
  /** Reads and checks every stored byte. Empty: this contender cannot. */
  readonly verify: (area: Area) => readonly Command[];
  /** Forgets all but the newest snapshot and frees the room. Empty: this contender cannot. */
  readonly prune: (area: Area) => readonly Command[];
  /** Not a backup program but what the machine can do; its state after a second backup means nothing. */
  readonly isLimit: boolean;
};
