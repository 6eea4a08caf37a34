// A new head when the old one is gone or damaged: from the registers of the sessions whose packs or keys the store lists, and from the packs' own
// directories. A person must ask for it, for it cannot be complete: a listing may miss what is there, and a session that stored nothing
// (nothing had changed) is not in any listing. No backup may run meanwhile; one that does finds itself revoked.

import { randomBytes } from 'node:crypto';
import { forEachBounded } from '../base/bounded.ts';
import { Fault, isFault } from '../base/faults.ts';
import { EMPTY_HEAD, type Head, type IndexRef, type RegisteredSnapshot } from '../format/head.ts';
import { readIndexes } from '../repository/index-stream.ts';
import { HEAD_REGISTER, hex, SESSION_KEYS_PREFIX } from '../repository/layout.ts';
import { mustBeOwner } from '../repository/owner-only.ts';
import type { Repository } from '../repository/repository.ts';
import { type DamagedSnapshot, openSnapshot } from '../repository/snapshots.ts';
import type { CallOptions } from '../store/object-store.ts';
import { findPacks } from './find-packs.ts';
import type { RepairProgress } from './repair-progress.ts';

const REGISTERS_IN_FLIGHT_MAX = 8;
/** Above any head that anybody may have seen: theirs must not look newer than this one. */
const SEQUENCE_JUMP = 2 ** 40;
const SESSION_KEY = /^session-keys\/[0-9a-f]+\/([0-9a-f]{20})$/;

export type RebuildHeadReport = {
  readonly snapshots: number;
  readonly indexes: number;
  readonly packs: number;
  /** Their registers cannot be read, so the new head does not name them. */
  readonly damaged: readonly DamagedSnapshot[];
};

export type RebuildHeadOptions = {
  readonly by?: string;
  readonly threads?: number;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: RepairProgress;
};

/** Only when there is none that can be read; afterwards `repair`. USAGE when there is a head. */
export async function rebuildHead(repository: Repository, options: RebuildHeadOptions): Promise<RebuildHeadReport> {
  mustBeOwner(repository);
  const call: CallOptions = options.signal === undefined ? {} : { signal: options.signal };
  const { heads, cacheDirectory } = repository;
  const present = await presentHead(repository, call);
  if (present === 'sound')
    throw new Fault('USAGE', `The repository at ${repository.store.location} has a head`, { hint: 'Run "holdfast repair".' });
  // What was condemned cannot be told; it comes back, and the next prune finds it unused.
  const found = await findPacks(
    repository,
    { indexes: [], excluded: new Set(), running: new Set(), random: randomBytes, cacheDirectory, mover: undefined },
    call,
  );
  const damaged: DamagedSnapshot[] = [];
  const snapshots = await findSnapshots(repository, await sessionsOf(repository, found.indexes, call), damaged, call);
  const report = { snapshots: snapshots.length, indexes: found.indexes.length, packs: found.packs.length, damaged };
  if (options.dryRun === true) return report;
  const seen = heads.sequenceSeen;
  const head: Head = {
    ...EMPTY_HEAD,
    sequence: seen + SEQUENCE_JUMP,
    generation: seen + SEQUENCE_JUMP,
    snapshots,
    indexes: found.indexes,
  };
  // Only now: whoever dies before has taken nothing away, whoever dies after finds it missing and does the same again.
  if (present === 'damaged') await repository.store.delete(HEAD_REGISTER, call);
  if ((await heads.registers.swapHead(head, undefined, call)) === 'conflict')
    throw new Fault('HEAD_CONTENTION', 'Somebody else has made a head meanwhile');
  return report;
}

async function presentHead({ heads }: Repository, call: CallOptions): Promise<'sound' | 'missing' | 'damaged'> {
  try {
    await heads.read(call);
    return 'sound';
  } catch (error) {
    if (isFault(error, 'HEAD_MISSING')) return 'missing';
    if (isFault(error, 'HEAD_DAMAGED')) return 'damaged';
    throw error;
  }
}

/** Names of sessions, from keys and packs. */
async function sessionsOf(repository: Repository, indexes: readonly IndexRef[], call: CallOptions): Promise<Set<string>> {
  const sessions = new Set<string>();
  for await (const page of repository.store.list(SESSION_KEYS_PREFIX, call)) {
    for (const { key } of page) {
      const session = SESSION_KEY.exec(key)?.[1];
      if (session !== undefined) sessions.add(session);
    }
  }
  for await (const { packs } of readIndexes(repository, indexes, call)) for (const { session } of packs) sessions.add(hex(session));
  return sessions;
}

/** Those that have committed, in the order of their starts. */
async function findSnapshots(
  repository: Repository,
  sessions: ReadonlySet<string>,
  damaged: DamagedSnapshot[],
  call: CallOptions,
): Promise<RegisteredSnapshot[]> {
  const found: (RegisteredSnapshot & { readonly startedAt: string })[] = [];
  const { registers } = repository.heads;
  await forEachBounded(sessions, REGISTERS_IN_FLIGHT_MAX, async (session) => {
    try {
      const register = await registers.readSnapshot(session, call);
      if (register?.value.state !== 'committed') return;
      const { assetId } = register.value;
      found.push({ session, assetId, startedAt: openSnapshot(repository, register.value).startedAt });
    } catch (error) {
      if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
      damaged.push({ session, fault: error });
    }
  });
  found.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
  return found.map(({ session, assetId }) => ({ session, assetId }));
}
