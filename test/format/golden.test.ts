// Every golden repository, read by the program of today and by the second reader. test/golden/make.ts made them.

import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { entriesOf } from '../../src/engine/entries-reader.ts';
import { readContent } from '../../src/engine/restore-single.ts';
import { scrub } from '../../src/engine/scrub.ts';
import { verify } from '../../src/engine/verify.ts';
import { directoryOf, type IndexedPack } from '../../src/format/index-object.ts';
import { type Content, NO_CONTENT, type StoredEntry } from '../../src/model/stored-entry.ts';
import { readableIndexes } from '../../src/repository/head-changes.ts';
import { readIndexObject } from '../../src/repository/index-objects.ts';
import { hex } from '../../src/repository/layout.ts';
import { Repository } from '../../src/repository/repository.ts';
import { listSnapshots, readSnapshot } from '../../src/repository/snapshots.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { processFacts, restoreTo } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { contentHash, type Expected, type ExpectedEntry, type ExpectedSnapshot, scanTree } from './golden-expected.ts';
import { GOLDEN_DIRECTORY, goldenFiles, goldenNames, MANIFEST } from './golden-files.ts';
import { readRepository } from './second-reader.ts';

const isRoot = process.getuid?.() === 0;
const byId = <T extends { readonly id?: string }>(items: readonly T[]): T[] => [...items].sort((a, b) => (a.id! < b.id! ? -1 : 1));

test('golden repositories are only added: every file is as the manifest says, and none is without', () => {
  const manifest = JSON.parse(readFileSync(MANIFEST, 'utf8')) as Record<string, string>;
  expect(Object.assign({}, ...goldenNames().map(goldenFiles))).toEqual(manifest);
  expect(goldenNames()).toContain('v1');
});

describe.each(goldenNames())('the golden repository %s', (name) => {
  const golden = join(GOLDEN_DIRECTORY, name);
  const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Expected;
  const trees = expected.snapshots.filter(({ type }) => type === 'files');

  let scratch: string;
  let repository: Repository;

  const open = async (passphrase: string): Promise<Repository> => {
    const store = await openFsStore(join(scratch, 'repository'));
    const cacheDirectory = join(scratch, 'cache');
    return Repository.open({ store, passphrase: Buffer.from(passphrase), cacheDirectory, process: processFacts() });
  };

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'holdfast-golden-'));
    cpSync(join(golden, 'repository'), join(scratch, 'repository'), { recursive: true });
    repository = await open(expected.passphrase);
  });

  afterAll(async () => {
    await repository.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('lists its snapshots', async () => {
    const snapshots = await listSnapshots(repository, await repository.heads.read());
    const listed = expected.snapshots.filter(({ id }) => !expected.pinned.includes(id));
    const described = snapshots.map(({ id, asset, type, parent, tags, root }) => ({
      id,
      asset,
      type,
      ...(parent === undefined ? {} : { parent }),
      tags,
      contentBytes: root.contentBytes,
    }));
    expect(described).toEqual(listed.map(({ entries: _, content: __, ...rest }) => rest));
  });

  test('is whole', async () => {
    const report = await verify(repository, { depth: { kind: 'full' }, threads: 1 });
    expect(report).toMatchObject({ outcome: 'clean', damaged: [] });
    expect(report.packsRead).toBe(report.packs);
    expect(await scrub(repository.store, { threads: 1 })).toMatchObject({ outcome: 'clean', damaged: [] });
  });

  test('gives every entry and every content, byte for byte', async () => {
    await repository.syncIndex(readableIndexes(await repository.heads.read()));
    for (const snapshot of expected.snapshots) expect(await describeSnapshot(repository, snapshot.id)).toEqual(snapshot);
  });

  test.each(trees.map(({ id, asset }) => ({ id, asset })))('restores the tree $id of the asset "$asset"', async ({ id }) => {
    const target = join(scratchDirectory(), 'target');
    const problems = await restoreTo(repository, id, target);
    const { entries } = trees.find((tree) => tree.id === id)!;
    if (isRoot) expect(problems).toEqual([]);
    // Only root may read what nobody may.
    else for (const { path, kind, mode } of entries!) if (kind === 'file' && mode === 0) chmodSync(join(target, path), 0o600);
    const restored = scanTree(target);
    expect(restored.map(isRoot ? whole : withoutRights)).toEqual(
      entries!.filter((entry) => isRoot || !isDevice(entry)).map(isRoot ? whole : withoutRights),
    );
  });

  test('opens with the key that writes one asset, which reads the names of that one and nothing else', async () => {
    const { asset, passphrase } = expected.writer;
    const writer = await open(passphrase);
    onTestFinished(() => writer.close());
    await writer.openIndex();
    const snapshots = await listSnapshots(writer, await writer.heads.read(), undefined, writer.keyring.assetId(asset));
    expect(snapshots.map(({ id }) => id)).toEqual(expected.snapshots.filter((one) => one.asset === asset).map(({ id }) => id));
    for (const snapshot of snapshots) {
      const paths: string[] = [];
      for await (const entry of entriesOf(snapshot.root.reference, writer.readNode)) {
        paths.push(entry.path);
        if (entry.content.kind !== 'chunks') continue;
        expect(await faultOf(writer.reader.read(entry.content.references))).toBe('KEY_CANNOT_READ');
      }
      expect(paths).toEqual(expected.snapshots.find(({ id }) => id === snapshot.id)!.entries!.map(({ path }) => path));
    }
    for (const { id } of trees.filter((one) => one.asset !== asset))
      expect(await faultOf(readSnapshot(writer, id))).toBe('KEY_CANNOT_READ');
  });

  test('is read by the second reader to the same listing and contents', () => {
    const { snapshots, pinned } = readRepository(join(golden, 'repository'), expected.passphrase);
    expect(pinned).toEqual(expected.pinned);
    expect(byId(snapshots)).toEqual(byId(expected.snapshots));
    const ofWriter = readRepository(join(golden, 'repository'), expected.writer.passphrase).snapshots;
    const withoutContent = expected.snapshots
      .filter(({ asset }) => asset === expected.writer.asset)
      .map((snapshot) => ({ ...snapshot, entries: snapshot.entries!.map(({ content: _, ...entry }) => entry) }));
    expect(byId(ofWriter)).toEqual(byId(withoutContent));
    expect(() => readRepository(join(golden, 'repository'), 'another passphrase')).toThrow('no key opens');
  });
});

