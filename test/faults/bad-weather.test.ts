// A store that times out, storms with 503, loses answers, repeats requests, cuts answers off, lists wrongly: with retries nobody notices;
// without them the fault is named, and nothing is lost.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Fault, isFault } from '../../src/base/faults.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { RETRY, withRetry } from '../../src/store/retry.ts';
import { type FaultyOptions, type FaultyStore, faultyStore } from '../support/faulty-store.ts';
import { instantTiming } from '../support/instant-timing.ts';
import { isSampled, SAMPLED_OF } from '../support/sample.ts';
import { backUpTree, openEngine } from './engine-process.ts';
import {
  changeTree,
  copyRepository,
  copyTree,
  expectClean,
  expectRestores,
  filesUnlike,
  makeRepository,
  memoryDirectory,
  restoreInto,
  snapshotIds,
  storedBytes,
  withEngine,
  writeTree,
} from './scenes.ts';

const MIB = 1024 * 1024;

type Scene = { readonly root: string; readonly directory: string; readonly one: string; readonly two: string };

async function makeScene(): Promise<Scene> {
  const root = memoryDirectory();
  const directory = join(root, 'place');
  mkdirSync(directory);
  await makeRepository(directory);
  const one = join(root, 'one');
  const two = join(root, 'two');
  writeTree(one, 1, 3 * MIB);
  copyTree(one, two);
  changeTree(two, 2, 4 * MIB);
  return { root, directory, one, two };
}

/** The store with faults, behind retries that do not wait, from the call of `begin` on. */
function inWeather(options: FaultyOptions) {
  let weather: { readonly faulty: FaultyStore; readonly store: ObjectStore } | undefined;
  let hasBegun = false;
  return {
    wrap: (calm: ObjectStore): ObjectStore => {
      const faulty = faultyStore(calm, options);
      const store = withRetry(faulty, { ...RETRY, attemptsMax: 30 }, instantTiming(options.seed));
      weather = { faulty, store };
      return new Proxy(store, {
        get: (_, name) => {
          // Without a local path: workers would read past the weather.
          if (name === 'localPath') return undefined;
          const from = hasBegun ? store : calm;
          const value: unknown = Reflect.get(from, name);
          return typeof value === 'function' ? value.bind(from) : value;
        },
      });
    },
    begin: (): void => void (hasBegun = true),
    injected: () => weather!.faulty.injected,
  };
}

const WEATHER = { lostRequest: 0.04, lostAnswer: 0.04, repeated: 0.04, storm: 0.01, truncated: 0.04, missed: 0.15, stale: 0.15 };

describe('with retries', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`time-outs, storms, lost and torn answers, repeated requests and wrong lists change nothing (seed ${seed})`, async () => {
      const { root, directory, one, two } = await makeScene();
      const weather = inWeather({ ...WEATHER, seed });
      const repository = await openEngine(directory, weather.wrap);
      weather.begin();
      try {
        const first = await backUpTree(repository, one);
        const second = await backUpTree(repository, two);
        await expectRestores(repository, first.id, one, root, 'in the weather');
        await forgetSnapshots(repository.heads, new Set([first.id]));
        await prune(repository, { by: 'test', unusedShareMax: 0 });
        await expectRestores(repository, second.id, two, root, 'after the prune');
        const { lostRequest = 0, lostAnswer = 0, repeated = 0, truncated = 0, storm = 0 } = weather.injected();
        expect(lostRequest + lostAnswer + repeated + truncated + storm).toBeGreaterThan(5);
      } finally {
        await repository.close();
      }
      await withEngine(directory, async (calm) => {
        await expectClean(calm, 'afterwards');
        expect(await snapshotIds(calm)).toHaveLength(1);
      });
    }, 120_000);
  }
});

describe('without retries', () => {
  for (const when of ['before', 'after'] as const) {
    it(`a backup whose n-th write times out ${when} it takes place fails with that fault, for every n, and the next one succeeds`, async () => {
      const { root, directory: template, one, two } = await makeScene();
      const first = await withEngine(template, async (repository) => (await backUpTree(repository, one)).id);
      const undisturbed = join(root, 'undisturbed');
      copyRepository(template, undisturbed);
      const expected = await withEngine(undisturbed, async (repository) => {
        await backUpTree(repository, two);
        return storedBytes(undisturbed);
      });
      let failed = 0;
      for (let n = 1; ; n++) {
        if (!isSampled(n)) continue;
        const directory = join(root, `fails-at-${n}`);
        copyRepository(template, directory);
        const outcome = await backUpFailing(directory, two, n, when);
        if (outcome === 'too few writes') break;
        if (outcome !== 'succeeded') failed++;
        await withEngine(directory, async (repository) => {
          const label = `write ${n} timed out ${when} it took place`;
          await expectClean(repository, label);
          const { id } = await backUpTree(repository, two);
          await prune(repository, { by: 'test', unusedShareMax: 0, isDead: () => true });
          await expectClean(repository, `${label}, after the prune`);
          await expectRestores(repository, first, one, root, label);
          await expectRestores(repository, id, two, root, label);
          // At most a second register, and nodes of a second snapshot.
          expect(storedBytes(directory), label).toBeLessThan(expected * 1.03);
        });
      }
      expect(failed * SAMPLED_OF).toBeGreaterThan(8);
    }, 300_000);
  }

  it('bytes that are changed on the way are noticed: what is restored is right or reported', async () => {
    const { root, directory, one } = await makeScene();
    const { id } = await withEngine(directory, (repository) => backUpTree(repository, one));
    let reported = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const repository = await openEngine(directory, (store) => faultyStore(store, { seed, flipped: 0.1 })).catch(namedFault);
      if (repository instanceof Fault) {
        reported++;
        continue;
      }
      const target = join(root, `restored-${seed}`);
      mkdirSync(target);
      try {
        const problems = await restoreInto(repository, id, target);
        reported += problems.length;
        for (const { code } of problems) expect(code).toBe('FORMAT_DAMAGED');
        expect(filesUnlike(one, target)).toEqual(problems.map(({ path }) => path).sort());
      } catch (error) {
        namedFault(error);
        reported++;
      } finally {
        await repository.close();
      }
    }
    expect(reported).toBeGreaterThan(0);
    await withEngine(directory, (repository) => expectRestores(repository, id, one, root, 'afterwards'));
  }, 120_000);
});

function namedFault(error: unknown): Fault {
  expect(isFault(error) && error.code, String(error)).toMatch(/^(?!INTERNAL)[A-Z_]+$/);
  return error as Fault;
}

async function backUpFailing(
  directory: string,
  tree: string,
  n: number,
  when: 'before' | 'after',
): Promise<'too few writes' | 'succeeded' | 'failed'> {
  let reached = false;
  const onWrite: NonNullable<FaultyOptions['onWrite']> = (write) => {
    if (write.number !== n || write.when !== when) return;
    reached = true;
    throw new Fault('STORE_TIMEOUT', `injected: ${write.verb} ${write.key}`);
  };
  const repository = await openEngine(directory, (store) => faultyStore(store, { seed: 1, onWrite }));
  try {
    await backUpTree(repository, tree);
    return reached ? 'succeeded' : 'too few writes';
  } catch (error) {
    expect(isFault(error) && error.code, String(error)).toBe('STORE_TIMEOUT');
    return 'failed';
  } finally {
    await repository.close();
  }
}
