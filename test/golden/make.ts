// Makes a golden repository: `bin/node test/golden/make.ts <name>`, as root, on a file system with ACLs. It writes `test/golden/<name>/` (a directory
// repository, and what it must give) and adds its files to `test/golden/manifest.json`. Golden repositories are only ever added: one is made
// when the format changes, and every later version of the program must read all of them.

import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { openFileSource } from '../../agents/files/source.ts';
import { openVolume, readVolume } from '../../agents/volume/source.ts';
import { backUp, type ReadSource } from '../../src/engine/backup.ts';
import { backUpFiles } from '../../src/engine/backup-files.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { backUpStream } from '../../src/engine/backup-stream.ts';
import { directoryOf } from '../../src/format/index-object.ts';
import { encodeRepositoryObject } from '../../src/format/repository-object.ts';
import type { Snapshot, SourceType } from '../../src/model/snapshot.ts';
import { HeadKeeper } from '../../src/repository/head.ts';
import { readIndexObject } from '../../src/repository/index-objects.ts';
import { Keyring, newOwnerPayload, sealKeyObject } from '../../src/repository/keyring.ts';
import { addOwnerKey, addWriterKey, rotatePair } from '../../src/repository/keys.ts';
import { hex, keyObjectKey, REPOSITORY_OBJECT } from '../../src/repository/layout.ts';
import { prune } from '../../src/repository/prune.ts';
import { registerCodec } from '../../src/repository/register-codec.ts';
import { forgetSnapshots, pinSnapshot } from '../../src/repository/registry.ts';
import { Repository } from '../../src/repository/repository.ts';
import { BackupSession } from '../../src/repository/sessions.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { contentHash, type Expected, type ExpectedSnapshot, scanTree } from '../format/golden-expected.ts';
import { GOLDEN_DIRECTORY, goldenFiles, MANIFEST } from '../format/golden-files.ts';
import { makeFirst, makeSecond, pages, SMALL_PARAMETERS, words } from '../format/golden-tree.ts';
import { seededBytes } from '../support/seeded-random.ts';

const PASSPHRASE = 'golden owner';
const WRITER = { passphrase: 'golden writer', asset: 'written' };
const PROCESS = { host: 'golden.example', processId: 4711, bootId: '00000000-0000-4000-8000-000000000000' };
const UNIT = SMALL_PARAMETERS.paged.unitBytes;

class Maker {
  readonly #repository: string;
  readonly #cache: string;
  readonly scratch: string;
  readonly snapshots: ExpectedSnapshot[] = [];
  #hour = 0;

  constructor(repository: string, scratch: string) {
    this.#repository = repository;
    this.#cache = join(scratch, 'cache');
    this.scratch = scratch;
  }

  /** A new repository with small chunks: every branch of the format costs little. */
  async init(): Promise<void> {
    const store = await openFsStore(this.#repository, { create: true });
    const now = new Date().toISOString();
    const parameters = { id: randomBytes(16), createdAt: now, ...SMALL_PARAMETERS };
    const object = encodeRepositoryObject(parameters);
    const payload = newOwnerPayload(object, randomBytes);
    const id = hex(randomBytes(8));
    const details = { id, label: 'owner', createdAt: now, passphrase: Buffer.from(PASSPHRASE), repositoryId: parameters.id };
    await store.put(keyObjectKey(id), await sealKeyObject(payload, { ...details, random: randomBytes }));
    const codec = registerCodec(new Keyring(id, payload, parameters), randomBytes);
    await new HeadKeeper({ store, codec, random: randomBytes, now: () => new Date(), sleep: async () => {} }).create();
    await store.put(REPOSITORY_OBJECT, object);
    await store.close();
  }

  async with<T>(work: (repository: Repository) => Promise<T>, passphrase = PASSPHRASE): Promise<T> {
    const store = await openFsStore(this.#repository);
    const details = { store, passphrase: Buffer.from(passphrase), cacheDirectory: this.#cache, process: PROCESS };
    const repository = await Repository.open(details);
    try {
      return await work(repository);
    } finally {
      await repository.close();
    }
  }

  async #backUp(repository: Repository, asset: string, type: SourceType, path: string, read: ReadSource): Promise<Snapshot> {
    const now = new Date(Date.UTC(2026, 0, 1, this.#hour++));
    const progress = new BackupProgress();
    const listener = { onProblem: (problem: unknown) => { throw new Error(JSON.stringify(problem)); } };
    const details = {
      asset,
      type,
      host: 'golden.example',
      user: 'root',
      paths: [path],
      tags: ['golden', `hour ${this.#hour}`],
      program: 'holdfast golden',
      now: () => now,
      threads: 1,
      level: 3,
      signal: new AbortController().signal,
      progress,
      listener,
    };
    return backUp(repository, details, read);
  }

  #expect(snapshot: Snapshot, more: Partial<ExpectedSnapshot>): Snapshot {
    const { id, asset, type, parent, tags, root } = snapshot;
    this.snapshots.push({ id, asset, type, ...(parent === undefined ? {} : { parent }), tags, contentBytes: root.contentBytes, ...more });
    return snapshot;
  }

  async tree(repository: Repository, asset: string, path: string): Promise<Snapshot> {
    const entries = scanTree(path);
    const listener = { onProblem: (problem: unknown) => { throw new Error(JSON.stringify(problem)); } };
    const snapshot = await this.#backUp(repository, asset, 'files', '/golden/tree', async ({ pipeline, parent }) => ({
      root: await backUpFiles({
        session: pipeline,
        source: openFileSource([path]),
        paged: repository.parameters.paged,
        parentRoot: parent?.root,
        readNode: repository.readNode,
        progress: new BackupProgress(),
        listener,
        parentStartedMs: undefined,
      }),
    }));
    return this.#expect(snapshot, { entries });
  }

