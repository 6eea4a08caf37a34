import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/faults.ts';
import { HEAD_REGISTER } from '../../src/repository/layout.ts';
import { snapshotKey } from '../../src/repository/registers.ts';
import { readRegistered } from '../../src/repository/registry.ts';
import { BackupSession } from '../../src/repository/sessions.ts';
import { sweep, sweepRegisters } from '../../src/repository/sweep.ts';
import { endWriters, silencePolicy } from '../../src/repository/writers.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { BACKUP, PROCESS, ProtocolFixture, SEALED, START } from './protocol-fixture.ts';

const revokeAll = (fixture: ProtocolFixture) => endWriters(fixture.heads, () => 'revoke', 'a prune');

/** A store whose requests to the head fail from some point on. */
function withoutHead(fixture: ProtocolFixture): { readonly store: MemoryStore; isCut: boolean } {
  const cut = { store: new MemoryStore(), isCut: false };
  const { memory } = fixture;
  cut.store.read = (key) => memory.read(key);
  cut.store.delete = (key) => memory.delete(key);
  cut.store.swap = (key, bytes, version) => {
    if (cut.isCut && key === HEAD_REGISTER) throw new Fault('STORE_UNREACHABLE', 'no answer');
    return memory.swap(key, bytes, version);
  };
  return cut;
}

