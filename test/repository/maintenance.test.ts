import { describe, expect, it } from 'vitest';
import { Fault, isFault } from '../../src/base/faults.ts';
import type { Condemned } from '../../src/format/head.ts';
import { readCondemned } from '../../src/repository/condemned-lists.ts';
import { CONDEMNED_PREFIX, INDEX_PREFIX, indexKey } from '../../src/repository/layout.ts';
import type { SettleDetails } from '../../src/repository/maintenance.ts';
import { forgetSnapshots, pinSnapshot, readRegistered, unpinSnapshot } from '../../src/repository/registry.ts';
import { sweep, sweepRegisters, sweepStrayLists, sweepStrays } from '../../src/repository/sweep.ts';
import { endWriters } from '../../src/repository/writers.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { PROCESS, ProtocolFixture, SEALED } from './protocol-fixture.ts';

const WAIT: SettleDetails = { policy: () => 'wait', by: 'a prune', examine: async () => undefined };
const REVOKE: SettleDetails = { ...WAIT, policy: () => 'revoke' };

function condemned(entry: Condemned | 'stale'): Condemned {
  if (entry === 'stale') throw new Error('stale');
  return entry;
}

/** As it is in the head now. */
const entryOf = async (fixture: ProtocolFixture, { generation }: Condemned): Promise<Condemned> =>
  (await fixture.heads.read()).condemned.find((entry) => entry.generation === generation)!;

