import { expect, it } from 'vitest';
import { BlockSet } from '../../src/gateway/block-set.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

function blockId(session: Uint8Array, writer: number, counter: number): Uint8Array {
  const id = Buffer.alloc(16);
  id.set(session);
  id.writeUIntBE(writer * 2 ** 40 + counter, 10, 6);
  return id;
}

it('holds exactly the ids that were added, whatever their session, writer and counter', () => {
  const random = seededRandom(1);
  const sessions = [seededBytes(10, 1), seededBytes(10, 2)];
  const added = new Map<string, Uint8Array>();
  const set = new BlockSet();
  const draw = (): Uint8Array =>
    blockId(sessions[Math.floor(random() * 2)]!, Math.floor(random() * 3) * 127, Math.floor(random() * 2 ** (1 + random() * 38)));
  for (let n = 0; n < 3000; n++) {
    const id = draw();
    added.set(Buffer.from(id).toString('hex'), id);
    set.add(id);
    set.add(id);
  }
  expect(set.size).toBe(added.size);
  for (const id of added.values()) expect(set.has(id)).toBe(true);
  let strangers = 0;
  for (let n = 0; n < 3000; n++) {
    const id = draw();
    if (added.has(Buffer.from(id).toString('hex'))) continue;
    strangers++;
    expect(set.has(id)).toBe(false);
  }
  expect(strangers).toBeGreaterThan(1000);
});

it('forgets single ids and whole sessions, and names one block of each that is left', () => {
  const [one, two] = [seededBytes(10, 1), seededBytes(10, 2)];
  const session = (id: Uint8Array): string => Buffer.from(id.subarray(0, 10)).toString('latin1');
  const set = new BlockSet();
  for (const counter of [0, 32_767, 32_768, 70_000]) for (const of of [one, two]) set.add(blockId(of, 1, counter));
  for (const counter of [0, 32_767, 70_000, 5]) set.delete(blockId(one, 1, counter));
  expect(set.size).toBe(5);
  expect(Buffer.compare(set.samples().get(session(one))!, blockId(one, 1, 32_768))).toBe(0);
  expect(set.has(set.samples().get(session(two))!)).toBe(true);
  set.deleteSession(session(two));
  expect(set.size).toBe(1);
  expect([...set.samples().keys()]).toEqual([session(one)]);
  set.delete(blockId(one, 1, 32_768));
  expect([set.size, set.samples().size]).toEqual([0, 0]);
});
