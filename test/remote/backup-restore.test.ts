// Backups and restores through a real service: the agent has no credential and no private key, and what comes back is what was there.

import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { changePassphrase } from '../../src/repository/keys.ts';
import { sessionKeyKey, unhex } from '../../src/repository/layout.ts';
import { startS3 } from '../support/ceph.ts';
import { TestService } from '../support/data-path.ts';
import { readTree, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

const s3 = await startS3();
const STORES = [{ name: 'a directory', s3: undefined }, ...(s3 === undefined ? [] : [{ name: 'a bucket', s3 }])];

/** Enough for a key that has been exchanged, and not for one that is never found. */
const FEW = { attemptsMax: 5 };

describe.each(STORES)('with packs in $name', ({ s3 }) => {
  const start = async (directory: string): Promise<TestService> => {
    const service = await TestService.start({ directory: join(directory, 'service'), s3, prefix: randomBytes(6).toString('hex') });
    onTestFinished(() => service.stop());
    return service;
  };

  const backedUp = async (seed: number) => {
    const directory = scratchDirectory();
    const source = join(directory, 'source');
    writeSampleTree(source, seed, 20);
    const service = await start(directory);
    const agent = await service.agent();
    const asset = await agent.asset(source);
    const { id } = await agent.backUp(asset);
    return { directory, source, service, agent, asset, id };
  };

  it('a tree comes back as it was', async () => {
    const directory = scratchDirectory();
    const source = join(directory, 'source');
    writeSampleTree(source, 1, 60);
    const service = await start(directory);
    const agent = await service.agent();
    const asset = await agent.asset(source);
    const snapshot = await agent.backUp(asset);
    expect(snapshot.problems).toBe(0);
    expect(await agent.restore(asset, snapshot.id, join(directory, 'target'))).toEqual([]);
    expect(readTree(join(directory, 'target'))).toEqual(readTree(source));
    const point = await service.catalog.recoveryPoints.get(service.tenant.id, snapshot.id);
    expect(point).toMatchObject({ assetId: asset.id, bytesScanned: snapshot.statistics.bytesScanned, isSound: true });
    expect(await service.catalog.sessions.get(snapshot.id)).toMatchObject({ state: 'committed', agentId: agent.agent.id });
  });

  it('the second backup compares with the first and stores its change', async () => {
    const directory = scratchDirectory();
    const source = join(directory, 'source');
    writeSampleTree(source, 2, 60);
    const service = await start(directory);
    const agent = await service.agent();
    const asset = await agent.asset(source);
    const first = await agent.backUp(asset);
    appendFileSync(join(source, 'd1/f1'), 'more');
    writeFileSync(join(source, 'copy'), readFileSync(join(source, 'd1/f6')));
    const second = await agent.backUp(asset);
    expect(second.parent).toBe(first.id);
    expect(second.statistics.filesUnchanged).toBe(59);
    expect(second.statistics.chunksNew).toBeLessThan(5);
    expect(await agent.restore(asset, second.id, join(directory, 'target'))).toEqual([]);
    expect(readTree(join(directory, 'target'))).toEqual(readTree(source));
  });

  it('content that moved to another asset of the agent is found by its chunks and not stored again', async () => {
    const directory = scratchDirectory();
    writeSampleTree(join(directory, 'one'), 3, 60);
    writeSampleTree(join(directory, 'two'), 3, 60);
    const service = await start(directory);
    const agent = await service.agent();
    await agent.backUp(await agent.asset(join(directory, 'one')));
    const other = await agent.asset(join(directory, 'two'));
    const snapshot = await agent.backUp(other);
    expect(snapshot.statistics.chunks).toBeGreaterThan(40);
    expect(snapshot.statistics.chunksNew).toBe(0);
    expect(await agent.restore(other, snapshot.id, join(directory, 'target'))).toEqual([]);
    expect(readTree(join(directory, 'target'))).toEqual(readTree(join(directory, 'two')));
  });

  it('what was written before somebody rotated the keys comes back from the service that was running', async () => {
    const { directory, source, service, agent, asset, id } = await backedUp(4);
    await service.rotateKeys();
    expect(await agent.restore(asset, id, join(directory, 'target'), { retry: FEW })).toEqual([]);
    expect(readTree(join(directory, 'target'))).toEqual(readTree(source));
  });

  it('a restore that had begun before somebody rotated the keys gets those that it needs then', async () => {
    const { service, agent, asset, id } = await backedUp(4);
    const { reader, close } = await agent.openReader(asset, id, { retry: FEW });
    await reader.readNode(reader.snapshot.root.reference);
    await service.rotateKeys();
    await expect(reader.keys.dataKey(unhex(id))).resolves.toHaveLength(32);
    await close();
  });

  it('a backup that begins after somebody rotated the keys is sealed to the new pair, and one that runs meanwhile comes back as well', async () => {
    const directory = scratchDirectory();
    const sources = [join(directory, 'one'), join(directory, 'two')] as const;
    sources.forEach((source, i) => {
      writeSampleTree(source, 7 + i, 20);
    });
    const service = await start(directory);
    const [one, two] = [await service.agent(), await service.agent()];
    const [first, second] = [await one.asset(sources[0]), await two.asset(sources[1])];
    let pairs: readonly string[] = [];
    let within = '';
    const before = async (): Promise<void> => {
      pairs = await service.rotateKeys();
      within = (await two.backUp(second)).id;
    };
    const { id } = await one.backUp(first, { before });
    await service.tenants.useStore(service.tenant.id, async (store) => {
      for (const pairId of pairs) expect(await store.size(sessionKeyKey(pairId, unhex(within)))).toBeUndefined();
    });
    expect(await one.restore(first, id, join(directory, 'target/one'), { retry: FEW })).toEqual([]);
    expect(await two.restore(second, within, join(directory, 'target/two'), { retry: FEW })).toEqual([]);
    for (const name of ['one', 'two']) expect(readTree(join(directory, 'target', name))).toEqual(readTree(join(directory, name)));
  });

  it('a service whose passphrase does not open any key of the repository any more refuses, until it is told the new one', async () => {
    const { directory, source, service, agent, asset } = await backedUp(6);
    const run = await agent.claim(asset);
    const passphrase = Buffer.from('another');
    await service.beside((repository) => changePassphrase(repository, { passphrase, label: 'another', now: new Date() }));
    const refused = { code: 'KEY_PASSPHRASE_WRONG' };
    await expect(agent.backUp(asset, { run })).rejects.toMatchObject(refused);
    await expect(agent.backUp(asset, { run })).rejects.toMatchObject(refused);
    writeFileSync((await service.tenants.place(service.tenant.id)).passphraseFile, passphrase);
    appendFileSync(join(source, 'd1/f1'), 'more');
    const { id } = await agent.backUp(asset, { run });
    await agent.end(run, 'succeeded');
    expect(await agent.restore(asset, id, join(directory, 'target'), { retry: FEW })).toEqual([]);
    expect(readTree(join(directory, 'target'))).toEqual(readTree(source));
  });

  it('a volume comes back as it was, and its change is what the next backup stores', async () => {
    const directory = scratchDirectory();
    const image = join(directory, 'image');
    const bytes = Buffer.concat([randomBytes(9 * 1024 * 1024), Buffer.alloc(4 * 1024 * 1024), randomBytes(2 * 1024 * 1024)]);
    writeFileSync(image, bytes);
    const service = await start(directory);
    const agent = await service.agent();
    const asset = await agent.asset(image, 'volume');
    await agent.backUp(asset);
    bytes.fill(7, 3_000_000, 3_010_000);
    writeFileSync(image, bytes);
    const second = await agent.backUp(asset);
    expect(second.statistics.bytesNew).toBeLessThanOrEqual(32 * 1024);
    expect(await agent.restore(asset, second.id, join(directory, 'target'))).toEqual([]);
    expect(readFileSync(join(directory, 'target')).equals(bytes)).toBe(true);
  });
});