describe('A prune', () => {
  it('deletes packs that nobody can need, and the index objects that named them', async () => {
    const fixture = await ProtocolFixture.make();
    const { name, pack } = await fixture.snapshot();
    const kept = await fixture.snapshot();
    await forgetSnapshots(fixture.heads, new Set([name]));
    const maintenance = await fixture.maintain();
    const entry = condemned(await maintenance.condemn(await fixture.plan([pack])));
    expect(entry).toMatchObject({ generation: 1, packs: 1, awaits: [], indexes: [pack.index] });
    expect((await readCondemned(fixture.heads)).packs).toEqual(new Set([pack.id]));
    const deleted: string[] = [];
    await sweep(fixture.heads, entry, { onDeleted: (kind, id) => deleted.push(`${kind} ${id}`) });
    await maintenance.end();
    expect(deleted).toEqual([`pack ${pack.id}`, `index ${pack.index.id}`]);
    expect(fixture.hasPack(pack.id)).toBe(false);
    expect(fixture.hasPack(kept.pack.id)).toBe(true);
    expect(await fixture.heads.read()).toMatchObject({ condemned: [], indexes: [kept.pack.index], writers: [], retired: [] });
    for await (const page of fixture.memory.list(CONDEMNED_PREFIX)) expect(page).toEqual([]);
  });

  it('waits for a backup that runs, and a later one goes on', async () => {
    const fixture = await ProtocolFixture.make();
    const { pack } = await fixture.snapshot();
    const running = await fixture.begin();
    const first = await fixture.maintain();
    const entry = condemned(await first.condemn(await fixture.plan([pack])));
    expect(await first.settle(entry.generation, WAIT)).toMatchObject({ outcome: 'waiting', writers: [{ session: running.name }] });
    await first.end();
    await expect(sweep(fixture.heads, await entryOf(fixture, entry))).rejects.toThrow('only what is settled');
    await running.abandon();
    const second = await fixture.maintain();
    expect(await second.settle(entry.generation, WAIT)).toEqual({ outcome: 'settled' });
    await sweep(fixture.heads, await entryOf(fixture, entry));
    expect(fixture.hasPack(pack.id)).toBe(false);
    expect(await second.settle(entry.generation, WAIT)).toEqual({ outcome: 'gone' });
  });

  it('gives back what a backup that ran has come to need', async () => {
    const fixture = await ProtocolFixture.make();
    const [dead, needed] = [await fixture.snapshot(), await fixture.snapshot()];
    const running = await fixture.begin();
    const maintenance = await fixture.maintain();
    const entry = condemned(await maintenance.condemn(await fixture.plan([dead.pack, needed.pack])));
    await running.commit(SEALED, []);
    const index = await fixture.index();
    const examined: unknown[] = [];
    const settled = await maintenance.settle(entry.generation, {
      ...REVOKE,
      examine: async ({ packs, snapshots }) => {
        examined.push(snapshots, [...packs].sort());
        return { packs: [needed.pack.id], index };
      },
    });
    expect(settled).toEqual({ outcome: 'settled' });
    expect(examined).toEqual([[running.name], [dead.pack.id, needed.pack.id].sort()]);
    expect(await fixture.heads.read()).toMatchObject({ indexes: [index], condemned: [{ packs: 1, awaits: [] }] });
    await sweep(fixture.heads, await entryOf(fixture, entry));
    expect([fixture.hasPack(dead.pack.id), fixture.hasPack(needed.pack.id)]).toEqual([false, true]);
    for await (const page of fixture.memory.list(CONDEMNED_PREFIX)) expect(page).toEqual([]);
  });

  it('examines a forgotten snapshot that is still being read, and no other forgotten one', async () => {
    const fixture = await ProtocolFixture.make();
    const { pack } = await fixture.snapshot();
    const [read, gone] = [await fixture.begin(), await fixture.begin()];
    const maintenance = await fixture.maintain();
    const entry = condemned(await maintenance.condemn(await fixture.plan([pack])));
    await read.commit(SEALED, []);
    await gone.commit(SEALED, []);
    await pinSnapshot(fixture.heads, read.name, PROCESS);
    await forgetSnapshots(fixture.heads, new Set([read.name, gone.name]));
    const examined: (readonly string[])[] = [];
    await maintenance.settle(entry.generation, { ...WAIT, examine: async ({ snapshots }) => void examined.push(snapshots) });
    expect(examined).toEqual([[read.name]]);
  });

  it('must plan again when a backup has committed, a prune has condemned, or packs were adopted', async () => {
    const fixture = await ProtocolFixture.make();
    const { pack } = await fixture.snapshot();
    const maintenance = await fixture.maintain();
    const beforeCommit = await fixture.plan([pack]);
    const session = await fixture.begin();
    await session.commit(SEALED, []);
    expect(await maintenance.condemn(beforeCommit)).toBe('stale');
    const beforeAdoption = await fixture.plan([pack]);
    const orphan = await fixture.pack('f'.repeat(20));
    await (await fixture.begin()).adopt(orphan.index, [orphan]);
    expect(await maintenance.condemn(beforeAdoption)).toBe('stale');
    const other = await fixture.maintain();
    const beforeOther = await fixture.plan([pack]);
    condemned(await other.condemn(await fixture.plan([orphan])));
    expect(await maintenance.condemn(beforeOther)).toBe('stale');
    expect((await fixture.heads.read()).condemned).toHaveLength(1);
    await expect(other.condemn(await fixture.plan([orphan]))).rejects.toThrow('a pack is condemned once');
  });

  it('does not mind what backups publish meanwhile, and never condemns it', async () => {
    const fixture = await ProtocolFixture.make();
    const { pack } = await fixture.snapshot();
    const maintenance = await fixture.maintain();
    const plan = await fixture.plan([pack]);
    const session = await fixture.begin();
    const own = await fixture.pack(session.name);
    await session.checkpoint([own.index]);
    condemned(await maintenance.condemn(plan));
    expect((await fixture.heads.read()).indexes).toEqual([own.index]);
    await expect(maintenance.condemn(await fixture.plan([own]))).rejects.toThrow('packs of a running session');
  });

  it('brings packs back that it has found, but for condemned ones and those of sessions that run', async () => {
    const fixture = await ProtocolFixture.make();
    const [over, running] = [await fixture.begin(), await fixture.begin()];
    const [found, condemnedPack, others] = [
      await fixture.pack(over.name),
      await fixture.pack(over.name),
      await fixture.pack(running.name),
    ];
    await over.abandon();
    const maintenance = await fixture.maintain();
    condemned(await maintenance.condemn(await fixture.plan([condemnedPack])));
    const adopting = async (...packs: (typeof found)[]) =>
      fixture.plan([], { add: packs.map(({ index }) => index), adopts: packs });
    expect(await maintenance.condemn(await adopting(found, condemnedPack))).toBe('stale');
    expect(await maintenance.condemn(await adopting(found, others))).toBe('stale');
    condemned(await maintenance.condemn(await adopting(found)));
    expect((await fixture.heads.read()).indexes).toEqual([found.index]);
  });

  it('has condemned although its answer was lost and another prune has swept meanwhile', async () => {
    const fixture = await ProtocolFixture.make();
    const { pack } = await fixture.snapshot();
    const added = await fixture.index();
    const late = new MemoryStore();
    Object.assign(late, {
      put: (key: string, bytes: Uint8Array) => fixture.memory.put(key, bytes),
      read: (key: string) => fixture.memory.read(key),
    });
    late.swap = async (key, bytes, version) => {
      const swapped = await fixture.memory.swap(key, bytes, version);
      const [entry] = (await fixture.heads.read()).condemned;
      if (entry === undefined) return swapped;
      await sweep(fixture.heads, entry);
      return 'conflict';
    };
    const maintenance = await fixture.maintain(fixture.headsOn(late));
    const entry = condemned(await maintenance.condemn(await fixture.plan([pack], { add: [added] })));
    expect(entry).toMatchObject({ generation: 1, packs: 1, awaits: [] });
    expect(await fixture.heads.read()).toMatchObject({ indexes: [added], condemned: [] });
    expect(await maintenance.settle(1, WAIT)).toEqual({ outcome: 'gone' });
  });

  it('that somebody has thrown out condemns nothing', async () => {
    const fixture = await ProtocolFixture.make();
    const { pack } = await fixture.snapshot();
    const maintenance = await fixture.maintain();
    expect((await endWriters(fixture.heads, () => 'revoke', 'another prune')).revoked).toMatchObject([
      { session: maintenance.name },
    ]);
    await expect(maintenance.condemn(await fixture.plan([pack]))).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
    expect(await fixture.heads.read()).toMatchObject({ generation: 0, condemned: [], indexes: [pack.index] });
  });

  it('clears away lists and index objects of sessions that are over, and no others', async () => {
    const fixture = await ProtocolFixture.make();
    const { pack } = await fixture.snapshot();
    const [over, running] = [await fixture.maintain(), await fixture.maintain()];
    const strays: string[] = [];
    for (const session of [over, running]) {
      // Each stores a list and dies before the head names it.
      const lists = new Set(fixture.memory.objects.keys());
      await fixture.heads.change((head) => ({ next: { ...head, generation: head.generation + 1 }, result: undefined }));
      const plan = await fixture.plan([pack]);
      const swap = fixture.memory.swap.bind(fixture.memory);
      fixture.memory.swap = () => Promise.reject(new Fault('STORE_TIMEOUT', 'no answer'));
      await expect(session.condemn(plan)).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
      fixture.memory.swap = swap;
      strays.push(...[...fixture.memory.objects.keys()].filter((key) => !lists.has(key)));
    }
    expect(strays).toHaveLength(2);
    await over.end();
    expect(await sweepStrayLists(fixture.heads)).toEqual([strays[0]]);
    // Index objects tell their session in their own way.
    const [orphan, own] = [await fixture.index(), await fixture.index()];
    const sessionOf = async (key: string) => (key === indexKey(orphan.id) ? over.name : running.name);
    const named = () => [indexKey(pack.index.id)];
    expect(await sweepStrays(fixture.heads, { prefix: INDEX_PREFIX, named, sessionOf })).toEqual([indexKey(orphan.id)]);
    expect([fixture.hasIndex(pack.index.id), fixture.hasIndex(own.id)]).toEqual([true, true]);
  });

  it('that dies at any of its writes is finished by the next one', async () => {
    for (let writesLeft = 0; ; writesLeft++) {
      const fixture = await ProtocolFixture.make();
      const [dead, needed, kept] = [await fixture.snapshot(), await fixture.snapshot(), await fixture.snapshot()];
      // While it runs, the prune condemns two packs; when it has committed, one of them is needed.
      const running = await fixture.begin();
      await forgetSnapshots(fixture.heads, new Set([dead.name, needed.name]));
      const packs = [dead.pack, needed.pack];
      const isOver = await pruneOn(fixture, dying(fixture.memory, writesLeft), packs, packs, () => running.commit(SEALED, []));
      await endWriters(fixture.heads, () => 'revoke', 'the next prune');
      await pruneOn(fixture, fixture.memory, packs, [dead.pack], async () => {});
      const head = await fixture.heads.read();
      expect(head).toMatchObject({ condemned: [], writers: [], retired: [] });
      expect(head.snapshots.map(({ session }) => session)).toEqual([kept.name, running.name]);
      expect([dead, needed, kept].map(({ pack }) => fixture.hasPack(pack.id))).toEqual([false, true, true]);
      for (const { id } of head.indexes) expect(fixture.hasIndex(id)).toBe(true);
      for await (const page of fixture.memory.list(CONDEMNED_PREFIX)) expect(page).toEqual([]);
      if (isOver) {
        expect(writesLeft).toBeGreaterThan(8);
        return;
      }
    }
  });

  /** Goes on with what another prune has begun, or condemns `unneeded`. True when it came to its end. */
  async function pruneOn(
    fixture: ProtocolFixture,
    store: ObjectStore,
    [dead, needed]: readonly StoredPack[],
    unneeded: readonly StoredPack[],
    meanwhile: () => Promise<unknown>,
  ): Promise<boolean> {
    const heads = fixture.headsOn(store);
    try {
      const maintenance = await fixture.maintain(heads);
      const { condemned: begun, indexes } = await heads.read();
      const isBegun = begun.length > 0 || !indexes.some(({ id }) => id === dead!.index.id);
      if (!isBegun) await maintenance.condemn(await fixture.plan(unneeded));
      await meanwhile();
      for (const { generation } of (await heads.read()).condemned) {
        const examine: SettleDetails['examine'] = async () => ({ packs: [needed!.id], index: await fixture.index() });
        await maintenance.settle(generation, { ...REVOKE, examine });
        await sweep(heads, (await heads.read()).condemned.find((entry) => entry.generation === generation)!);
      }
      await sweepRegisters(heads);
      await sweepStrayLists(heads);
      await maintenance.end();
      return true;
    } catch (fault) {
      if (!isFault(fault, 'STORE_UNREACHABLE')) throw fault;
      if ((await fixture.heads.read()).writers.some(({ kind }) => kind === 'backup')) await meanwhile();
      return false;
    }
  }
});