  async volume(repository: Repository, content: Buffer): Promise<Snapshot> {
    const path = join(this.scratch, 'disk.img');
    writeFileSync(path, content);
    const listener = { onProblem: (problem: unknown) => { throw new Error(JSON.stringify(problem)); } };
    const snapshot = await this.#backUp(repository, 'disk', 'volume', '/golden/disk.img', ({ pipeline, parent }) =>
      readVolume({
        volume: openVolume(path),
        pipeline,
        parent,
        unitBytes: UNIT,
        changedRanges: undefined,
        rereadAll: true,
        readNode: repository.readNode,
        progress: new BackupProgress(),
        listener,
      }),
    );
    return this.#expect(snapshot, { content: contentHash(content) });
  }

  async stream(repository: Repository, content: Uint8Array): Promise<Snapshot> {
    const snapshot = await this.#backUp(repository, 'dump', 'stream', 'dump.sql', async ({ pipeline }) => ({
      root: await backUpStream({
        session: pipeline,
        stream: Readable.from([Buffer.from(content)]),
        chunking: repository.parameters.content,
        multiplier: repository.keyring.multiplier,
        progress: new BackupProgress(),
      }),
    }));
    return this.#expect(snapshot, { content: contentHash(content) });
  }
}

/** Blocks of data in packs of another session than made them, and those of them that were sealed anew. */
async function countMoved(repository: Repository): Promise<{ moved: number; anew: number }> {
  const count = { moved: 0, anew: 0 };
  for (const { id } of (await repository.heads.read()).indexes) {
    for (const pack of await readIndexObject(repository.store, id, repository.keyring)) {
      const { sessions, blocks } = directoryOf(pack);
      for (const block of blocks) {
        const made = hex(block.id.subarray(0, 10));
        if (pack.kind !== 'data' || made === hex(pack.session)) continue;
        if (made === hex(sessions[block.sealedBy]!.session)) count.moved++;
        else count.anew++;
      }
    }
  }
  return count;
}

