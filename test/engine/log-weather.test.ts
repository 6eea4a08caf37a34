// Logs over stores that misbehave: requests and answers are lost or repeated, storms of 503, bodies cut short, bits flipped, listings that are
// stale or miss what is there. What is promised is there, and nothing else is ever read.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LogFiles } from '../../agents/postgres/log-files.ts';
import { Fault, isFault } from '../../src/base/faults.ts';
import { readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { trimCluster } from '../../src/engine/cluster-retention.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { planRecovery, recoveryWindow } from '../../src/engine/recovery-plan.ts';
import { verify } from '../../src/engine/verify.ts';
import { Repository } from '../../src/repository/repository.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { withRetry } from '../../src/store/retry.ts';
import { openS3Store } from '../../src/store/s3-store.ts';
import { startS3 } from '../support/ceph.ts';
import { faultyStore } from '../support/faulty-store.ts';
import { instantTiming } from '../support/instant-timing.ts';
import { ASSET, INCARNATION, logBytes, makeBase, newLogWriter, RECORD, SECTION, timeAt, writeLog } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { openRepository, PASSPHRASE, processFacts } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

const s3 = await startS3();
const seed = Date.now() >>> 0;
console.log(`logs in bad weather: seed ${seed}`);
const STORM = { lostRequest: 0.05, lostAnswer: 0.08, repeated: 0.08, storm: 0.02, truncated: 0.05, missed: 0.3, stale: 0.3 };
const END = 3 * SECTION + 5 * RECORD;

async function inBadWeather(store: ObjectStore): Promise<Repository> {
  const faulty = faultyStore(store, { seed, ...STORM });
  const patient = withRetry(faulty, { attemptsMax: 60, baseMs: 1, capMs: 5, totalMs: 1e9 }, instantTiming(seed));
  const cacheDirectory = scratchDirectory();
  const options = { store: patient, passphrase: PASSPHRASE, cacheDirectory, process: processFacts() };
  const repository = await Repository.init({ ...options, label: 'test' });
  onTestFinished(() => repository.close());
  return repository;
}

async function writtenAndTrimmed(repository: Repository): Promise<void> {
  const writer = newLogWriter(repository);
  for (const to of [3 * RECORD, 5 * RECORD, SECTION + RECORD, 3 * SECTION + 2 * RECORD, END]) {
    await writeLog(writer, to);
    const view = (await LogView.open(repository, repository.keyring.assetId(ASSET)))!;
    expect([view.stretches, view.gaps]).toEqual([[{ timeline: 1, from: 0, to }], []]);
  }
  await makeBase(repository, { start: SECTION + RECORD });
  await trimCluster(repository, ASSET);
  const { facts, view } = (await readClusterFacts(repository, ASSET))!;
  expect(facts.gaps).toEqual([]);
  expect(await recoveryWindow(facts, 1)).toMatchObject([
    { from: { time: timeAt(SECTION + 2 * RECORD) }, to: { time: timeAt(END - RECORD), position: END } },
  ]);
  const read = new Uint8Array(END - SECTION);
  await view.read(1, SECTION, read);
  expect(Buffer.compare(read, logBytes(SECTION, END))).toBe(0);
  expect((await verify(repository, { depth: { kind: 'full' }, threads: 1 })).logs.damaged).toEqual([]);
}

describe('a log in bad weather', () => {
  it('is whole in a directory', async () => {
    await writtenAndTrimmed(await inBadWeather(await openFsStore(join(scratchDirectory(), 'repository'), { create: true })));
  });

  it.runIf(s3 !== undefined)('is whole in a bucket', async () => {
    const { endpoint, bucket, credentials, region } = s3!;
    const location = { kind: 's3' as const, endpoint, bucket, prefix: `log-weather-${randomBytes(4).toString('hex')}` };
    await writtenAndTrimmed(await inBadWeather(openS3Store({ location, credentials, region })));
  });

  it('is read with the bytes that were written, or not at all, when bits flip on the way', async () => {
    const directory = scratchDirectory();
    const good = await newRepository(directory);
    await writeLog(newLogWriter(good), SECTION + 3 * RECORD);
    const flipping = await openRepository(directory, {
      wrap: (store) => {
        const faulty = faultyStore(store, { seed, flipped: 0.3 });
        return new Proxy(store, {
          get: (target, name) => {
            const value = Reflect.get(target, name, target) as unknown;
            if (typeof value !== 'function') return value;
            const method = value.bind(target) as (...args: unknown[]) => unknown;
            if (name !== 'get') return method;
            return (key: string, ...rest: []) => (key.startsWith('log/') ? faulty.get(key, ...rest) : method(key, ...rest));
          },
        });
      },
    });
    let read = 0;
    for (let n = 0; n < 30; n++) {
      const bytes = new Uint8Array(SECTION + 3 * RECORD);
      try {
        await (await LogView.open(flipping, flipping.keyring.assetId(ASSET)))!.read(1, 0, bytes);
      } catch (error) {
        expect(isFault(error, 'FORMAT_DAMAGED', 'LOG_GAP'), String(error)).toBe(true);
        continue;
      }
      expect(Buffer.compare(bytes, logBytes(0, bytes.length))).toBe(0);
      read++;
    }
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(30);
    await flipping.close();
  });

  it('never stores or promises what follows an object that could not be stored', async () => {
    const directory = scratchDirectory();
    await (await openRepository(directory, { init: true })).close();
    let refused = 0;
    let isAway = true;
    const stuck = await openRepository(directory, {
      wrap: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            const value = Reflect.get(target, name, target) as unknown;
            if (typeof value !== 'function') return value;
            const method = value.bind(target) as (...args: unknown[]) => unknown;
            if (name !== 'put') return method;
            return async (key: string, ...rest: unknown[]) => {
              // The second section, and nothing else.
              if (isAway && key.endsWith(SECTION.toString(16).padStart(16, '0')) && ++refused > 0)
                throw new Fault('STORE_UNREACHABLE', 'away');
              return method(key, ...rest);
            };
          },
        }),
    });
    const writer = newLogWriter(stuck);
    await writeLog(writer, SECTION);
    const storing = writeLog(writer, 2 * SECTION + RECORD);
    while (refused < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(writer.durable).toBe(SECTION);
    const view = (await LogView.open(stuck, stuck.keyring.assetId(ASSET)))!;
    expect(view.stretches).toEqual([{ timeline: 1, from: 0, to: SECTION }]);
    isAway = false;
    await storing;
    expect(writer.durable).toBe(2 * SECTION + RECORD);
    await stuck.close();
  });

  it('of a timeline whose history is missing is neither promised nor handed to a server', async () => {
    const repository = await newRepository(scratchDirectory());
    await writeLog(newLogWriter(repository), 2 * RECORD);
    await makeBase(repository, { start: 0 });
    // Timeline 3: numbers may be skipped.
    await writeLog(newLogWriter(repository, { from: 2 * RECORD, timeline: 3 }), 6 * RECORD);
    const without = (await readClusterFacts(repository, ASSET))!;
    expect(await recoveryWindow(without.facts, 3)).toEqual([]);
    expect(await planRecovery(without.facts, 3, { kind: 'latest' })).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('its history is not stored'),
    });
    const files = new LogFiles({ view: without.view, segmentBytes: SECTION, legs: [{ timeline: 1, from: 0, to: 2 * RECORD }] });
    await expect(files.fetch('00000003.history')).rejects.toMatchObject({ code: 'LOG_GAP' });
    await expect(files.fetch('00000002.history')).resolves.toEqual({ kind: 'absent' });
    const keeper = new LogCatalogueKeeper(repository, repository.keyring.assetId(ASSET));
    const ancestors = [{ timeline: 1, until: 2 * RECORD }];
    await keeper.addHistory({ incarnation: INCARNATION, timeline: 3, ancestors, file: 'MQ==' });
    const { facts } = (await readClusterFacts(repository, ASSET))!;
    expect(await recoveryWindow(facts, 3)).toMatchObject([{ from: { time: timeAt(RECORD) }, to: { position: 6 * RECORD } }]);
  });
});
