// What is known to be locked, and until when, in a file beside the caches: so that a run asks nothing of what needs nothing. Losing it costs
// requests and nothing else: everything is locked anew.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../base/make-directory.ts';
import { replaceFile } from '../base/replace-file.ts';

const SAVE_EVERY_MS = 5_000;

export class LockMarks {
  readonly #path: string;
  readonly #nowMs: () => number;
  /** Seconds since 1970. */
  readonly #before: Map<string, number>;
  readonly #after = new Map<string, number>();
  #savedAtMs: number;

  /** `location` keeps copies of one repository apart. `forget`: as if there were no file. */
  constructor(directory: string, location: string, { nowMs, forget }: { readonly nowMs: () => number; readonly forget: boolean }) {
    makeDirectory(directory, { mode: 0o700 });
    this.#path = join(directory, `locks-${createHash('sha256').update(location).digest('hex').slice(0, 16)}.json`);
    this.#nowMs = nowMs;
    this.#savedAtMs = nowMs();
    this.#before = forget ? new Map() : read(this.#path);
  }

  /** Any one that is known, to be held against the store. */
  sample(): { readonly mark: string; readonly untilMs: number } | undefined {
    for (const [mark, seconds] of this.#before) return { mark, untilMs: seconds * 1000 };
    return undefined;
  }

  forgetAll(): void {
    this.#before.clear();
  }

  /** Whether it is locked until then at least. Such a mark is kept. */
  holds(mark: string, untilMs: number): boolean {
    const seconds = this.#before.get(mark);
    if (seconds === undefined || seconds * 1000 < untilMs) return false;
    this.#after.set(mark, seconds);
    return true;
  }

  set(mark: string, untilMs: number): void {
    this.#after.set(mark, Math.floor(untilMs / 1000));
    if (this.#nowMs() - this.#savedAtMs < SAVE_EVERY_MS) return;
    this.#write(new Map([...this.#before, ...this.#after]));
    this.#savedAtMs = this.#nowMs();
  }

  /** Marks that nobody has asked for are of what is gone. */
  end(): void {
    this.#write(this.#after);
  }

  #write(marks: ReadonlyMap<string, number>): void {
    replaceFile(this.#path, JSON.stringify({ lockedUntil: Object.fromEntries(marks) }), 0o600);
  }
}

function read(path: string): Map<string, number> {
  try {
    const { lockedUntil } = JSON.parse(readFileSync(path, 'utf8')) as { lockedUntil: Record<string, unknown> };
    return new Map(Object.entries(lockedUntil).filter((mark): mark is [string, number] => Number.isSafeInteger(mark[1])));
  } catch {
    return new Map();
  }
}
