// The real engine on a directory store, as functions and as a process that can be told to die of SIGKILL (or to be stopped) at its n-th
// write:
//
//   node engine-process.ts '{"verb":"backup","directory":"...","tree":"...","kill":{"write":7,"when":"before"}}'
//
// The repository lies in `<directory>/repository`, its cache in `<directory>/cache`. A process that ends by itself prints one line of
// JSON with the number of its writes.

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openFileSource } from '../../agents/files/source.ts';
import { backUp } from '../../src/engine/backup.ts';
import { backUpFiles } from '../../src/engine/backup-files.ts';
import { type BackupProblem, BackupProgress } from '../../src/engine/backup-progress.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import { Repository } from '../../src/repository/repository.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { type FaultyStore, faultyStore } from '../support/faulty-store.ts';
import { seededRandom } from '../support/seeded-random.ts';

export const PASSPHRASE = Buffer.from('a passphrase for tests');

/** before: nothing of the write happens. during: it has begun. after: it has happened, and nobody has heard of it. */
export type Kill = {
  readonly write: number;
  readonly when: 'before' | 'during' | 'after';
  /** Default SIGKILL. */
  readonly signal?: 'SIGKILL' | 'SIGSTOP';
};

export type EngineTask = {
  readonly verb: 'backup' | 'prune' | 'forget';
  readonly directory: string;
  /** Of a backup. */
  readonly tree?: string;
  readonly asset?: string;
  /** Of a forget. */
  readonly sessions?: readonly string[];
  readonly kill?: Kill;
  /** Of a prune: also a little waste is freed. */
  readonly thorough?: boolean;
  /** Before each call to the store the process waits up to so long, by this seed: others come in between. */
  readonly dawdle?: { readonly seed: number; readonly msMax: number };
};

export async function openEngine(
  directory: string,
  wrap: (store: ObjectStore) => ObjectStore = (store) => store,
): Promise<Repository> {
  const store = wrap(await openFsStore(join(directory, 'repository')));
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const process_ = { host: hostname(), processId: process.pid, bootId };
  return Repository.open({ store, passphrase: PASSPHRASE, cacheDirectory: join(directory, 'cache'), process: process_ });
}

export type BackUpOptions = {
  readonly asset?: string;
  readonly signal?: AbortSignal;
  readonly onProblem?: (problem: BackupProblem) => void;
  readonly progress?: BackupProgress;
};

export function backUpTree(repository: Repository, tree: string, options: BackUpOptions = {}): Promise<Snapshot> {
  const { asset = 'tree', signal = new AbortController().signal, progress = new BackupProgress() } = options;
  const listener = {
    onProblem: (problem: BackupProblem): void => {
      if (options.onProblem === undefined) throw new Error(`${problem.path}: ${problem.message}`);
      options.onProblem(problem);
    },
  };
  const details = {
    asset,
    type: 'files',
    host: 'test',
    user: 'test',
    paths: [tree],
    tags: [],
    program: 'test',
    threads: 2,
    level: 1,
  } as const;
  return backUp(repository, { ...details, now: () => new Date(), signal, progress, listener }, async ({ pipeline, parent }) => ({
    root: await backUpFiles({
      session: pipeline,
      source: openFileSource([tree]),
      paged: repository.parameters.paged,
      parentRoot: parent?.root,
      readNode: repository.readNode,
      progress,
      listener,
      parentStartedMs: parent === undefined ? undefined : Date.parse(parent.startedAt),
    }),
  }));
}

export async function runTask(repository: Repository, { verb, tree, asset, sessions, thorough }: EngineTask): Promise<unknown> {
  if (verb === 'backup') {
    const { id } = await backUpTree(repository, tree!, asset === undefined ? {} : { asset });
    return { snapshot: id };
  }
  if (verb === 'forget') return { absent: await forgetSnapshots(repository.heads, new Set(sessions)) };
  return prune(repository, { by: 'test', ...(thorough === true ? { unusedShareMax: 0 } : {}) });
}

/** Dies at that write. */
export function killingStore(store: ObjectStore, kill: Kill | undefined): FaultyStore {
  const die = (): void => void process.kill(process.pid, kill?.signal ?? 'SIGKILL');
  const dieAfterTurns = (turns: number): void => void setImmediate(() => (turns === 0 ? die() : dieAfterTurns(turns - 1)));
  return faultyStore(store, {
    seed: 1,
    onWrite: ({ number, when }) => {
      if (number !== kill?.write) return;
      if (kill.when === 'during') dieAfterTurns(number % 6);
      else if (kill.when === when) die();
    },
  });
}

const DAWDLING = ['put', 'get', 'size', 'delete', 'read', 'swap'] as const;

/** Waits before each call. */
export function dawdlingStore(store: ObjectStore, { seed, msMax }: { readonly seed: number; readonly msMax: number }): ObjectStore {
  const random = seededRandom(seed);
  return new Proxy(store, {
    get: (target, name, self) => {
      const value: unknown = Reflect.get(target, name, self);
      if (typeof value !== 'function' || !(DAWDLING as readonly PropertyKey[]).includes(name)) return value;
      return async (...args: unknown[]) => {
        await sleep(random() * msMax);
        return value.apply(target, args);
      };
    },
  });
}

async function main(task: EngineTask): Promise<void> {
  let watched: FaultyStore | undefined;
  const repository = await openEngine(task.directory, (store) => {
    watched = killingStore(store, task.kill);
    return task.dawdle === undefined ? watched : dawdlingStore(watched, task.dawdle);
  });
  const result = await runTask(repository, task);
  await repository.close();
  console.log(JSON.stringify({ writes: watched!.writes, result }));
}

if (process.argv[2] !== undefined && import.meta.filename === process.argv[1])
  await main(JSON.parse(process.argv[2]) as EngineTask);