describe('the golden repository v1 takes every way through the format:', () => {
  let packs: IndexedPack[];
  const nodeKinds = new Set<number>();
  const contents = new Set<string>();
  let head: Awaited<ReturnType<Repository['heads']['read']>>;
  let keyCount: number;

  beforeAll(async () => {
    const golden = join(GOLDEN_DIRECTORY, 'v1');
    const scratch = mkdtempSync(join(tmpdir(), 'holdfast-golden-'));
    cpSync(join(golden, 'repository'), join(scratch, 'repository'), { recursive: true });
    const store = await openFsStore(join(scratch, 'repository'));
    const { passphrase } = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Expected;
    const details = { store, passphrase: Buffer.from(passphrase), cacheDirectory: join(scratch, 'cache'), process: processFacts() };
    const repository = await Repository.open(details);
    head = await repository.heads.read();
    const indexes = readableIndexes(head);
    packs = (await Promise.all(indexes.map(({ id }) => readIndexObject(store, id, repository.keyring)))).flat();
    await repository.syncIndex(indexes);
    const { payload } = repository.keyring;
    keyCount = payload.role === 'owner' ? payload.pairs.length : 0;
    for (const pack of packs.filter(({ kind }) => kind === 'metadata')) {
      for (const block of directoryOf(pack).blocks) {
        const bytes = await repository.reader.block(block.id);
        for (const { offset } of block.extents) nodeKinds.add(bytes[offset]!);
      }
    }
    for (const snapshot of await listSnapshots(repository, head)) {
      if (snapshot.type !== 'files') continue;
      for await (const { content } of entriesOf(snapshot.root.reference, repository.readNode))
        contents.add('root' in content && content.root.length === 0 ? `${content.kind} of zeros` : content.kind);
    }
    await repository.close();
    rmSync(scratch, { recursive: true });
  });

  test('nodes of all six kinds', () => {
    expect([...nodeKinds].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('contents of all kinds', () => {
    expect([...contents].sort()).toEqual(['chunks', 'chunks-map', 'none', 'units-map', 'units-map of zeros']);
  });

  test('blocks that are compressed, stored as they are, moved as they are, and written anew by another session', () => {
    const blocks = packs.flatMap((pack) => {
      const { sessions, blocks: all } = directoryOf(pack);
      return all.map((block) => ({
        ...block,
        pack,
        sealing: hex(sessions[block.sealedBy]!.session),
        made: hex(block.id.subarray(0, 10)),
      }));
    });
    expect(new Set(blocks.map(({ codec }) => codec))).toEqual(new Set([0, 1]));
    expect(blocks.some(({ sealing, made, pack }) => sealing === made && made !== hex(pack.session))).toBe(true);
    expect(blocks.some(({ sealing, made }) => sealing !== made)).toBe(true);
    expect(new Set(blocks.flatMap(({ extents }) => extents.map(({ kind }) => kind)))).toEqual(new Set([0, 1, 2]));
    expect(packs.some((pack) => directoryOf(pack).sessions.length > 1)).toBe(true);
  });

  test('a head with a writer, a pin, a condemned list that waits, and a register that is over', () => {
    expect(head.writers.length).toBeGreaterThan(0);
    expect(head.pins.length).toBeGreaterThan(0);
    expect(head.retired.length).toBeGreaterThan(0);
    expect(head.condemned.some(({ awaits, id }) => awaits.length > 0 && id !== null)).toBe(true);
  });

  test('a pair that was exchanged', () => {
    expect(keyCount).toBe(2);
    expect(existsSync(join(GOLDEN_DIRECTORY, 'v1/repository/session-keys'))).toBe(true);
  });
});

async function faultOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
  return 'none';
}

async function describeSnapshot(repository: Repository, session: string): Promise<ExpectedSnapshot> {
  const { id, asset, type, parent, tags, root } = await readSnapshot(repository, session);
  const head = { id, asset, type, ...(parent === undefined ? {} : { parent }), tags, contentBytes: root.contentBytes };
  if (root.kind !== 'entries') {
    const content: Content = { kind: root.kind === 'units' ? 'units-map' : 'chunks-map', root: root.reference };
    return { ...head, content: await hashOf(repository, content, root.contentBytes) };
  }
  const entries: StoredEntry[] = [];
  for await (const entry of entriesOf(root.reference, repository.readNode)) entries.push(entry);
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const described: ExpectedEntry[] = [];
  for (const entry of entries) {
    const original = entry.hardLinkTo === '' ? entry : byPath.get(entry.hardLinkTo)!;
    described.push(
      describeEntry(entry, entry.kind === 'file' ? await hashOf(repository, original.content, entry.sizeBytes) : undefined),
    );
  }
  return { ...head, entries: described };
}

async function hashOf(repository: Repository, content: Content, sizeBytes: number): Promise<string> {
  const { parameters, readNode, reader } = repository;
  const pieces: Uint8Array[] = [];
  if (content !== NO_CONTENT)
    for await (const piece of readContent(content, sizeBytes, parameters.paged.unitBytes, readNode, reader))
      pieces.push(piece.slice());
  return contentHash(Buffer.concat(pieces));
}

function describeEntry(entry: StoredEntry, content: string | undefined): ExpectedEntry {
  const { path, kind, mode, uid, gid, sizeBytes, mtimeSec, mtimeNsec, linkTarget, rdevMajor, rdevMinor, xattrs, hardLinkTo } =
    entry;
  return {
    path,
    kind,
    mode,
    ...(uid === 0 ? {} : { uid }),
    ...(gid === 0 ? {} : { gid }),
    ...(sizeBytes === 0 ? {} : { sizeBytes }),
    mtime: String(BigInt(mtimeSec) * 1_000_000_000n + BigInt(mtimeNsec)),
    ...(linkTarget === '' ? {} : { linkTarget }),
    ...(kind.endsWith('-device') ? { rdev: [rdevMajor, rdevMinor] as const } : {}),
    ...(xattrs.length === 0
      ? {}
      : { xattrs: Object.fromEntries(xattrs.map((one) => [one.name, Buffer.from(one.value).toString('base64')])) }),
    ...(hardLinkTo === '' ? {} : { hardLinkTo }),
    ...(content === undefined ? {} : { content }),
  };
}

const isDevice = ({ kind }: ExpectedEntry): boolean => kind.endsWith('-device');
const whole = (entry: ExpectedEntry): ExpectedEntry => entry;
/** What somebody who is not root can restore. */
function withoutRights({ path, kind, sizeBytes, linkTarget, hardLinkTo, content }: ExpectedEntry): Partial<ExpectedEntry> {
  return {
    path,
    kind,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(linkTarget === undefined ? {} : { linkTarget }),
    ...(hardLinkTo === undefined ? {} : { hardLinkTo }),
    ...(content === undefined ? {} : { content }),
  };
}
