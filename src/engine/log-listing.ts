// What a listing shows of an epoch: its objects, by their names. What it does not show may be there all the same.

import { isFault } from '../base/faults.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';

const NAME = /\/([0-9a-f]{16})(?:\.(\d{6}))?$/;

export type ListedSection = { readonly key: string; readonly section: number; readonly sizeBytes: number };
export type ListedRange = ListedSection & { readonly number: number };

export type ListedEpoch = { readonly sections: readonly ListedSection[]; readonly ranges: readonly ListedRange[] };

/** Nothing where listing is not allowed. */
export async function listEpoch(store: ObjectStore, prefix: string, options?: CallOptions): Promise<ListedEpoch> {
  const sections: ListedSection[] = [];
  const ranges: ListedRange[] = [];
  try {
    for await (const page of store.list(`${prefix}/`, options)) {
      for (const { key, sizeBytes } of page) {
        const [, position, number] = NAME.exec(key) ?? [];
        if (position === undefined) continue;
        const section = Number.parseInt(position, 16);
        if (number === undefined) sections.push({ key, section, sizeBytes });
        else ranges.push({ key, section, sizeBytes, number: Number(number) });
      }
    }
  } catch (error) {
    if (!isFault(error, 'STORE_DENIED')) throw error;
  }
  return { sections, ranges };
}
