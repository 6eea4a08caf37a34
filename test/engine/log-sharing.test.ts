// Several writers of one log, as captures of a primary and its standby are: one stores, whoever dies.

import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/faults.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import type { KnownStretch } from '../../src/engine/log-coverage.ts';
import { EpochsOfOthers } from '../../src/engine/log-others.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { LogWriter } from '../../src/engine/log-writer.ts';
import { LOG_SECTION_BYTES } from '../../src/format/log-object.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { newRepository } from '../support/new-repository.ts';
import { until } from '../support/protected-cluster.ts';
import { replacedMethod } from '../support/replaced-method.ts';
import { openRepository } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const ASSET = 'pg/test';
const INCARNATION = '0123456789abcdef';
/** Long enough for a busy machine: a writer is late after three times that. */
const MS = 1500;

type Node = { readonly writer: LogWriter; readonly troubles: unknown[]; readonly stop: () => void };

function node(repository: Repository, host: string, from = 0, known: readonly KnownStretch[] = []): Node {
  const assetId = repository.keyring.assetId(ASSET);
  const catalogue = new LogCatalogueKeeper(repository, assetId);
  const stop = new AbortController();
  const troubles: unknown[] = [];
  const log = { repository, catalogue, assetId, incarnation: INCARNATION, timeline: 1, from, host, signal: stop.signal };
  const writer = new LogWriter({
    ...log,
    now: () => new Date(),
    policy: { bytes: 1, ms: MS },
    known,
    others: new EpochsOfOthers(log),
    onTrouble: (error) => void troubles.push(error),
    onDurable: () => {},
  });
  return { writer, troubles, stop: () => stop.abort(new Fault('INTERRUPTED', 'dead')) };
}

/** Ticks all until `condition`. */
async function ticking(nodes: readonly Node[], condition: () => boolean): Promise<void> {
  await until(
    () => {
      for (const { writer } of nodes) writer.tick();
      return condition();
    },
    () => JSON.stringify(nodes.map(({ writer, troubles }) => [writer.durable, writer.end, troubles.map(String)])),
  );
}

/** Waits for room, ticking. */
async function append(nodes: readonly Node[], bytes: Uint8Array, to: number): Promise<void> {
  for (const { writer } of nodes)
    while (writer.end < to) {
      let isReady = false;
      void writer.ready().then(() => {
        isReady = true;
      });
      await ticking(nodes, () => isReady);
      const n = Math.min(writer.room, to - writer.end);
      writer.append(bytes.subarray(writer.end, writer.end + n), [], writer.end + n);
    }
}

async function viewOf(repository: Repository): Promise<LogView> {
  return (await LogView.open(repository, repository.keyring.assetId(ASSET)))!;
}

async function checkAll(repository: Repository, bytes: Uint8Array): Promise<LogView> {
  const view = await viewOf(repository);
  const read = new Uint8Array(bytes.length);
  await view.read(1, 0, read);
  expect(Buffer.compare(read, bytes)).toBe(0);
  return view;
}