async function makeRepository(maker: Maker): Promise<readonly string[]> {
  const tree = join(maker.scratch, 'tree');
  const pruneNow = (repository: Repository) => prune(repository, { by: 'golden', unusedShareMax: 0, isDead: () => false });
  await maker.init();
  await makeFirst(tree);
  const forgotten: string[] = [];

  // A prune that writes a block anew, without what only the forgotten snapshot needed, and moves others as they are.
  writeFileSync(join(tree, 'content/b-gone'), words(75_000, 2));
  await maker.with(async (repository) => {
    forgotten.push((await maker.tree(repository, 'tree', tree)).id);
    rmSync(join(tree, 'content/b-gone'));
    await maker.tree(repository, 'tree', tree);
    await forgetSnapshots(repository.heads, new Set(forgotten));
    await pruneNow(repository);
    // Where chunks end depends on the repository's secret: not every time is there a block of which little is left.
    const { moved, anew } = await countMoved(repository);
    if (moved === 0 || anew === 0) throw new Error(`${moved} blocks were moved and ${anew} written anew; make it again`);
  });
  makeSecond(tree);
  const volume = pages(300 * UNIT - 1000, [0, 1, 2, 5, 6, 100, 254, 255, 256, 299], 20);
  const changed = Buffer.from(volume);
  pages(UNIT, [0], 99).copy(changed, 5 * UNIT);
  changed.fill(0, 100 * UNIT, 101 * UNIT);
  const pinned = await maker.with(async (repository) => {
    await maker.tree(repository, 'tree', tree);
    const old = await maker.volume(repository, volume);
    await maker.volume(repository, changed);
    await maker.volume(repository, Buffer.alloc(5 * UNIT));
    const junk = await maker.stream(repository, words(20_000, 30));
    await maker.stream(repository, new Uint8Array(0));
    // One chunk, so many times that its map has a branch.
    await maker.stream(repository, Buffer.concat([Buffer.alloc(1030 * SMALL_PARAMETERS.content.maxBytes), words(500, 31)]));
    await addWriterKey(repository, WRITER.asset, { passphrase: Buffer.from(WRITER.passphrase), label: 'writer', now: new Date() });
    await addOwnerKey(repository, { passphrase: Buffer.from('another owner'), label: 'second', now: new Date() });
    // Somebody reads a snapshot that is forgotten, and somebody writes while its packs are condemned.
    await pinSnapshot(repository.heads, old.id, PROCESS);
    await BackupSession.begin(repository.heads, { assetId: hex(repository.keyring.assetId('unfinished')), process: PROCESS });
    await forgetSnapshots(repository.heads, new Set([old.id, junk.id]));
    forgotten.push(old.id, junk.id);
    const { waiting } = await pruneNow(repository);
    if (waiting.length === 0) throw new Error('nothing waits for the writer');
    return old.id;
  });
  const written = join(maker.scratch, 'written');
  mkdirSync(written);
  writeFileSync(join(written, 'by a writer'), words(3000, 40));
  await maker.with((repository) => maker.tree(repository, WRITER.asset, written), WRITER.passphrase);
  await maker.with((repository) =>
    rotatePair(repository, { passphrase: Buffer.from(PASSPHRASE), label: 'rotated', now: new Date(), dropOtherOwners: true }),
  );
  await maker.with((repository) => maker.stream(repository, seededBytes(12_000, 50)));
  writeFileSync(join(written, 'after the rotation'), words(3000, 41));
  await maker.with((repository) => maker.tree(repository, WRITER.asset, written), WRITER.passphrase);
  maker.snapshots.splice(0, maker.snapshots.length, ...maker.snapshots.filter(({ id }) => !forgotten.includes(id) || id === pinned));
  return [pinned];
}

/** One entry, one line. */
function textOf(expected: Expected): string {
  const snapshots = expected.snapshots.map(({ entries, ...rest }) => {
    const lines = entries?.map((entry) => `\n   ${JSON.stringify(entry)}`);
    const head = JSON.stringify(rest);
    return lines === undefined ? `  ${head}` : `  ${head.slice(0, -1)},"entries":[${lines.join(',')}\n  ]}`;
  });
  const { snapshots: _, ...rest } = expected;
  return `${JSON.stringify(rest).slice(0, -1)},"snapshots":[\n${snapshots.join(',\n')}\n]}\n`;
}

async function main(name: string): Promise<void> {
  const target = join(GOLDEN_DIRECTORY, name);
  if (!/^v\d+[a-z]*$/.test(name)) throw new Error('a golden repository is called v1, v2, v2b, ...');
  if (existsSync(target)) throw new Error(`${target} is there, and is never changed`);
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-golden-'));
  try {
    const repository = join(scratch, 'repository');
    const maker = new Maker(repository, scratch);
    const pinned = await makeRepository(maker);
    mkdirSync(target);
    cpSync(repository, join(target, 'repository'), { recursive: true, filter: (path) => !path.endsWith('/tmp~') });
    const expected: Expected = { passphrase: PASSPHRASE, writer: WRITER, pinned, snapshots: maker.snapshots };
    writeFileSync(join(target, 'expected.json'), textOf(expected));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const manifest = existsSync(MANIFEST) ? (JSON.parse(readFileSync(MANIFEST, 'utf8')) as Record<string, string>) : {};
  const all = { ...goldenFiles(name), ...manifest };
  writeFileSync(MANIFEST, `${JSON.stringify(Object.fromEntries(Object.entries(all).sort()), null, 1)}\n`);
}

await main(process.argv[2] ?? '');
