import { describe, expect, it } from 'vitest';
import { HEAD_ATTEMPTS_MAX } from '../../src/repository/head.ts';
import { HEAD_REGISTER } from '../../src/repository/layout.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { ProtocolFixture } from './protocol-fixture.ts';

const retire = (session: string) => (head: { readonly retired: readonly string[] }) => [...head.retired, session];
const name = (n: number): string => n.toString(16).padStart(20, '0');

describe('The head', () => {
  it('is changed by many at once, and every change is in it', async () => {
    const fixture = await ProtocolFixture.make();
    const changes = Array.from({ length: 20 }, (_, n) =>
      fixture.headsOn(fixture.memory).change((head) => ({ next: { ...head, retired: retire(name(n))(head) }, result: n })),
    );
    expect((await Promise.all(changes)).map(({ result }) => result)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    const head = await fixture.heads.read();
    expect([...head.retired].sort()).toEqual(Array.from({ length: 20 }, (_, n) => name(n)));
    expect(head.sequence).toBe(20);
  });

  it('gives up with HEAD_CONTENTION when others always win, after waiting longer and longer', async () => {
    const fixture = await ProtocolFixture.make();
    const others = fixture.headsOn(fixture.memory);
    const contended = new MemoryStore();
    contended.read = async (key) => {
      const value = await fixture.memory.read(key);
      await others.change((head) => ({ next: head, result: undefined }));
      return value;
    };
    contended.swap = (key, bytes, version) => fixture.memory.swap(key, bytes, version);
    let calls = 0;
    const change = fixture.headsOn(contended).change((head) => {
      calls++;
      return { next: head, result: undefined };
    });
    await expect(change).rejects.toMatchObject({ code: 'HEAD_CONTENTION', retry: 'later' });
    expect(calls).toBe(HEAD_ATTEMPTS_MAX);
    expect(fixture.sleptMs).toHaveLength(HEAD_ATTEMPTS_MAX - 1);
    expect(fixture.sleptMs[0]).toBeLessThan(50);
    expect(Math.max(...fixture.sleptMs)).toBeGreaterThan(1000);
    expect(Math.max(...fixture.sleptMs)).toBeLessThanOrEqual(2000);
  });

  it('is not waited for after the signal', async () => {
    const fixture = await ProtocolFixture.make();
    const conflict = new MemoryStore();
    conflict.read = (key) => fixture.memory.read(key);
    conflict.swap = async () => 'conflict';
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(fixture.headsOn(conflict).change((head) => ({ next: head, result: 1 }), { signal })).rejects.toThrow('enough');
  });

  it('that is older than one seen before is HEAD_ROLLED_BACK', async () => {
    const fixture = await ProtocolFixture.make();
    const old = fixture.memory.registers.get(HEAD_REGISTER)!;
    await fixture.begin();
    const seen = fixture.heads.sequenceSeen;
    expect(seen).toBe(1);
    fixture.memory.registers.set(HEAD_REGISTER, old);
    await expect(fixture.heads.read()).rejects.toMatchObject({ code: 'HEAD_ROLLED_BACK' });
    // The next run, told of what the last one has seen.
    await expect(fixture.headsOn(fixture.memory, seen).read()).rejects.toMatchObject({ code: 'HEAD_ROLLED_BACK' });
    expect((await fixture.headsOn(fixture.memory).read()).sequence).toBe(0);
  });

  it('that is not there is HEAD_MISSING, and one that is there is not made anew', async () => {
    const fixture = await ProtocolFixture.make();
    await fixture.begin();
    await fixture.heads.create();
    expect((await fixture.heads.read()).writers).toHaveLength(1);
    await expect(fixture.headsOn(new MemoryStore()).read()).rejects.toMatchObject({ code: 'HEAD_MISSING' });
  });

  it('that an earlier request of this process brings back late is no rollback', async () => {
    const fixture = await ProtocolFixture.make();
    const slow = new MemoryStore();
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let reads = 0;
    slow.read = async (key) => {
      const value = await fixture.memory.read(key);
      if (++reads === 1) await released;
      return value;
    };
    slow.swap = (key, bytes, version) => fixture.memory.swap(key, bytes, version);
    const heads = fixture.headsOn(slow);
    const early = heads.read();
    await heads.change((head) => ({ next: head, result: undefined }));
    release();
    expect((await early).sequence).toBe(0);
    expect(heads.sequenceSeen).toBe(1);
  });
});
