import { describe, expect, it } from 'vitest';
import { type Head, NONCE_DIGITS } from '../../src/format/head.ts';
import { HEAD_REGISTER, PACKS_PREFIX } from '../../src/repository/layout.ts';
import type { ObjectStore, StoreKey } from '../../src/store/object-store.ts';
import { simulate } from './protocol-simulation.ts';
import { jsonCodec } from './simulated-objects.ts';

// The long form: bin/node test/repository/protocol-soak.ts --seeds 100000
const SEEDS = 400;
const SEEDS_TO_FIND_A_FAULT = 400;

/** The store with some of its verbs done differently. */
function changed(store: ObjectStore, verbs: Partial<ObjectStore>): ObjectStore {
  return new Proxy(store, {
    get: (target, name) => {
      const verb = verbs[name as keyof ObjectStore] ?? target[name as keyof ObjectStore];
      return typeof verb === 'function' ? verb.bind(target) : verb;
    },
  });
}

async function firstFault(wrapStore: (store: ObjectStore) => ObjectStore): Promise<string> {
  for (let seed = 1; seed <= SEEDS_TO_FIND_A_FAULT; seed++) {
    try {
      await simulate({ seed, wrapStore });
    } catch (error) {
      return (error as Error).message;
    }
  }
  return 'none';
}

describe('Backups, prunes, forgets and readers at once, with lost and late requests, stale listings and deaths', () => {
  it(`lose nothing and leave no waste, in ${SEEDS} runs`, async () => {
    const total: Record<string, number> = {};
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await simulate({ seed }).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      });
      for (const [name, n] of Object.entries(result)) total[name] = (total[name] ?? 0) + n;
    }
    console.info(JSON.stringify(total));
    // It did something.
    for (const name of ['committed', 'adopted', 'revoked', 'condemned', 'kept', 'swept', 'read', 'killed']) {
      expect(total[name], name).toBeGreaterThan(SEEDS / 100);
    }
  });

  it('go the same way for the same seed', async () => {
    const logs = [[], []] as [string[], string[]];
    for (const log of logs) await simulate({ seed: 7, onLog: (line) => log.push(line) });
    expect(logs[0].length).toBeGreaterThan(100);
    expect(logs[1]).toEqual(logs[0]);
  });
});

describe('The simulation finds', () => {
  it('a store that swaps whatever the version', async () => {
    const blind = (store: ObjectStore) =>
      changed(store, {
        swap: async (key, bytes) => {
          for (;;) {
            const current = await store.read(key);
            const swapped = await store.swap(key, bytes, current?.version);
            if (swapped !== 'conflict') return swapped;
          }
        },
      });
    expect(await firstFault(blind)).toMatch(/^Broken/);
  });

  it('a store that loses a pack which it has acknowledged', async () => {
    let packs = 0;
    const forgetful = (store: ObjectStore) =>
      changed(store, {
        put: async (key: StoreKey, bytes: Uint8Array) => {
          const isLost = key.startsWith(PACKS_PREFIX) && ++packs % 50 === 0;
          return isLost ? 'created' : store.put(key, bytes);
        },
      });
    expect(await firstFault(forgetful)).toMatch(/^Broken: .*(not stored|lost blocks)/);
  });

  it.each<[string, (head: Head) => Head, RegExp]>([
    [
      'condemnations that wait for nobody',
      (head) => ({ ...head, condemned: head.condemned.map((entry) => ({ ...entry, awaits: [] })) }),
      /^Broken/,
    ],
    ['pins that do not hold', (head) => ({ ...head, pins: [] }), /^Broken: a pin is gone/],
    ['index objects that are forgotten', (head) => ({ ...head, indexes: head.indexes.slice(-1) }), /^Broken/],
  ])('%s', async (_, change, expected) => {
    const tampering = (store: ObjectStore) =>
      changed(store, {
        swap: (key, bytes, version) => {
          if (key !== HEAD_REGISTER) return store.swap(key, bytes, version);
          const head = jsonCodec.decode(key, bytes) as Head & { readonly nonce: string };
          expect(head.nonce).toHaveLength(NONCE_DIGITS);
          return store.swap(key, jsonCodec.encode(key, change(head)), version);
        },
      });
    expect(await firstFault(tampering)).toMatch(expected);
  });
});