describe('A backup session', () => {
  it('is a snapshot when it has committed, with what it stored in the index', async () => {
    const fixture = await ProtocolFixture.make();
    const session = await fixture.begin();
    const [first, second] = [await fixture.pack(session.name), await fixture.pack(session.name)];
    await session.checkpoint([first.index]);
    expect(await session.commit(SEALED, [second.index])).toEqual({ registered: true });
    const head = await fixture.heads.read();
    expect(head).toMatchObject({ writers: [], snapshots: [{ session: session.name, assetId: BACKUP.assetId }] });
    expect(head.indexes).toEqual([first.index, second.index]);
    expect(await readRegistered(fixture.heads, session.name)).toMatchObject({ state: 'committed', sealed: SEALED.sealed });
  });

  it('learns the index of the head that it has joined', async () => {
    const fixture = await ProtocolFixture.make();
    const { name, pack } = await fixture.snapshot();
    const session = await fixture.begin();
    expect(session.view).toMatchObject({ generation: 0, indexes: [pack.index], parents: [{ session: name }] });
    const [writer] = (await fixture.heads.read()).writers;
    expect(writer).toMatchObject({
      session: session.name,
      kind: 'backup',
      step: 0,
      ...PROCESS,
      startedAt: '2030-01-01T00:00:00.000Z',
    });
  });

  it('may not share the map of a snapshot that a condemnation still has to look at', async () => {
    const fixture = await ProtocolFixture.make();
    const old = await fixture.snapshot();
    const running = await fixture.begin();
    const maintenance = await fixture.maintain();
    const plan = await fixture.plan([old.pack]);
    const entry = await maintenance.condemn(plan);
    await running.commit(SEALED, []);
    expect((await fixture.begin()).view.parents.map(({ session }) => session)).toEqual([old.name]);
    await maintenance.settle(entry === 'stale' ? -1 : entry.generation, {
      policy: () => 'wait',
      by: '',
      examine: async () => undefined,
    });
    expect((await fixture.begin()).view.parents.map(({ session }) => session)).toEqual([old.name, running.name]);
  });

  it('that is revoked can neither publish nor commit, and leaves nothing behind', async () => {
    const fixture = await ProtocolFixture.make();
    const session = await fixture.begin();
    const pack = await fixture.pack(session.name);
    expect(await revokeAll(fixture)).toMatchObject({ revoked: [{ session: session.name }], finished: [], running: [] });
    await expect(session.checkpoint([pack.index])).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
    await expect(session.commit(SEALED, [pack.index])).rejects.toMatchObject({
      code: 'SESSION_REVOKED',
      message: expect.stringContaining('a prune revoked it at 2030-01-01T00:00:00.000Z'),
    });
    await sweepRegisters(fixture.heads);
    expect(await fixture.heads.read()).toMatchObject({ writers: [], snapshots: [], indexes: [], retired: [] });
    expect([...fixture.memory.registers.keys()]).toEqual([HEAD_REGISTER]);
  });

  it('that is revoked before its register is made does not begin', async () => {
    const fixture = await ProtocolFixture.make();
    const late = new MemoryStore();
    late.read = (key) => fixture.memory.read(key);
    late.delete = (key) => fixture.memory.delete(key);
    late.swap = async (key, bytes, version) => {
      if (key !== HEAD_REGISTER) {
        const head = await fixture.heads.read();
        // Revoked by one that dies before it can tidy up.
        await fixture.heads.registers.swapSnapshot(
          { state: 'revoked', session: head.writers[0]!.session, by: 'x', at: head.writers[0]!.startedAt },
          undefined,
        );
      }
      return fixture.memory.swap(key, bytes, version);
    };
    await expect(fixture.begin(fixture.headsOn(late))).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
    expect((await fixture.heads.read()).writers).toEqual([]);
  });

  it('that makes its register after it was revoked and forgotten does not commit', async () => {
    const fixture = await ProtocolFixture.make();
    const late = new MemoryStore();
    late.read = (key) => fixture.memory.read(key);
    late.delete = (key) => fixture.memory.delete(key);
    late.swap = async (key, bytes, version) => {
      if (key !== HEAD_REGISTER && version === undefined) await revokeAll(fixture).then(() => sweepRegisters(fixture.heads));
      return fixture.memory.swap(key, bytes, version);
    };
    const session = await fixture.begin(fixture.headsOn(late));
    await expect(session.commit(SEALED, [])).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
    expect([...fixture.memory.registers.keys()]).toEqual([HEAD_REGISTER]);
  });

  it('that has committed and cannot change the head is registered by whoever comes next', async () => {
    const fixture = await ProtocolFixture.make();
    const cut = withoutHead(fixture);
    const session = await fixture.begin(fixture.headsOn(cut.store));
    const pack = await fixture.pack(session.name);
    cut.isCut = true;
    expect(await session.commit(SEALED, [pack.index])).toMatchObject({ registered: false, cause: { code: 'STORE_UNREACHABLE' } });
    expect((await fixture.heads.read()).snapshots).toEqual([]);
    // Even somebody who would revoke it.
    expect(await revokeAll(fixture)).toMatchObject({ finished: [session.name], revoked: [], running: [] });
    expect(await fixture.heads.read()).toMatchObject({
      snapshots: [{ session: session.name }],
      indexes: [pack.index],
      writers: [],
    });
  });

  it('that gives up leaves no snapshot, and one that had committed says so', async () => {
    const fixture = await ProtocolFixture.make();
    const gone = await fixture.begin();
    expect(await gone.abandon()).toBe('abandoned');
    expect(fixture.memory.registers.has(snapshotKey(gone.name))).toBe(false);
    const cut = withoutHead(fixture);
    const committed = await fixture.begin(fixture.headsOn(cut.store));
    cut.isCut = true;
    await committed.commit(SEALED, []);
    cut.isCut = false;
    expect(await committed.abandon()).toBe('committed');
    expect((await fixture.heads.read()).snapshots).toMatchObject([{ session: committed.name }]);
    await sweepRegisters(fixture.heads);
    expect(await readRegistered(fixture.heads, committed.name)).toMatchObject({ state: 'committed' });
  });

  it('whose commit was not answered can commit again', async () => {
    const fixture = await ProtocolFixture.make();
    const lossy = new MemoryStore();
    lossy.read = (key) => fixture.memory.read(key);
    lossy.swap = async (key, bytes, version) => {
      const swapped = await fixture.memory.swap(key, bytes, version);
      if (key !== HEAD_REGISTER && version !== undefined) throw new Fault('STORE_TIMEOUT', 'no answer');
      return swapped;
    };
    const session = await fixture.begin(fixture.headsOn(lossy));
    const pack = await fixture.pack(session.name);
    await expect(session.commit(SEALED, [pack.index])).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
    // Somebody finishes it, and a prune merges its index object.
    await endWriters(fixture.heads, () => 'wait', '');
    expect(await session.commit(SEALED, [pack.index])).toEqual({ registered: true });
    expect(await fixture.heads.read()).toMatchObject({ snapshots: [{ session: session.name }], indexes: [pack.index] });
  });

  it('never publishes an index object twice, though a prune has merged it away', async () => {
    const fixture = await ProtocolFixture.make();
    const lossy = new MemoryStore();
    let isLossy = false;
    lossy.read = (key) => fixture.memory.read(key);
    lossy.swap = async (key, bytes, version) => {
      const swapped = await fixture.memory.swap(key, bytes, version);
      if (isLossy) throw new Fault('STORE_TIMEOUT', 'no answer');
      return swapped;
    };
    const session = await fixture.begin(fixture.headsOn(lossy));
    const [first, second, third] = [
      await fixture.pack(session.name),
      await fixture.pack(session.name),
      await fixture.pack(session.name),
    ];
    await session.checkpoint([first.index]);
    isLossy = true;
    await expect(session.checkpoint([second.index])).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
    isLossy = false;
    const merged = await fixture.index();
    const drop = [first.index.id, second.index.id];
    const entry = await (await fixture.maintain()).condemn(await fixture.plan([], { drop, add: [merged] }));
    expect(entry).toMatchObject({ id: null, indexes: [first.index, second.index], awaits: [session.name] });
    await session.checkpoint([first.index, second.index, third.index]);
    expect((await fixture.heads.read()).indexes).toEqual([merged, third.index]);
    await session.commit(SEALED, [first.index, second.index, third.index]);
    expect((await fixture.heads.read()).indexes).toEqual([merged, third.index]);
  });
});

