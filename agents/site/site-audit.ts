// Every command that this daemon obeyed, and how that ended, in a file of lines: each holds the hash of the one before, so nothing in the middle
// can be removed or changed without all later hashes being others. An entry is on disk before the command begins.

import { createHash } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { canonicalJson } from '../../src/base/canonical-json.ts';
import { writeWhole } from '../../src/base/write-whole.ts';

export type SiteAuditEntry = {
  readonly sequence: number;
  /** ISO 8601, wall clock. */
  readonly at: string;
  /** Site whose key signed the command. */
  readonly from: string;
  readonly verb: string;
  readonly asset: string;
  readonly argument: unknown;
  /** "begun", "done", or the code of a fault. */
  readonly outcome: string;
  readonly previous: string;
  readonly hash: string;
};

const NOTHING = '0'.repeat(64);

export class SiteAudit {
  readonly #file: number;
  readonly #path: string;
  readonly #now: () => Date;
  #last: Pick<SiteAuditEntry, 'sequence' | 'hash'>;

  constructor(path: string, now: () => Date) {
    this.#now = now;
    this.#path = path;
    this.#file = openSync(path, 'a+', 0o600);
    const text = readFileSync(this.#file, 'utf8');
    // A line that was cut by a crash was never acknowledged: it stays, and is told by whoever verifies; the next begins on a line of its own.
    if (text !== '' && !text.endsWith('\n')) writeFileSync(this.#file, '\n');
    this.#last = readSiteAudit(text).at(-1) ?? { sequence: 0, hash: NOTHING };
  }

  /** TARGET_FULL: then nothing of it is there. */
  append(entry: Pick<SiteAuditEntry, 'from' | 'verb' | 'asset' | 'argument' | 'outcome'>): void {
    const body = { sequence: this.#last.sequence + 1, at: this.#now().toISOString(), ...entry, previous: this.#last.hash };
    const whole: SiteAuditEntry = { ...body, hash: hashOf(body) };
    const { size } = fstatSync(this.#file);
    try {
      writeWhole(this.#file, `${JSON.stringify(whole)}\n`, this.#path);
    } catch (error) {
      // A line that is cut would take the next one with it.
      ftruncateSync(this.#file, size);
      throw error;
    }
    this.#last = whole;
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Lines that are entries. */
export function readSiteAudit(text: string): readonly SiteAuditEntry[] {
  return text.split('\n').flatMap((line): SiteAuditEntry[] => {
    try {
      return [JSON.parse(line) as SiteAuditEntry];
    } catch {
      return [];
    }
  });
}

/** The sequence of the first entry that does not follow from the one before; undefined: the chain holds. */
export function brokenSiteAudit(entries: readonly SiteAuditEntry[]): number | undefined {
  let previous: Pick<SiteAuditEntry, 'sequence' | 'hash'> = { sequence: 0, hash: NOTHING };
  for (const entry of entries) {
    const { hash, ...body } = entry;
    if (entry.sequence !== previous.sequence + 1 || entry.previous !== previous.hash || hashOf(body) !== hash)
      return entry.sequence;
    previous = entry;
  }
  return undefined;
}

function hashOf(body: Omit<SiteAuditEntry, 'hash'>): string {
  return createHash('sha256').update(canonicalJson(body)).digest('hex');
}