type StoredPack = Awaited<ReturnType<ProtocolFixture['pack']>>;

/** Dies with its n-th write, and never answers again. */
function dying(memory: MemoryStore, writesLeft: number): ObjectStore {
  let left = writesLeft;
  const dead = () => Promise.reject(new Fault('STORE_UNREACHABLE', 'dead'));
  return new Proxy(memory as ObjectStore, {
    get: (target, verb) => {
      const isWrite = verb === 'put' || verb === 'swap' || verb === 'delete';
      const method = target[verb as keyof ObjectStore];
      if (typeof method !== 'function') return method;
      if (left < 0 || (isWrite && left-- <= 0)) {
        left = -1;
        return dead;
      }
      return method.bind(target);
    },
  });
}

describe('Readers', () => {
  it('hold on to a snapshot that is forgotten meanwhile', async () => {
    const fixture = await ProtocolFixture.make();
    const { name } = await fixture.snapshot();
    const { holder } = await pinSnapshot(fixture.heads, name, PROCESS);
    expect(await forgetSnapshots(fixture.heads, new Set([name]))).toEqual([]);
    expect(await readRegistered(fixture.heads, name)).toMatchObject({ state: 'committed' });
    await expect(pinSnapshot(fixture.heads, name, PROCESS)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    await unpinSnapshot(fixture.heads, holder);
    expect(await sweepRegisters(fixture.heads)).toBe(1);
    await expect(readRegistered(fixture.heads, name)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    expect(await fixture.heads.read()).toMatchObject({ pins: [], retired: [], snapshots: [] });
  });

  it('are told which snapshots there were not, and of one whose register is lost', async () => {
    const fixture = await ProtocolFixture.make();
    const { name } = await fixture.snapshot();
    expect(await forgetSnapshots(fixture.heads, new Set(['e'.repeat(20)]))).toEqual(['e'.repeat(20)]);
    await fixture.heads.registers.deleteSnapshot(name);
    await expect(readRegistered(fixture.heads, name)).rejects.toMatchObject({ code: 'FORMAT_DAMAGED' });
  });
});
