// A real repository in a scratch directory, written and read by the real engine. Without vitest: child processes use it too.

import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { openFileSource } from '../../agents/files/source.ts';
import { backUp } from '../../src/engine/backup.ts';
import { backUpFiles } from '../../src/engine/backup-files.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreTree } from '../../src/engine/restore-tree.ts';
import type { ProcessFacts } from '../../src/format/head.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { Repository } from '../../src/repository/repository.ts';
import { readSnapshot } from '../../src/repository/snapshots.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { seededBytes, seededRandom } from './seeded-random.ts';

export const PASSPHRASE = Buffer.from('test');

export function processFacts(): ProcessFacts {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return { host: hostname(), processId: process.pid, bootId };
}

export type OpenOptions = {
  readonly init?: boolean;
  /** Wraps the store, to watch or to break it. */
  readonly wrap?: (store: ObjectStore) => ObjectStore;
  readonly process?: ProcessFacts;
  /** Below the directory; "cache" when absent. */
  readonly cache?: string;
};

/** Opens (or makes) the repository `<directory>/repository` with its cache in `<directory>/cache`. */
export async function openRepository(directory: string, options: OpenOptions = {}): Promise<Repository> {
  const { init = false, wrap = (store) => store } = options;
  const store = wrap(await openFsStore(join(directory, 'repository'), { create: init }));
  const details = {
    store,
    passphrase: PASSPHRASE,
    cacheDirectory: join(directory, options.cache ?? 'cache'),
    process: options.process ?? processFacts(),
  };
  return init ? Repository.init({ ...details, label: 'test' }) : Repository.open(details);
}

export type BackUpOptions = {
  readonly asset?: string;
  readonly tags?: readonly string[];
  readonly now?: Date;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly progress?: BackupProgress;
  readonly problems?: unknown[];
  /** Awaited when the backup has begun and knows the index, before anything is read. */
  readonly before?: () => Promise<void>;
};

/** Backs up the tree at `path`. */
export function backUpTree(repository: Repository, path: string, options: BackUpOptions = {}): Promise<Snapshot> {
  const {
    asset = 'tree',
    tags = [],
    now,
    threads = 1,
    signal = new AbortController().signal,
    progress = new BackupProgress(),
  } = options;
  const listener = { onProblem: (problem: unknown) => void options.problems?.push(problem) };
  const details = {
    asset,
    type: 'files' as const,
    host: 'test',
    user: 'test',
    paths: [path],
    tags,
    program: 'test',
    now: () => now ?? new Date(),
    threads,
    level: 1,
    signal,
    progress,
    listener,
  };
  return backUp(repository, details, async ({ pipeline, parent }) => {
    await options.before?.();
    return {
      root: await backUpFiles({
        session: pipeline,
        source: openFileSource([path]),
        paged: repository.parameters.paged,
        parentRoot: parent?.root,
        readNode: repository.readNode,
        progress,
        listener,
        parentStartedMs: parent === undefined ? undefined : Date.parse(parent.startedAt),
      }),
    };
  });
}

/** Restores a snapshot of a tree to a new directory; answers what went wrong. */
export async function restoreTo(repository: Repository, session: string, target: string): Promise<RestoreProblem[]> {
  const snapshot = await readSnapshot(repository, session);
  await repository.syncIndex([]);
  const head = await repository.heads.read();
  await repository.syncIndex([
    ...head.indexes,
    ...head.condemned.flatMap(({ awaits, indexes }) => (awaits.length > 0 ? indexes : [])),
  ]);
  mkdirSync(target, { recursive: true });
  const problems: RestoreProblem[] = [];
  const pool = new ReadingPool(
    repository.store,
    1,
    { idKey: repository.keyring.payload.idKey, target },
    new AbortController().signal,
  );
  try {
    await restoreTree({
      root: snapshot.root.reference,
      below: '',
      target,
      delta: false,
      unitBytes: repository.parameters.paged.unitBytes,
      readNode: repository.readNode,
      blocks: repository.blocks,
      keys: repository.keys,
      pool,
      progress: new RestoreProgress(),
      onProblem: (problem) => problems.push(problem),
    });
  } finally {
    await pool.close();
  }
  return problems;
}

/** Every entry below a directory by its path: kind and content. Two trees are equal when these are. */
export function readTree(root: string): Map<string, string> {
  const found = new Map<string, string>();
  const look = (below: string): void => {
    for (const name of readdirSync(join(root, below)).sort()) {
      const path = join(below, name);
      const facts = lstatSync(join(root, path));
      if (facts.isDirectory()) {
        found.set(path, 'directory');
        look(path);
      } else if (facts.isSymbolicLink()) found.set(path, `link to ${readlinkSync(join(root, path))}`);
      else found.set(path, readFileSync(join(root, path)).toString('latin1'));
    }
  };
  look('');
  return found;
}

export function writeFileAt(root: string, path: string, content: Uint8Array | string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

/** Files of different sizes, the same for the same seed: small ones, some of several chunks, paged ones. */
export function writeSampleTree(root: string, seed: number, files = 40): void {
  const random = seededRandom(seed);
  for (let n = 0; n < files; n++) {
    const sizes = [0, 100, 3000, 40_000, 200_000, 128 * 1024, 700_000, 64 * 1024 * 8];
    const size = sizes[Math.floor(random() * sizes.length)]!;
    writeFileAt(root, `d${n % 5}/f${n}`, seededBytes(size, seed * 1000 + n));
  }
}

/** Objects (not registers) in the directory store, with their sizes. */
export function objectsIn(directory: string, prefix: string): Map<string, number> {
  const objects = new Map<string, number>();
  const root = join(directory, 'repository');
  const look = (path: string): void => {
    for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
      const key = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.name.includes('~')) continue;
      if (entry.isDirectory()) look(key);
      else if (key.startsWith(prefix)) objects.set(key, lstatSync(join(root, key)).size);
    }
  };
  look('');
  return objects;
}

export const objectPath = (directory: string, key: string): string => join(directory, 'repository', key);
