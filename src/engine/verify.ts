// Verifying a repository: its structure, and, sampled or whole, every byte of its packs. Damage is an answer, not a fault: what is damaged,
// and which snapshots and paths need it.
//
// Others may go on working. A prune that moves or deletes packs meanwhile looks like damage; so when damage was found and the head has
// changed since, all that was found is looked at once more under the new head, and only what is still so is reported.

import { isFault } from '../base/faults.ts';
import type { Head } from '../format/head.ts';
import { hex } from '../repository/layout.ts';
import { mustBeOwner } from '../repository/owner-only.ts';
import { MapReader } from '../repository/reading.ts';
import type { Repository } from '../repository/repository.ts';
import type { CallOptions } from '../store/object-store.ts';
import { AffectedFinder } from './affected.ts';
import type { ReadThreads } from './reading-pool.ts';
import { damageText, type VerifiedLogs, verifyLogs } from './verify-log.ts';
import { type ReadPacks, sampleOf, sampleOfKeys, verifyPacks } from './verify-packs.ts';
import { type AffectedSnapshot, type DamagedThing, DamageList, VerifyProgress } from './verify-report.ts';
import { type KnownPacks, type Structure, verifyStructure } from './verify-structure.ts';

export { type ScrubOptions, type ScrubReport, scrub } from './scrub.ts';
export { type AffectedPath, type AffectedSnapshot, type DamagedThing, VerifyProgress } from './verify-report.ts';

const PATHS_MAX = 100;
const LOOKS_MAX = 4;

/** structure: head, snapshots, maps, and that every reference leads into a pack that is there. sample, full: the bytes of packs too. */
export type VerifyDepth =
  | { readonly kind: 'structure' }
  /** `share` of the packs, 0 to 1; seeds that follow each other take others, until all were read. */
  | { readonly kind: 'sample'; readonly share: number; readonly seed: number }
  | { readonly kind: 'full' };

export type VerifyOptions = {
  readonly depth: VerifyDepth;
  readonly threads: number;
  /** Started ahead. */
  readonly readThreads?: ReadThreads | undefined;
  /** Affected paths named for each snapshot at the most, default 100; all are counted. */
  readonly pathsMax?: number;
  readonly signal?: AbortSignal;
  readonly progress?: VerifyProgress;
};

export type VerifyReport = {
  readonly outcome: 'clean' | 'damaged';
  readonly snapshots: number;
  readonly nodes: number;
  readonly packs: number;
  /** Packs whose bytes were read. */
  readonly packsRead: number;
  readonly bytesRead: number;
  /** The first ones; `damagedCount` counts all. */
  readonly damaged: readonly DamagedThing[];
  readonly damagedCount: number;
  readonly affected: readonly AffectedSnapshot[];
  readonly logs: VerifiedLogs;
};

/** Damage is a value, not a fault: exit 4 when the outcome is 'damaged'. Faults: no head, wrong key, a store that does not answer. */
export async function verify(repository: Repository, options: VerifyOptions): Promise<VerifyReport> {
  const { report } = await verifyWithDamage(repository, options);
  return report;
}

export type Verified = { readonly report: VerifyReport; readonly damage: DamageList; readonly structure: Structure };

