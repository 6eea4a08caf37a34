// Files or a volume of a plan, brought from a repository of this site to a place on this host, and read again there.
//
// What is at the place already is compared and kept where it is the same. What is there and not in the recovery point, or differs from it, is
// never written over: it is set aside first, since it may be the only copy of what somebody wrote after the last backup.

import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { Fault, type FaultCode } from '../../src/base/faults.ts';
import { checkContent, checkTree } from '../../src/engine/check-restored.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreSingle } from '../../src/engine/restore-single.ts';
import { restoreTree } from '../../src/engine/restore-tree.ts';
import { displayPath } from '../../src/model/entry-path.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Content } from '../../src/model/stored-entry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { freeName, isThere, prepareTree, setAside } from './set-aside.ts';

const DAMAGE: readonly string[] = ['FORMAT_DAMAGED', 'STORE_NOT_FOUND'];

export type BringBack = {
  /** Its index is looked at as it is: whoever has held it open for long refreshes it before. */
  readonly repository: Repository;
  readonly snapshot: Snapshot;
  /** Directory of a tree; file or block device of a volume. Absolute. */
  readonly path: string;
  readonly threads: number;
  readonly signal: AbortSignal;
};

export type BroughtBack = {
  readonly entries: number;
  readonly bytes: number;
  readonly bytesFetched: number;
  /** Was at the place already. */
  readonly bytesKept: number;
  /** Paths of what was there and is not in the recovery point, or was another: they lie below `aside` now. */
  readonly setAside: number;
  /** Null: nothing was. */
  readonly aside: string | null;
};

/** The newest recovery point of an asset that was complete at that time. SNAPSHOT_NOT_FOUND; PLAN_INVALID: it is of another kind than
 *  the plan says, or of several trees. */
export async function newestPoint(
  repository: Repository,
  { asset, kind }: { readonly asset: string; readonly kind: 'files' | 'volume' },
  until: Date | undefined,
  signal: AbortSignal,
): Promise<Snapshot> {
  const refused = (code: FaultCode, why: string): Fault =>
    new Fault(code, `"${asset}" cannot be brought back from ${repository.store.location}: ${why}`);
  const head = await repository.heads.read({ signal });
  const all = await listSnapshots(repository, head, { signal }, repository.keyring.assetId(asset));
  const snapshot = all.findLast(({ endedAt }) => until === undefined || Date.parse(endedAt) <= until.getTime());
  if (snapshot === undefined)
    throw refused('SNAPSHOT_NOT_FOUND', `it holds no backup of it${until === undefined ? '' : ` before ${until.toISOString()}`}`);
  if (snapshot.type !== kind)
    throw refused('PLAN_INVALID', `its backup ${snapshot.id} is of ${snapshot.type}, the plan says ${kind}`);
  if (snapshot.paths.length > 1)
    throw refused(
      'PLAN_INVALID',
      `its backup ${snapshot.id} is of ${snapshot.paths.length} trees; a plan moves one: make an asset of each`,
    );
  return snapshot;
}

/** `aside`: where what is in the way is moved to, on the same file system; made when it is needed, by another name when it is there already. TARGET_OCCUPIED, TARGET_DENIED,
 *  FORMAT_DAMAGED when some of it cannot be read: everything else is there then. */
export async function bringBack(wish: BringBack, aside: string): Promise<BroughtBack> {
  const { repository, snapshot, signal } = wish;
  await repository.openIndex({ signal });
  const isTree = snapshot.type === 'files';
  if (isTree) prepareTree(wish.path);
  const wasThere = isThere(wish.path);
  const place = freeName(aside);
  const moved = wasThere ? await setAside(wish, await differing(wish), place) : 0;
  const progress = new RestoreProgress();
  let problems = 0;
  let first: RestoreProblem | undefined;
  const onProblem = (problem: RestoreProblem): void => {
    problems++;
    first ??= problem;
  };
  await (isTree ? tree : single)(wish, progress, onProblem, wasThere);
  const { entriesDone: entries, bytesDone: bytes, bytesFetched, bytesKept } = progress;
  if (first !== undefined) throw notWhole(snapshot, problems, first);
  return { entries, bytes, bytesFetched, bytesKept, setAside: moved, aside: moved > 0 ? place : null };
}