describe('Taking over packs of a session that died', () => {
  it('brings them into the index', async () => {
    const fixture = await ProtocolFixture.make();
    const dead = await fixture.begin();
    const pack = await fixture.pack(dead.name);
    const session = await fixture.begin();
    expect(await session.adopt(pack.index, [pack])).toBe('stale');
    await dead.abandon();
    expect(await session.adopt(pack.index, [pack])).toBe('adopted');
    expect(session.view).toMatchObject({ generation: 1, indexes: [pack.index] });
    await session.commit(SEALED, [pack.index]);
    expect((await fixture.heads.read()).indexes).toEqual([pack.index]);
  });

  it('is refused when a prune has condemned or deleted them, or comes in between', async () => {
    const fixture = await ProtocolFixture.make();
    const pack = await fixture.pack('f'.repeat(20));
    const maintenance = await fixture.maintain();
    const session = await fixture.begin();
    const entry = await maintenance.condemn(await fixture.plan([pack]));
    if (entry === 'stale') throw new Error('nobody else was there');
    expect(await session.adopt(pack.index, [pack])).toBe('stale');
    const second = await fixture.begin();
    await session.abandon();
    await maintenance.settle(entry.generation, { policy: () => 'revoke', by: '', examine: async () => undefined });
    await sweep(fixture.heads, { ...entry, awaits: [] });
    expect(await second.adopt(pack.index, [pack])).toBe('stale');
    // Between its look and its swap.
    const other = await fixture.pack('e'.repeat(20));
    const interrupted = new MemoryStore();
    Object.assign(interrupted, {
      read: (key: string) => fixture.memory.read(key),
      swap: (key: string, bytes: Uint8Array, version?: string) => fixture.memory.swap(key, bytes, version),
      get: (key: string) => fixture.memory.get(key),
    });
    interrupted.size = async (key) => {
      const size = await fixture.memory.size(key);
      await maintenance.condemn(await fixture.plan([other]));
      return size;
    };
    const third = await fixture.begin(fixture.headsOn(interrupted));
    expect(await third.adopt(other.index, [other])).toBe('stale');
    expect((await fixture.heads.read()).indexes).toEqual([]);
  });
});

describe('Who is given up', () => {
  const policy = (fixture: ProtocolFixture, isDead: boolean) =>
    silencePolicy({ now: new Date(START + fixture.timeMs), silenceMsMax: 1000, isDead: () => isDead });

  it('are writers that are dead for certain, at once, and silent ones, later', async () => {
    const fixture = await ProtocolFixture.make();
    const [silent, speaking] = [await fixture.begin(), await fixture.begin()];
    expect(await endWriters(fixture.heads, policy(fixture, false), '')).toMatchObject({ revoked: [], running: [{}, {}] });
    fixture.timeMs = 900;
    await speaking.checkpoint([]);
    fixture.timeMs = 1100;
    const ended = await endWriters(fixture.heads, policy(fixture, false), '');
    expect(ended.revoked.map(({ session }) => session)).toEqual([silent.name]);
    expect(ended.running.map(({ session }) => session)).toEqual([speaking.name]);
    expect((await endWriters(fixture.heads, policy(fixture, true), '')).revoked).toHaveLength(1);
  });

  it('are writers from as far in the future as others may be silent: their clock was ahead, and they may be dead for years', async () => {
    const fixture = await ProtocolFixture.make();
    fixture.timeMs = 4000;
    const ahead = await fixture.begin();
    fixture.timeMs = 3000;
    expect(await endWriters(fixture.heads, policy(fixture, false), '')).toMatchObject({ revoked: [], running: [{}] });
    fixture.timeMs = 0;
    const { revoked } = await endWriters(fixture.heads, policy(fixture, false), '');
    expect(revoked.map(({ session }) => session)).toEqual([ahead.name]);
  });

  it('are asked of only where it matters', async () => {
    const fixture = await ProtocolFixture.make();
    const [first, second] = [await fixture.begin(), await BackupSession.begin(fixture.heads, BACKUP)];
    const ended = await endWriters(
      fixture.heads,
      () => 'revoke',
      '',
      ({ session }) => session === first.name,
    );
    expect(ended.revoked.map(({ session }) => session)).toEqual([first.name]);
    await second.commit(SEALED, []);
  });
});
