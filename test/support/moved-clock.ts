// The clock of a real program, set by a test: libfaketime answers in the place of the kernel, and asks a file each time by how much it is moved.
// Clocks that only count what has passed stay as they are, as they do where somebody sets the time.

import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';

/** Where it is missing that is printed, and an error in CI. */
export function canMoveClock(): boolean {
  if (existsSync(LIBRARY)) return true;
  const line = `${LIBRARY} is not there: apt-get install -y faketime`;
  if (process.env.CI === 'true') throw new Error(line);
  console.log(`SKIPPED, tests with clocks that are set: ${line}`);
  return false;
}

export class MovedClock {
  readonly #file: string;

  /** `directory`: one that the program may read. */
  constructor(directory: string) {
    this.#file = join(directory, 'clock');
    this.move(0);
  }

  /** What the program is started with. */
  get environment(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** From the real time. */
  move(seconds: number): void {
    writeFileSync(`${this.#file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`, { mode: 0o644 });
    renameSync(`${this.#file}.new`, this.#file);
  }
}