function notWhole({ asset }: Snapshot, problems: number, { path, code, message }: RestoreProblem): Fault {
  return new Fault(
    DAMAGE.includes(code) ? 'FORMAT_DAMAGED' : 'TARGET_DENIED',
    `${problems} entries of "${asset}" could not be restored, the first: ${displayPath(path)}: ${message}`,
  );
}

/** Paths of what is at the place and differs from the recovery point. What is missing is not in the way, and may be everything. */
async function differing(wish: BringBack): Promise<string[]> {
  const paths: string[] = [];
  await differences(wish, ({ path, code }) => {
    if (code !== 'MISSING') paths.push(path);
  });
  return paths;
}

/** Reads what lies at the place and compares it with the recovery point. Tells what is missing there or differs. */
export async function differences(wish: BringBack, onDifference: (problem: RestoreProblem) => void): Promise<void> {
  const { repository, snapshot, path } = wish;
  await repository.openIndex({ signal: wish.signal });
  const target = latin1(path);
  await withPool(wish, undefined, async (pool) => {
    const { parameters, readNode } = repository;
    const check = {
      unitBytes: parameters.paged.unitBytes,
      readNode,
      pool,
      progress: new RestoreProgress(),
      onDifference,
    };
    if (snapshot.type === 'files')
      return checkTree({
        ...check,
        root: snapshot.root.reference,
        below: '',
        target,
        reported: new Set(),
        rootName: basename(target),
      });
    const { contentBytes } = snapshot.root;
    const stat = statSync(path, { throwIfNoEntry: false });
    // What lies behind the end would be cut off; a device is as long as it is.
    if (stat?.isFile() === true && stat.size > contentBytes) {
      onDifference({ path: target, code: 'DIFFERS', message: `has ${stat.size} bytes, and ${contentBytes} in the snapshot` });
      return;
    }
    await checkContent(check, contentOf(snapshot), contentBytes, target, target);
    await pool.drain();
  });
}

type Take = (
  wish: BringBack,
  progress: RestoreProgress,
  onProblem: (problem: RestoreProblem) => void,
  wasThere: boolean,
) => Promise<void>;

const tree: Take = async (wish, progress, onProblem) => {
  const target = latin1(wish.path);
  const root = wish.snapshot.root.reference;
  await withPool(wish, target, (pool) =>
    restoreTree({
      ...sourcesOf(wish),
      root,
      below: '',
      target,
      delta: true,
      pool,
      progress,
      onProblem,
      rootName: basename(target),
    }),
  );
};

const single: Take = async (wish, progress, onProblem, wasThere) => {
  const { root } = wish.snapshot;
  const content = contentOf(wish.snapshot);
  // Set aside meanwhile, when it was another.
  const delta = wasThere && isThere(wish.path);
  await withPool(wish, undefined, (pool) =>
    restoreSingle({
      ...sourcesOf(wish),
      content,
      sizeBytes: root.contentBytes,
      path: latin1(wish.path),
      delta,
      pool,
      progress,
      onProblem,
    }),
  );
  progress.entriesDone = 1;
};

function sourcesOf({ repository: { parameters, readNode, blocks, keys } }: BringBack) {
  return { unitBytes: parameters.paged.unitBytes, readNode, blocks, keys };
}

async function withPool(
  { repository: { store, keyring }, threads, signal }: BringBack,
  target: string | undefined,
  work: (pool: ReadingPool) => Promise<void>,
): Promise<void> {
  const pool = new ReadingPool(store, threads, { idKey: keyring.payload.idKey, target }, signal);
  try {
    await work(pool);
  } finally {
    await pool.close();
  }
}

function contentOf({ root }: Snapshot): Content {
  return { kind: root.kind === 'units' ? 'units-map' : 'chunks-map', root: root.reference };
}

const latin1 = (path: string): string => Buffer.from(path).toString('latin1');
