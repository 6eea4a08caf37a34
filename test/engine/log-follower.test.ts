// A log as it arrives, by who follows it in the process that stores it; and what of it need not be read again.

import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KnownIndexes } from '../../src/engine/known-indexes.ts';
import { LogFollower } from '../../src/engine/log-follower.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { RecentLog } from '../../src/engine/recent-log.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { ASSET, newLogWriter, RECORD, writeLog } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { objectPath, objectsIn } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

/** The same repository, whose reads of logs are noted. */
function noting({ store, parameters, keyring, keys }: Repository, reads: string[]) {
  const noted = new Proxy(store, {
    get: (target, name) => {
      const member = Reflect.get(target, name, target) as unknown;
      if (name !== 'get') return typeof member === 'function' ? member.bind(target) : member;
      return (async (key, range, options) => {
        if (key.startsWith('log/')) reads.push(key);
        return target.get(key, range, options);
      }) satisfies ObjectStore['get'];
    },
  });
  return { store: noted, parameters, keyring, keys };
}

async function sample() {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const reads: string[] = [];
  return { directory, repository, reads, writer: newLogWriter(repository), assetId: repository.keyring.assetId(ASSET) };
}

const rangesIn = (directory: string): string[] =>
  [...objectsIn(directory, 'log/').keys()].filter((key) => key.includes('.')).sort();

describe('who follows a log', () => {
  it('takes what this process has stored from its memory, asks the store for nothing meanwhile, and does so again in time', async () => {
    const { directory, repository, reads, writer, assetId } = await sample();
    await writeLog(writer, 1 * RECORD);
    const recent = new RecentLog();
    let nowMs = 0;
    const { incarnation } = writer.epoch;
    const options = { repository: noting(repository, reads), recent, assetId, incarnation, timeline: 1, position: 0 };
    const follower = new LogFollower({ ...options, nowMs: () => nowMs });
    const drain = async (): Promise<number> => {
      while ((await follower.next()) !== undefined);
      return follower.position;
    };
    expect(await drain()).toBe(1 * RECORD);
    const store = async (to: number): Promise<string> => {
      const before = new Set(rangesIn(directory));
      await writeLog(writer, to);
      return rangesIn(directory).find((key) => !before.has(key))!;
    };
    const keep = async (key: string): Promise<void> => recent.keep(key, await repository.store.get(key));
    await keep(await store(2 * RECORD));
    reads.length = 0;
    expect(await drain()).toBe(2 * RECORD);
    await keep(await store(3 * RECORD));
    expect(await drain()).toBe(3 * RECORD);
    expect(reads).toEqual([]);
    // What nobody tells is found by looking, now and then; what is told and not kept at once.
    await store(4 * RECORD);
    expect(await drain()).toBe(3 * RECORD);
    nowMs += 500;
    expect(await drain()).toBe(4 * RECORD);
    await store(5 * RECORD);
    expect(await drain()).toBe(4 * RECORD);
    recent.tell();
    expect(await drain()).toBe(5 * RECORD);
    await writeLog(writer, 18 * RECORD);
    recent.tell();
    expect(await drain()).toBe(18 * RECORD);
  });

  it('is woken by what is stored, also between its look and its waiting, and keeps no more than has room', async () => {
    const recent = new RecentLog();
    const waiting = recent.more(recent.count, 1e9);
    recent.keep('log/a', new Uint8Array(20 * 1024 * 1024));
    await waiting;
    await recent.more(0, 1e9);
    recent.keep('log/b', new Uint8Array(20 * 1024 * 1024));
    expect(recent.get('log/a')).toBeUndefined();
    expect(recent.get('log/b')).toHaveLength(20 * 1024 * 1024);
    recent.keep('log/b', new Uint8Array(1));
    recent.keep('log/c', new Uint8Array(20 * 1024 * 1024));
    expect(recent.get('log/b')).toHaveLength(1);
    await recent.more(recent.count, 1);
  });
});

describe('who looks at a log again', () => {
  it('reads only what it has not read, and everything that is not listed as it was', async () => {
    const { directory, repository, reads, writer, assetId } = await sample();
    const known = new KnownIndexes();
    const look = (): Promise<LogView | undefined> => LogView.open(noting(repository, reads), assetId, undefined, { known });
    for (const to of [1 * RECORD, 2 * RECORD, 3 * RECORD]) await writeLog(writer, to);
    expect((await look())!.storedTo(1, 0)).toBe(3 * RECORD);
    reads.length = 0;
    await writeLog(writer, 4 * RECORD);
    expect((await look())!.storedTo(1, 0)).toBe(4 * RECORD);
    expect(reads).toEqual([rangesIn(directory).at(-1)]);
    const lost = rangesIn(directory)[1]!;
    rmSync(objectPath(directory, lost), { force: true });
    const view = (await look())!;
    expect(view.storedTo(1, 0)).toBe(1 * RECORD);
    expect(view.gaps).toMatchObject([{ from: 1 * RECORD, to: 2 * RECORD }]);
  });
});
