// Logs written by the real writer, killed and broken at every place, read by the real reader.

import { describe, expect, it, vi } from 'vitest';
import { Fault } from '../../src/base/faults.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import type { KnownStretch } from '../../src/engine/log-coverage.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { LogWriter } from '../../src/engine/log-writer.ts';
import { LOG_SECTION_BYTES } from '../../src/format/log-object.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, openRepository, restoreTo, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const ASSET = 'pg/test';
const INCARNATION = '0123456789abcdef';
const RECORD = 1000;

type WriterDetails = {
  readonly from?: number;
  readonly timeline?: number;
  readonly known?: readonly KnownStretch[];
  readonly signal?: AbortSignal;
  readonly shipBytes?: number;
};

function writerOf(
  repository: Repository,
  details: WriterDetails = {},
): { readonly writer: LogWriter; readonly troubles: unknown[] } {
  const assetId = repository.keyring.assetId(ASSET);
  const troubles: unknown[] = [];
  const writer = new LogWriter({
    repository,
    catalogue: new LogCatalogueKeeper(repository, assetId),
    assetId,
    incarnation: INCARNATION,
    timeline: details.timeline ?? 1,
    from: details.from ?? 0,
    host: 'test',
    now: () => new Date(),
    policy: { bytes: details.shipBytes ?? 1, ms: 60_000 },
    known: details.known ?? [],
    signal: details.signal ?? new AbortController().signal,
    onTrouble: (error) => void troubles.push(error),
    onDurable: () => {},
  });
  return { writer, troubles };
}

const markAt = (position: number): LogMark => ({
  kind: 'commit',
  position,
  end: position + RECORD,
  time: 1_700_000_000_000_000 + position,
  id: 1 + position / RECORD,
  text: '',
});

/** Log of records of RECORD bytes each from `from` (a multiple of RECORD) to `to`, in pieces. */
async function write(writer: LogWriter, bytes: Uint8Array, from: number, to: number, pieces: () => number): Promise<void> {
  for (let at = from; at < to; ) {
    await writer.ready();
    const n = Math.min(pieces(), writer.room, to - at);
    const marks: LogMark[] = [];
    for (let record = Math.floor(at / RECORD) * RECORD; record + RECORD <= at + n; record += RECORD)
      if (record + RECORD > at) marks.push(markAt(record));
    writer.append(bytes.subarray(at, at + n), marks, Math.floor((at + n) / RECORD) * RECORD);
    at += n;
  }
}

async function viewOf(repository: Repository): Promise<LogView> {
  return (await LogView.open(repository, repository.keyring.assetId(ASSET)))!;
}

async function checkView(view: LogView, bytes: Uint8Array, from: number, to: number): Promise<void> {
  const read = new Uint8Array(to - from);
  await view.read(1, from, read);
  expect(Buffer.compare(read, bytes.subarray(from, to))).toBe(0);
  const positions: number[] = [];
  for await (const { position } of view.marks(1, from, to)) positions.push(position);
  const first = Math.ceil((from + 1 - RECORD) / RECORD) * RECORD;
  expect(positions).toEqual(
    Array.from({ length: Math.floor((to - Math.max(0, first)) / RECORD) }, (_, i) => Math.max(0, first) + i * RECORD),
  );
}