describe('a log that two write', () => {
  it('is stored once, and goes on without a hole when the one that stores dies; who comes back gives way', async () => {
    const repository = await newRepository(scratchDirectory());
    const bytes = seededBytes(LOG_SECTION_BYTES + 900_000, 1);
    const a = node(repository, 'a');
    await append([a], bytes, 200_000);
    await ticking([a], () => a.writer.durable === 200_000);
    const b = node(repository, 'b');
    await append([b], bytes, 200_000);
    // One that follows says what others have stored; it begins no epoch.
    await ticking([a, b], () => b.writer.durable === 200_000);
    await append([a, b], bytes, LOG_SECTION_BYTES + 300_000);
    await ticking([a, b], () => a.writer.durable === a.writer.end && b.writer.durable === b.writer.end);
    expect(b.writer.bytesStored).toBe(0);
    expect((await viewOf(repository)).epochs).toHaveLength(1);
    a.stop();
    await append([b], bytes, LOG_SECTION_BYTES + 600_000);
    await ticking([b], () => b.writer.durable === b.writer.end);
    const known: KnownStretch[] = [];
    for (const { reader } of (await viewOf(repository)).epochs)
      for await (const index of reader.indexes(LOG_SECTION_BYTES)) known.push(index);
    const again = node(repository, 'a', LOG_SECTION_BYTES, known);
    await append([again], bytes, bytes.length);
    await append([b], bytes, bytes.length);
    await ticking([again, b], () => again.writer.durable === bytes.length && b.writer.durable === bytes.length);
    expect(again.writer.bytesStored).toBe(0);
    const view = await checkAll(repository, bytes);
    expect(view.stretches).toEqual([
      { timeline: 1, from: 0, to: LOG_SECTION_BYTES + 300_000 },
      { timeline: 1, from: LOG_SECTION_BYTES + 300_000, to: bytes.length },
    ]);
  });

  it('is stored by one of two that begin at once', async () => {
    const repository = await newRepository(scratchDirectory());
    const bytes = seededBytes(100_000, 2);
    const nodes = ['a', 'b', 'c'].map((host) => node(repository, host));
    await append(nodes, bytes, bytes.length);
    await ticking(nodes, () => nodes.every(({ writer }) => writer.durable === bytes.length));
    expect(nodes.filter(({ writer }) => writer.bytesStored > 0)).toHaveLength(1);
    expect((await checkAll(repository, bytes)).epochs).toHaveLength(1);
  });

  it('is taken over from one whose store hangs, which then says so and stores no more', async () => {
    const directory = scratchDirectory();
    let release: (() => void) | undefined;
    const hanging = replacedMethod('put', (put) => async (...args) => {
      if (release !== undefined)
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      return put(...args);
    });
    const repository = await newRepository(directory);
    const slow = await openRepository(directory, { wrap: hanging });
    const bytes = seededBytes(600_000, 3);
    const [a, b] = [node(slow, 'a'), node(repository, 'b')];
    await append([a], bytes, 100_000);
    await ticking([a], () => a.writer.durable === 100_000);
    await append([b], bytes, 100_000);
    await ticking([a, b], () => b.writer.durable === 100_000);
    expect(b.writer.bytesStored).toBe(0);
    release = () => {};
    await append([a, b], bytes, bytes.length);
    await ticking([a, b], () => b.writer.durable === bytes.length);
    expect(a.writer.durable).toBe(100_000);
    release();
    release = undefined;
    await expect(ticking([a], () => false)).rejects.toMatchObject({ code: 'LOG_TAKEN_OVER' });
    await checkAll(repository, bytes);
    await slow.close();
  });

  it('that differs is refused: both cannot be true', async () => {
    const repository = await newRepository(scratchDirectory());
    const bytes = seededBytes(100_000, 4);
    const a = node(repository, 'a');
    await append([a], bytes, bytes.length);
    await ticking([a], () => a.writer.durable === bytes.length);
    const other = Uint8Array.from(bytes);
    other[70_000] = other[70_000]! ^ 1;
    const b = node(repository, 'b');
    await append([b], other, other.length);
    await expect(ticking([a, b], () => false)).rejects.toMatchObject({ code: 'LOG_FORKED' });
    expect((await viewOf(repository)).epochs).toHaveLength(1);
  });
});

it('a writer whose store never answers keeps nobody waiting when it is to end', async () => {
  const directory = scratchDirectory();
  await (await openRepository(directory, { init: true })).close();
  const never = (store: ObjectStore): ObjectStore =>
    new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown;
        if (typeof value !== 'function') return value;
        return name === 'put' ? () => new Promise(() => {}) : value.bind(target);
      },
    });
  const repository = await openRepository(directory, { wrap: never });
  const a = node(repository, 'a');
  const bytes = seededBytes(LOG_SECTION_BYTES, 5);
  for (let n = 0; n < 2; n++) a.writer.append(bytes, [], (n + 1) * LOG_SECTION_BYTES);
  const [waiting, flushing] = [a.writer.ready(), a.writer.flush()];
  a.stop();
  await expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' });
  await expect(flushing).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(a.writer.durable).toBe(0);
  await repository.close();
});
