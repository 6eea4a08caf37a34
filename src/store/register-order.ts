// Which version of a register counts, in a bucket that keeps versions.
//
// Ceph RGW 16 and 18 do not keep the conditions of a PUT in such a bucket, and RGW 20 asks for them without holding anything back meanwhile:
// of 16 swaps at once up to 16 succeed. But no version is ever lost there, and all of them have one order that everybody sees and that
// only grows at its end. So a swap is a PUT without any condition that names the version it follows, and its place decides:
//
//   A value number n+1 counts if it is the first of that number. Whoever offers n+1 has seen a value number n that counts; so of all that
//   are offered one counts, everybody agrees which, and nothing that comes later changes it.
//
// What is offered late, when others have gone on, lies at the end and counts for nothing. So the newest version is nearly always the value,
// but not surely. To know, one goes back from the end until the version that the best one so far names as its predecessor: whatever has as
// high a number was written after that one. A delete marker ends the history: what follows it must begin with number 1.

import type { RegisterHistory } from './register-history.ts';

export type OfferedValue = {
  readonly history: RegisterHistory;
  /** Version that it follows. */
  readonly parent: string | undefined;
};

/** `isNewest`: nothing lies on top of it. */
export type ValidVersion<V> = { readonly versionId: string; readonly value: V; readonly isNewest: boolean };

type Listed = { readonly versionId: string; readonly isMarker: boolean };

export async function validVersion<V extends OfferedValue>(
  newestFirst: AsyncIterable<Listed>,
  offeredAs: (versionId: string) => Promise<V | undefined>,
): Promise<ValidVersion<V> | undefined> {
  const seen: ValidVersion<V>[] = [];
  let best: ValidVersion<V> | undefined;
  let isDeleted = false;
  for await (const { versionId, isMarker } of newestFirst) {
    if (isMarker) {
      if (best === undefined || best.value.history.sequence === 1) return best;
      isDeleted = true;
    } else if (best?.value.parent === versionId) {
      return isDeleted ? fromTheStart(seen.reverse()) : best;
    } else if (!isDeleted) {
      const value = await offeredAs(versionId);
      // Withdrawn meanwhile by its writer, because it does not count.
      if (value === undefined) continue;
      const here = { versionId, value, isNewest: seen.length === 0 };
      seen.push(here);
      if (best === undefined || value.history.sequence >= best.value.history.sequence) best = here;
    }
  }
  return best;
}

function fromTheStart<V extends OfferedValue>(oldestFirst: readonly ValidVersion<V>[]): ValidVersion<V> | undefined {
  let valid: ValidVersion<V> | undefined;
  for (const one of oldestFirst) {
    const { parent, history } = one.value;
    if (history.sequence === (valid?.value.history.sequence ?? 0) + 1 && parent === valid?.versionId) valid = one;
  }
  return valid;
}