describe('a stored log', () => {
  it('is read back over sections and many ranges, with every mark once', async () => {
    const repository = await newRepository(scratchDirectory());
    const bytes = seededBytes(LOG_SECTION_BYTES + 3_000_000, 1);
    const { writer } = writerOf(repository);
    const random = seededRandom(2);
    await write(writer, bytes, 0, LOG_SECTION_BYTES - 500, () => 400_000);
    // One range for each piece: more than there are until one holds the whole section again.
    for (let at = LOG_SECTION_BYTES - 500; at < bytes.length; ) {
      const to = Math.min(bytes.length, at + 1 + Math.floor(random() * 60_000));
      await write(writer, bytes, at, to, () => 60_000);
      await writer.flush();
      at = to;
    }
    expect(writer.durable).toBe(bytes.length);
    const view = await viewOf(repository);
    const [epoch] = view.epochs;
    expect(epoch!.reader.sections).toBe(1);
    expect(epoch!.reader.tail.length).toBeGreaterThan(1);
    expect(epoch!.reader.tail.length).toBeLessThan(65);
    expect(view.stretches).toEqual([{ timeline: 1, from: 0, to: Math.floor(bytes.length / RECORD) * RECORD }]);
    await checkView(view, bytes, 0, bytes.length);
    await checkView(view, bytes, 16_700_321, 16_800_123);
    for (const time of [5_000_500, 16_777_000, 19_000_999]) {
      const later = await view.firstLater(1, 0, bytes.length, 1_700_000_000_000_000 + time);
      expect(later?.position).toBe(Math.floor(time / RECORD) * RECORD + RECORD);
      expect((await view.last(1, 0, later!.position))?.position).toBe(later!.position - RECORD);
    }
  });

  it('loses nothing that was called durable, wherever its writer dies', async () => {
    const bytes = seededBytes(700_000, 3);
    for (let dieAfter = 1; dieAfter <= 14; dieAfter++) {
      const directory = scratchDirectory();
      let writes = 0;
      let isDead = false;
      const dying = (store: ObjectStore): ObjectStore =>
        wrapped(store, async (work) => {
          if (isDead) throw new Fault('STORE_DENIED', 'dead');
          const result = await work();
          if (++writes >= dieAfter) isDead = true;
          return result;
        });
      await (await openRepository(directory, { init: true })).close();
      const repository = await openRepository(directory, { wrap: dying });
      const { writer } = writerOf(repository);
      const failure = await (async (): Promise<unknown> => {
        for (let at = 0; at < bytes.length; at += 50_000) {
          await write(writer, bytes, at, at + 50_000, () => 50_000);
          await writer.flush();
        }
        return undefined;
      })().catch((error: unknown) => error);
      expect(failure, `${dieAfter}`).toBeInstanceOf(Fault);
      const after = await openRepository(directory);
      const view = await LogView.open(after, after.keyring.assetId(ASSET));
      const end = view?.epochs[0]?.reader.end ?? 0;
      expect(end).toBeGreaterThanOrEqual(writer.durable);
      if (end > 0) await checkView(view!, bytes, 0, end);
      await after.close();
    }
  });

  it('goes on in a new epoch from the last whole record, and refuses other bytes under the same positions', async () => {
    const repository = await newRepository(scratchDirectory());
    const bytes = seededBytes(400_000, 4);
    const first = writerOf(repository).writer;
    await write(first, bytes, 0, 250_300, () => 70_000);
    await first.flush();
    expect(first.durableRecord).toBe(250_000);
    const known = async (): Promise<KnownStretch[]> => {
      const found: KnownStretch[] = [];
      for await (const index of (await viewOf(repository)).epochs[0]!.reader.indexes(0)) found.push(index);
      return found;
    };
    const other = Uint8Array.from(bytes);
    other[240_000] = other[240_000]! ^ 1;
    const forked = writerOf(repository, { known: await known() });
    await expect(write(forked.writer, other, 0, 400_000, () => 100_000)).rejects.toThrow(/other bytes/);
    // Nothing of it is known.
    expect((await viewOf(repository)).epochs).toHaveLength(1);
    const second = writerOf(repository, { known: await known() }).writer;
    await write(second, bytes, 0, 400_000, () => 33_000);
    await second.flush();
    const view = await viewOf(repository);
    expect(view.epochs).toHaveLength(2);
    await checkView(view, bytes, 0, 400_000);
  });

  it('marks in a range only what the range holds, although log comes while it is on its way', async () => {
    const repository = await newRepository(scratchDirectory());
    const { store } = repository;
    const bytes = seededBytes(10 * RECORD, 9);
    const { writer } = writerOf(repository);
    await write(writer, bytes, 0, 2 * RECORD, () => RECORD);
    await writer.flush();
    // A minute later it asks first whether its epoch is still listed.
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 61_000);
    const read = store.read.bind(store);
    const answer = Promise.withResolvers<void>();
    const asked = new Promise<void>((resolve) => {
      store.read = async (key, options) => {
        resolve();
        await answer.promise;
        return read(key, options);
      };
    });
    await write(writer, bytes, 2 * RECORD, 4 * RECORD, () => 2 * RECORD);
    await asked;
    await write(writer, bytes, 4 * RECORD, bytes.length, () => RECORD);
    store.read = read;
    answer.resolve();
    await writer.flush();
    clock.mockRestore();
    await checkView(await viewOf(repository), bytes, 0, bytes.length);
  });

  it('waits for a store that comes back, and holds memory meanwhile', async () => {
    const directory = scratchDirectory();
    let isAway = false;
    let asked = 0;
    const flaky = (store: ObjectStore): ObjectStore =>
      wrapped(store, async (work) => {
        asked++;
        if (isAway) throw new Fault('STORE_UNREACHABLE', 'away');
        return work();
      });
    await (await openRepository(directory, { init: true })).close();
    const repository = await openRepository(directory, { wrap: flaky });
    const bytes = seededBytes(100_000, 5);
    const { writer, troubles } = writerOf(repository);
    await write(writer, bytes, 0, 50_000, () => 10_000);
    await writer.flush();
    isAway = true;
    await write(writer, bytes, 50_000, 100_000, () => 10_000);
    const flushing = writer.flush();
    while (troubles.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(writer.durable).toBeLessThan(100_000);
    isAway = false;
    await flushing;
    expect(asked).toBeGreaterThan(0);
    await checkView(await viewOf(repository), bytes, 0, 100_000);
    await repository.close();
  });

  it('is opened only with the right key: an object that was changed or exchanged is damage, never other bytes', async () => {
    const directory = scratchDirectory();
    let damage: ((key: string, bytes: Uint8Array) => Uint8Array) | undefined;
    const changing = (store: ObjectStore): ObjectStore =>
      new Proxy(store, {
        get: (target, name) => {
          if (name !== 'get') return bound(target, name);
          return async (key: string, ...rest: []) => {
            const bytes = await target.get(key, ...rest);
            return damage === undefined || !key.startsWith('log/') ? bytes : damage(key, bytes);
          };
        },
      });
    await (await openRepository(directory, { init: true })).close();
    const repository = await openRepository(directory, { wrap: changing });
    const bytes = seededBytes(90_000, 6);
    const { writer } = writerOf(repository);
    await write(writer, bytes, 0, 90_000, () => 30_000);
    await writer.flush();
    const view = await viewOf(repository);
    const random = seededRandom(8);
    for (let n = 0; n < 40; n++) {
      const place = random();
      damage = (_, whole) => {
        const copy = Uint8Array.from(whole);
        const at = Math.floor(place * copy.length);
        copy[at] = copy[at]! ^ 0x10;
        return copy;
      };
      await expect(view.read(1, 0, new Uint8Array(90_000))).rejects.toMatchObject({ code: 'FORMAT_DAMAGED' });
    }
    await repository.close();
  });

  it('keeps its keys when the repository is pruned', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const bytes = seededBytes(50_000, 9);
    const { writer } = writerOf(repository);
    await write(writer, bytes, 0, 50_000, () => 50_000);
    await writer.flush();
    writeSampleTree(`${directory}/tree`, 1, 5);
    const snapshot = await backUpTree(repository, `${directory}/tree`);
    const { findStrays, listStrayCandidates } = await import('../../src/repository/strays.ts');
    const listing = await listStrayCandidates(repository.store);
    expect(listing.sessionKeys.length).toBe(2);
    const head = await repository.heads.read();
    expect(findStrays(listing, { head, needed: new Set([snapshot.id]), self: undefined })).toEqual([]);
    expect(await restoreTo(repository, snapshot.id, `${directory}/out`)).toEqual([]);
  });
});

/** Calls of a store that change something go through `around`. */
function wrapped(store: ObjectStore, around: <T>(work: () => Promise<T>) => Promise<T>): ObjectStore {
  return new Proxy(store, {
    get: (target, name) => {
      const method = bound(target, name);
      if (name !== 'put' && name !== 'swap') return method;
      return (...args: unknown[]) => around(() => (method as (...given: unknown[]) => Promise<unknown>)(...args));
    },
  });
}

function bound(target: ObjectStore, name: string | symbol): unknown {
  const value = Reflect.get(target, name, target) as unknown;
  return typeof value === 'function' ? value.bind(target) : value;
}
