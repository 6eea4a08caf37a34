// What became of a drill, beside its evidence: a small file that is there from before the drill begins, so that one that was killed is not
// forgotten. Evidence is the signed pack alone; a record that says "running" or "not finished" proves nothing.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isFault } from '../../src/base/faults.ts';
import { replaceFile } from '../../src/base/replace-file.ts';

const NAME = 'record.json';

export type DrillRecord = {
  readonly drill: string;
  /** Name of the plan. */
  readonly plan: string;
  readonly at: string;
} & (
  | { readonly state: 'running' }
  | { readonly state: 'finished'; readonly outcome: string; readonly isDestroyed: boolean; readonly pack: string }
  | {
      readonly state: 'not finished';
      readonly why: string;
      readonly text: string;
      readonly isDestroyed: boolean;
      /** What was looked at, or what is left. */
      readonly destruction: string;
    }
);

export function writeRecord(directory: string, record: DrillRecord): void {
  const path = join(directory, NAME);
  const text = `${JSON.stringify(record)}\n`;
  try {
    replaceFile(path, text, 0o644);
  } catch (error) {
    if (!isFault(error, 'TARGET_FULL')) throw error;
    // It takes the place of the one before.
    writeFileSync(path, text, { mode: 0o644, flush: true });
  }
}

/** Undefined when there is none that can be read. */
export function readRecord(directory: string): DrillRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, NAME), 'utf8')) as DrillRecord;
  } catch {
    return undefined;
  }
}
