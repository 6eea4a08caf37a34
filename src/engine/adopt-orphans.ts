// Takes over what backups that died on this host have uploaded and no index names: called when a backup has begun, so that it finds those
// chunks instead of uploading them again.
//
// Safe because of three looks, all after this backup is among the writers (src/repository/README.md, "Packs without an index"):
// - the dead session is over: revoked now if need be. Only sessions that the head still knows (as writer or retired) are considered:
//   of others a prune may have deleted the key (src/repository/strays.ts).
// - its key is in the store, and the pack's own directory can be read.
// - no block of the pack is in the index already: never do two packs hold a block in two versions.
// Then `adopt` brings the packs into the index unless one is condemned or gone. Packs of nodes are left to prune: nothing finds them again.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import type { IndexedPack } from '../format/index-object.ts';
import { SESSION_BYTES } from '../format/pack.ts';
import { writerOf } from '../repository/head-changes.ts';
import { encodeIndexObject } from '../repository/index-objects.ts';
import { hex, indexKey, sessionKeyKey, unhex } from '../repository/layout.ts';
import { readPackDirectory } from '../repository/pack-directory.ts';
import { isDeadFrom } from '../repository/process-state.ts';
import type { Repository } from '../repository/repository.ts';
import type { BackupSession } from '../repository/sessions.ts';
import { endWriters } from '../repository/writers.ts';
import type { CallOptions } from '../store/object-store.ts';
import { type JournalledPack, journalledSessions, readJournal, removeJournal } from './upload-journal.ts';

const DIRECTORIES_IN_FLIGHT_MAX = 8;
const ATTEMPTS_MAX = 3;

export type Adopted = { readonly packs: number; readonly bytes: number };

export type AdoptOptions = CallOptions & {
  /** Sessions that are known to run in this process. */
  readonly isRunning?: (session: string) => boolean;
};

/** The repository's local index must be that of the session's view, and is again afterwards. */
export async function adoptOrphans(repository: Repository, session: BackupSession, options: AdoptOptions = {}): Promise<Adopted> {
  const { cacheDirectory, heads } = repository;
  const { isRunning = () => false } = options;
  const sessions = journalledSessions(cacheDirectory).filter((name) => name !== session.name && !isRunning(name));
  const adopted = { packs: 0, bytes: 0 };
  if (sessions.length === 0) return adopted;
  const isDead = isDeadFrom(repository.process);
  await endWriters(
    heads,
    (writer) => (isDead(writer) ? 'revoke' : 'wait'),
    'the next backup on its host',
    (writer) => sessions.includes(writer.session),
    options,
  );
  const head = await heads.read(options);
  const retired = new Set(head.retired);
  for (const dead of sessions) {
    // It runs, here or, with a cache directory that several hosts share, elsewhere.
    if (writerOf(head, dead) !== undefined) continue;
    if (retired.has(dead)) {
      const packs = await adoptSession(repository, session, dead, options);
      adopted.packs += packs.length;
      for (const { packLength } of packs) adopted.bytes += packLength;
    }
    removeJournal(cacheDirectory, dead);
  }
  return adopted;
}

async function adoptSession(
  repository: Repository,
  session: BackupSession,
  dead: string,
  options?: CallOptions,
): Promise<readonly IndexedPack[]> {
  const { store, keyring, heads } = repository;
  if (!(await hasKey(repository, unhex(dead), options))) return [];
  const journal = readJournal(repository.cacheDirectory, dead).filter(({ kind }) => kind === 'data');
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const packs = await findPacks(repository, dead, journal, options);
    if (packs.length === 0) return [];
    const { id, bytes } = encodeIndexObject(packs, keyring, heads.ports.random);
    await store.put(indexKey(id), bytes, options);
    const origins = packs.map(({ packId }) => ({ id: hex(packId), session: dead }));
    const outcome = await session.adopt({ id, bytes: bytes.length, packs: packs.length }, origins, options);
    if (outcome === 'stale') await session.checkpoint([], options);
    await repository.syncIndex(session.view.indexes, options);
    if (outcome === 'adopted') return packs;
  }
  return [];
}

/** `id`: of a session, or of a block that it made. */
function isOf(session: string, id: Uint8Array): boolean {
  return hex(id.subarray(0, SESSION_BYTES)) === session;
}

async function hasKey({ store, keyring }: Repository, session: Uint8Array, options?: CallOptions): Promise<boolean> {
  for (const pairId of keyring.pairIds) {
    if ((await store.size(sessionKeyKey(pairId, session), options)) !== undefined) return true;
  }
  return false;
}

/** Those of the journal that are stored and in no index. */
async function findPacks(
  repository: Repository,
  dead: string,
  journal: readonly JournalledPack[],
  options?: CallOptions,
): Promise<IndexedPack[]> {
  const unnamed = journal.filter(({ firstBlock }) => repository.findPlace(unhex(firstBlock)) === undefined);
  const packs: IndexedPack[] = [];
  await forEachBounded(unnamed, DIRECTORIES_IN_FLIGHT_MAX, async ({ id }) => {
    const packId = unhex(id);
    try {
      const { trailer, bytes, directory, packLength } = await readPackDirectory(
        repository.store,
        packId,
        repository.keyring,
        undefined,
        options,
      );
      const isKnown = directory.blocks.some((block) => repository.findPlace(block.id) !== undefined);
      // Who wrote it may have wished to be found where another's block is looked for.
      const isOwn = directory.blocks.every(
        ({ id, sealedBy }) => isOf(dead, id) && isOf(dead, directory.sessions[sealedBy]!.session),
      );
      if (isKnown || !isOwn || hex(trailer.session) !== dead) return;
      packs.push({ packId, kind: trailer.kind, packLength, session: trailer.session, directory: bytes });
    } catch (error) {
      if (!isFault(error, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED')) throw error;
    }
  });
  return packs;
}
