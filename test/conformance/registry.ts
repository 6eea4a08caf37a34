// What every registry promises (src/registry/registry.ts). `open` opens the same registry anew: another process of it, as it were.

import { afterEach, describe, expect, it } from 'vitest';
import { REGISTRY_VALUE_BYTES_MAX, type Registry } from '../../src/registry/registry.ts';

export function registryConformance(open: () => Registry): void {
  let keys = 0;
  const newKey = (): string => `conformance/${process.pid}/${++keys}`;
  const opened: Registry[] = [];
  const opens = (): Registry => {
    const registry = open();
    opened.push(registry);
    return registry;
  };
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((registry) => registry.close()));
  });

  describe('a registry', () => {
    it('has nothing under a key that was never swapped', async () => {
      expect(await opens().read(newKey())).toBeUndefined();
    });

    it('makes a value once, and answers it with its revision to everybody', async () => {
      const [one, other] = [opens(), opens()];
      const key = newKey();
      const revision = await one.swap(key, '{"名":"甲"}', 0);
      expect(revision).toBeGreaterThan(0);
      expect(await other.read(key)).toEqual({ value: '{"名":"甲"}', revision });
      expect(await other.swap(key, 'other', 0)).toBe('conflict');
      expect(await one.read(key)).toEqual({ value: '{"名":"甲"}', revision });
    });

    it('replaces a value only from its newest revision, and revisions grow', async () => {
      const registry = opens();
      const key = newKey();
      const first = (await registry.swap(key, 'a', 0)) as number;
      const second = (await registry.swap(key, 'b', first)) as number;
      expect(second).toBeGreaterThan(first);
      expect(await registry.swap(key, 'c', first)).toBe('conflict');
      expect(await registry.swap(key, 'c', second + 1)).toBe('conflict');
      expect(await registry.read(key)).toEqual({ value: 'b', revision: second });
    });

    it('keeps keys apart', async () => {
      const registry = opens();
      const [a, b] = [newKey(), newKey()];
      const revision = (await registry.swap(a, 'a', 0)) as number;
      await registry.swap(b, 'b', 0);
      expect(await registry.read(a)).toEqual({ value: 'a', revision });
    });

    it('lets exactly one of many swaps from one revision take place', async () => {
      const registries = Array.from({ length: 4 }, opens);
      const key = newKey();
      let revision = 0;
      for (let round = 0; round < 5; round++) {
        const answers = await Promise.all(
          Array.from({ length: 16 }, (_, i) => registries[i % 4]!.swap(key, `${round}.${i}`, revision)),
        );
        const winners = answers.flatMap((answer, i) => (answer === 'conflict' ? [] : [{ answer, i }]));
        expect(winners).toHaveLength(1);
        const { answer, i } = winners[0]!;
        expect(await registries[0]!.read(key)).toEqual({ value: `${round}.${i}`, revision: answer });
        revision = answer;
      }
    });

    it('counts to what many count up to at once', async () => {
      const key = newKey();
      const count = async (registry: Registry): Promise<void> => {
        for (let done = 0; done < 10; ) {
          const now = await registry.read(key);
          const swapped = await registry.swap(key, String(Number(now?.value ?? 0) + 1), now?.revision ?? 0);
          if (swapped !== 'conflict') done++;
        }
      };
      await Promise.all(Array.from({ length: 4 }, () => count(opens())));
      expect((await opens().read(key))?.value).toBe('40');
    });

    it('takes the largest value that it may, and an empty one', async () => {
      const registry = opens();
      const key = newKey();
      const large = 'x'.repeat(REGISTRY_VALUE_BYTES_MAX);
      const revision = (await registry.swap(key, large, 0)) as number;
      expect((await registry.read(key))?.value).toBe(large);
      const next = (await registry.swap(key, '', revision)) as number;
      expect(await registry.read(key)).toEqual({ value: '', revision: next });
      await expect(registry.swap(key, `${large}x`, next)).rejects.toThrow(/small enough/);
    });

    it('refuses what is no key', async () => {
      const registry = opens();
      for (const key of ['', '/a', 'a//b', 'A', 'a b', `a/${'x'.repeat(200)}`])
        await expect(registry.swap(key, 'x', 0)).rejects.toThrow(/key of a registry/);
    });
  });
}