/** As `verify`, with what repair needs to know. */
export async function verifyWithDamage(repository: Repository, options: VerifyOptions): Promise<Verified> {
  mustBeOwner(repository);
  const { depth, threads, readThreads, signal, pathsMax = PATHS_MAX, progress = new VerifyProgress() } = options;
  const call: CallOptions = signal === undefined ? {} : { signal };
  let suspects: ReadonlySet<string> | undefined;
  let read = { packsRead: 0, bytesRead: 0 };
  for (let look = 1; ; look++) {
    const damage = new DamageList(progress);
    progress.phase = 'structure';
    const isInDepth = depth.kind === 'sample' ? sampleOf(depth.share, depth.seed) : () => true;
    const known = suspects;
    const isWanted: typeof isInDepth = known === undefined ? isInDepth : ({ packId }) => known.has(hex(packId));
    let reading: Promise<ReadPacks> | undefined;
    const readPacks = ({ indexes, packs, bytes }: KnownPacks): void => {
      if (depth.kind === 'structure') return;
      const share = depth.kind === 'full' ? 1 : depth.share;
      if (known === undefined) progress.packsTotal = Math.ceil(packs * share);
      if (known === undefined) progress.bytesTotal = Math.ceil(bytes * share);
      reading = verifyPacks(repository, { indexes, isWanted, threads, readThreads }, damage, progress, call);
      reading.catch(() => {});
    };
    const before = await repository.heads.read(call);
    // Maps are walked here while the threads read packs.
    const structure = await verifyStructure(repository, damage, progress, depth.kind === 'full', call, readPacks).catch(
      async (error: unknown) => {
        await reading?.catch(() => {});
        // A prune has taken an index object away that this look still wanted.
        const isOvertaken = isFault(error, 'STORE_NOT_FOUND') && look < LOOKS_MAX;
        if (isOvertaken && hasMoved(before, await repository.heads.read(call))) return undefined;
        throw error;
      },
    );
    if (structure === undefined) continue;
    if (depth.kind !== 'structure') progress.phase = 'packs';
    const these = await reading;
    if (these !== undefined) read = { packsRead: read.packsRead + these.packsRead, bytesRead: read.bytesRead + these.bytesRead };
    const isSettled = damage.count === 0 || look === LOOKS_MAX || !hasMoved(structure.head, await repository.heads.read(call));
    if (!isSettled) {
      suspects = new Set([
        ...(suspects ?? []),
        ...damage.things.flatMap(({ kind, id, pack }) => (kind === 'pack' ? [id] : pack === undefined ? [] : [pack])),
      ]);
      continue;
    }
    const isRead = depth.kind === 'sample' ? sampleOfKeys(depth.share, depth.seed) : () => depth.kind === 'full';
    const logs = await verifyLogs(repository, { snapshots: structure.snapshots, isRead }, call);
    for (const log of logs.damaged) damage.add({ kind: 'log', id: log.key, message: damageText(log) });
    progress.phase = 'damage';
    const affected = await findAffected(repository, structure, damage, pathsMax, call);
    progress.phase = 'done';
    const report: VerifyReport = {
      outcome: damage.count === 0 ? 'clean' : 'damaged',
      snapshots: structure.snapshots.length + structure.unreadable.length,
      nodes: structure.nodes,
      packs: structure.packs,
      ...read,
      damaged: damage.things,
      damagedCount: damage.count,
      affected,
      logs,
    };
    return { report, damage, structure };
  }
}

/** Whether what was found damaged may have been moved or deleted by others. */
function hasMoved(before: Head, now: Head): boolean {
  const roots = (head: Head): string => JSON.stringify([head.snapshots, head.pins.map(({ session }) => session)]);
  return before.generation !== now.generation || before.condemned.length !== now.condemned.length || roots(before) !== roots(now);
}

async function findAffected(
  repository: Repository,
  structure: Structure,
  damage: DamageList,
  pathsMax: number,
  call: CallOptions,
): Promise<AffectedSnapshot[]> {
  if (damage.count === 0) return [];
  const affected: AffectedSnapshot[] = structure.unreadable.map((session) => ({
    session,
    asset: '',
    startedAt: '',
    paths: [],
    pathsCount: 0,
  }));
  if (damage.blocks.size === 0 && damage.nodes.size === 0) return affected;
  const { readNode } = await MapReader.fixed(repository, structure.indexes, call);
  const finder = await AffectedFinder.open(repository, { readNode, damage, pathsMax }, call);
  try {
    for (const snapshot of structure.snapshots) {
      const one = await finder.of(snapshot);
      if (one !== undefined) affected.push(one);
    }
    return affected;
  } finally {
    finder.close();
  }
}
