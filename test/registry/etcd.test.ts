import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { openEtcd } from '../../src/registry/etcd.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { registryConformance } from '../conformance/registry.ts';
import { needEtcd, TestEtcd } from '../support/etcd.ts';

const TIMEOUT_MS = 120_000;
const MEMBERS = [0, 1, 2];

/** Counts up until told to stop. What throws may have been counted. */
async function count(registry: Registry, key: string, isOver: () => boolean): Promise<{ counted: number; unknown: number }> {
  let counted = 0;
  let unknown = 0;
  while (!isOver()) {
    try {
      const now = await registry.read(key);
      // Nothing that was acknowledged may be missing.
      expect(Number(now?.value ?? 0)).toBeGreaterThanOrEqual(counted);
      const swapped = await registry.swap(key, String(Number(now?.value ?? 0) + 1), now?.revision ?? 0).catch((error: unknown) => {
        unknown++;
        throw error;
      });
      if (swapped !== 'conflict') counted++;
    } catch (error) {
      if (!isFault(error, 'REGISTRY_UNREACHABLE')) throw error;
    }
  }
  return { counted, unknown };
}

describe.runIf(needEtcd())('A registry of three etcd members', () => {
  let cluster: TestEtcd;
  beforeAll(async () => {
    cluster = await TestEtcd.start();
  }, TIMEOUT_MS);
  afterAll(() => cluster.stop());

  registryConformance(() => openEtcd({ endpoints: cluster.endpoints, timeoutMs: 10_000 }));

  it(
    'loses nothing while each member in turn is killed, or stands still, and comes back',
    async () => {
      const registries = MEMBERS.map((i) => {
        const { endpoints } = cluster;
        return openEtcd({ endpoints: [...endpoints.slice(i), ...endpoints.slice(0, i)], timeoutMs: 1_000 });
      });
      const key = 'killed/counter';
      let isOver = false;
      const counting = registries.map((registry) => count(registry, key, () => isOver));
      const [watcher] = registries;
      const progress = async (): Promise<void> => {
        const value = async (): Promise<number> => Number((await watcher!.read(key).catch(() => undefined))?.value ?? 0);
        const before = await value();
        while ((await value()) < before + 5);
      };
      for (const i of MEMBERS) {
        await progress();
        await cluster.kill(i);
        await progress();
        cluster.startMember(i);
        await progress();
        cluster.pause(i);
        await progress();
        cluster.resume(i);
      }
      isOver = true;
      const results = await Promise.all(counting);
      const sum = results.reduce((all, { counted }) => all + counted, 0);
      const unknown = results.reduce((all, one) => all + one.unknown, 0);
      const value = Number((await watcher!.read(key))!.value);
      console.info(`${value} counted, ${sum} acknowledged, ${unknown} unknown`);
      expect(value).toBeGreaterThanOrEqual(sum);
      expect(value).toBeLessThanOrEqual(sum + unknown);
      await Promise.all(registries.map((registry) => registry.close()));
    },
    TIMEOUT_MS,
  );

  it(
    'asks another member when one that is silent has used up the patience of whoever asked',
    async () => {
      const registry = openEtcd({ endpoints: cluster.endpoints, timeoutMs: 60_000 });
      await cluster.ready();
      let revision = (await registry.swap('silent', 'x', 0)) as number;
      cluster.pause(0);
      try {
        // As a gate does, whose rounds are shorter than any patience of a registry: it only swaps. Members elect another leader meanwhile.
        for (let given = 0, isAnswered = false; given === 0 || !isAnswered; ) {
          const swapped = await registry.swap('silent', 'x', revision, { signal: AbortSignal.timeout(500) }).catch(() => undefined);
          isAnswered = swapped !== undefined;
          if (typeof swapped === 'number') revision = swapped;
          if (!isAnswered) given++;
          expect(given).toBeLessThan(40);
        }
      } finally {
        cluster.resume(0);
        await registry.close();
      }
    },
    TIMEOUT_MS,
  );

  it(
    'answers neither reads nor swaps without a majority, and does when it is back',
    async () => {
      const registry = openEtcd({ endpoints: cluster.endpoints, timeoutMs: 1_000 });
      await cluster.ready();
      const patient = openEtcd({ endpoints: cluster.endpoints, timeoutMs: 10_000 });
      const revision = (await patient.swap('majority', 'a', 0)) as number;
      await cluster.kill(0);
      await cluster.kill(1);
      await expect(registry.read('majority')).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
      await expect(registry.swap('majority', 'b', revision)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
      cluster.startMember(0);
      cluster.startMember(1);
      await cluster.ready();
      // The swap that was not answered may have taken place by now.
      expect((await patient.read('majority'))?.value).toMatch(/^[ab]$/);
      await Promise.all([registry.close(), patient.close()]);
    },
    TIMEOUT_MS,
  );
});
