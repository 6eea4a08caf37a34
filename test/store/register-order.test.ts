// The order of versions as arbiter: simulated writers over a shared list of versions, held against what compare-and-swap would have done.

import { describe, expect, it } from 'vitest';
import { extendHistory } from '../../src/store/register-history.ts';
import { type OfferedValue, validVersion } from '../../src/store/register-order.ts';
import { seededRandom } from '../support/seeded-random.ts';

type Stored = { readonly versionId: string; readonly offered: OfferedValue | undefined };

/** Oldest first; `undefined` is a delete marker. */
class Versions {
  readonly stored: Stored[] = [];
  #count = 0;

  add(offered: OfferedValue | undefined): string {
    const versionId = `v${this.#count++}`;
    this.stored.push({ versionId, offered });
    return versionId;
  }

  async valid() {
    const newestFirst = [...this.stored]
      .reverse()
      .map(({ versionId, offered }) => ({ versionId, isMarker: offered === undefined }));
    return validVersion(
      (async function* () {
        yield* newestFirst;
      })(),
      async (versionId) => this.stored.find((one) => one.versionId === versionId)?.offered,
    );
  }
}

/** Writers read, sleep, and offer; some offers are written twice or late, some registers are deleted. Answers what counted, in order. */
async function simulate(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const versions = new Versions();
  // The register that the versions stand for, as a store with proper conditions would keep it.
  let truth: string | undefined;
  let truthOf: OfferedValue | undefined;
  const late: { readonly offered: OfferedValue; readonly parent: string | undefined }[] = [];
  for (let step = 0; step < 40; step++) {
    const valid = await versions.valid();
    expect(valid?.versionId, `seed ${seed}, step ${step}`).toBe(truth);
    const act = pick(10);
    if (act === 0) {
      versions.add(undefined);
      truth = truthOf = undefined;
    } else if (act < 5) {
      late.push({ offered: { history: extendHistory(truthOf?.history, `id${seed}-${step}`), parent: truth }, parent: truth });
    } else if (late.length > 0) {
      const { offered, parent } = late.splice(pick(late.length), 1)[0]!;
      const versionId = versions.add(offered);
      if (parent === truth) {
        truth = versionId;
        truthOf = offered;
      } else if (pick(2) === 0) versions.stored.pop();
    }
  }
}

describe('the order of versions', () => {
  it('agrees with compare-and-swap, whoever comes late, comes twice, or comes after a deletion', async () => {
    for (let seed = 1; seed <= 500; seed++) await simulate(seed);
  });

  it('takes the newest when the bucket has dropped what lay before it, and nothing that was offered to what is deleted', async () => {
    const versions = new Versions();
    const first = versions.add({ history: extendHistory(undefined, 'a'), parent: undefined });
    const second = { history: extendHistory(extendHistory(undefined, 'a'), 'b'), parent: first };
    const valid = versions.add(second);
    versions.stored.shift();
    expect((await versions.valid())?.versionId).toBe(valid);
    versions.add(undefined);
    expect(await versions.valid()).toBeUndefined();
    versions.add({ history: extendHistory(second.history, 'c'), parent: valid });
    expect(await versions.valid(), 'offered before the deletion, written after it').toBeUndefined();
  });
});
