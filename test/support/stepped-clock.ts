// Loaded before a program: its wall clock is ahead by as many milliseconds as a file says, which may change at any moment. The clocks that
// nobody can set go on.

import { readFileSync } from 'node:fs';

const LOOK_MS = 20;
const file = process.env['HOLDFAST_TEST_CLOCK'];

if (file !== undefined) {
  const Real = Date;
  let aheadMs = 0;
  const look = (): void => {
    try {
      aheadMs = Number(readFileSync(file, 'utf8'));
    } catch {
      aheadMs = 0;
    }
  };
  look();
  setInterval(look, LOOK_MS).unref();
  globalThis.Date = class extends Real {
    constructor(...words: []) {
      if (words.length === 0) super(Real.now() + aheadMs);
      else super(...words);
    }

    static override now(): number {
      return Real.now() + aheadMs;
    }
  } as DateConstructor;
}
