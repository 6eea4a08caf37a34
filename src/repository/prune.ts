// Prune, from what earlier ones have left undone to the last deleted pack.
//
//   finish    end writers that are dead, settle and sweep condemnations that wait
//   plan      list, mark, census, decide (prune-material.ts)
//   move      copy what is needed out of wasteful packs, write index objects (prune-moves.ts)
//   condemn   one swap of the head; when others have changed it meanwhile, their snapshots are looked at, or all is planned again
//   settle    everybody who might need a condemned pack has ended, and was looked at
//   delete
//
// Dying anywhere leaves a head that is right and objects that it does not name: the next prune deletes those.

import { Fault, isFault } from '../base/faults.ts';
import type { Condemned, ProcessFacts, Writer } from '../format/head.ts';
import type { CallOptions } from '../store/object-store.ts';
import { keepNeeded, neededPacks } from './examine.ts';
import { rootsOf } from './head-changes.ts';
import { unhex } from './layout.ts';
import { mustHaveNothingLeft } from './left-states.ts';
import { type Examination, MaintenanceSession } from './maintenance.ts';
import { mustBeOwner } from './owner-only.ts';
import { isDeadFrom } from './process-state.ts';
import { gatherMaterial, type PruneMaterial } from './prune-material.ts';
import { discardMoves, type Moves, makeMoves } from './prune-moves.ts';
import { PruneProgress } from './prune-progress.ts';
import { dropPins } from './registry.ts';
import type { Repository } from './repository.ts';
import { SessionSealing } from './session-sealing.ts';
import { deleteStrays, findStrays, listStrayCandidates, type StrayListing } from './strays.ts';
import { sweep, sweepRegisters, sweepStrayLists } from './sweep.ts';
import { clearUnsound } from './unsound.ts';
import { endWriters, silencePolicy, type WriterPolicy } from './writers.ts';

export { type PrunePhase, PruneProgress } from './prune-progress.ts';

/** With 0.05 a database of which a tenth had changed kept more than restic does with its 0.05: units lie in larger blocks here, and what is
 *  zeroed in one does not free all of its share. */
const UNUSED_SHARE_MAX = 0.04;
const REVOKE_AFTER_MS = 24 * 3_600_000;
/** Others must change the index so often during one prune before it gives up. */
const PLANS_MAX = 10;
const CONDEMN_ATTEMPTS_MAX = 20;

export type PruneOptions = {
  /** For people: who prunes. */
  readonly by: string;
  /** Share of the stored bytes that may stay unused, default 0.04. */
  readonly unusedShareMax?: number;
  /** With a share of 0: no block that no snapshot needs stays, however small. */
  readonly isThorough?: boolean;
  /** A writer that has been silent for longer is given up, default 24 h. Writers that are dead for certain are given up at once. */
  readonly revokeAfterMs?: number;
  /** Default: same host, and other boot or no such process. */
  readonly isDead?: (process: ProcessFacts) => boolean;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: PruneProgress;
};

export type PruneReport = {
  readonly dryRun: boolean;
  readonly snapshots: number;
  /** Stored bytes of all packs of the index, before. */
  readonly bytesBefore: number;
  /** Of those, about how many a snapshot needs. */
  readonly bytesUsed: number;
  readonly packsBefore: number;
  /** Packs of which nothing is needed. */
  readonly packsDropped: number;
  /** Packs whose needed blocks are moved to new ones. */
  readonly packsMoved: number;
  /** New packs with what was moved; of a dry run 0 packs, and about so many bytes. */
  readonly packsWritten: number;
  readonly bytesWritten: number;
  /** Packs in no index, left by writers that died. */
  readonly packsOrphaned: number;
  readonly bytesOrphaned: number;
  /** What stays unused after this, about. */
  readonly bytesUnusedAfter: number;
  /** Deleted, with what earlier prunes had left; of a dry run what would be. Less than condemned when writers must be waited for. */
  readonly packsDeleted: number;
  /** What the store holds less of, the packs that this prune condemned less those that it wrote instead: as soon as they are deleted, which
   *  may wait for writers. */
  readonly bytesFreed: number;
  /** Index objects, before and after. */
  readonly indexesBefore: number;
  readonly indexesAfter: number;
  /** Session keys, index objects, condemned lists and registers that nobody needed any more. */
  readonly straysDeleted: number;
  /** Writers that were given up. */
  readonly revoked: readonly Writer[];
  /** Writers for which condemned packs wait; a later prune deletes them. */
  readonly waiting: readonly Writer[];
  /** Packs that were to be moved and are damaged: left as they are, see repair. Hex ids. */
  readonly damagedPacks: readonly string[];
};

/** KEY_CANNOT_READ with a writer's key. FORMAT_DAMAGED or STORE_NOT_FOUND, before anything that is named is deleted, when a snapshot needs
 *  what is not there. */
export async function prune(repository: Repository, options: PruneOptions): Promise<PruneReport> {
  mustBeOwner(repository);
  return new PruneRun(repository, options).run();
}

class PruneRun {
  readonly #repository: Repository;
  readonly #options: PruneOptions;
  readonly #call: CallOptions;
  readonly #progress: PruneProgress;
  readonly #revoked: Writer[] = [];
  readonly #waiting = new Map<string, Writer>();

  constructor(repository: Repository, options: PruneOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#call = options.signal === undefined ? {} : { signal: options.signal };
    this.#progress = options.progress ?? new PruneProgress();
  }

  async run(): Promise<PruneReport> {
    const { store, heads } = this.#repository;
    if (this.#options.dryRun === true) {
      const strays = await listStrayCandidates(store, this.#call);
      const material = await this.#plan(undefined);
      material.census.details.close();
      this.#progress.phase = 'done';
      return this.#reportDryRun(material, findStrays(strays, evidenceOf(material, undefined)).length);
    }
    // What a state names that was left is waste to this head.
    await mustHaveNothingLeft(store, heads.ports.codec, this.#call);
    const session = await MaintenanceSession.begin(heads, this.#repository.process, this.#call);
    try {
      await this.#finishEarlier(session);
      const { material, moves, strays } = await this.#condemn(session);
      this.#progress.phase = 'deleting';
      await this.#settleAll(session);
      const straysDeleted = await this.#sweepStrays(session, material, strays);
      this.#progress.phase = 'done';
      return this.#report(material, moves, straysDeleted);
    } finally {
      // Also when it was aborted: who has left the head need not be waited for.
      await session.end().catch(() => {});
    }
  }

  #plan(self: string | undefined): Promise<PruneMaterial> {
    const unusedShareMax = this.#options.unusedShareMax ?? UNUSED_SHARE_MAX;
    const { isThorough } = this.#options;
    return gatherMaterial(this.#repository, { unusedShareMax, isThorough, progress: this.#progress, self }, this.#call);
  }

  get #isDead(): (process: ProcessFacts) => boolean {
    return this.#options.isDead ?? isDeadFrom(this.#repository.process);
  }

  get #policy(): WriterPolicy {
    const silenceMsMax = this.#options.revokeAfterMs ?? REVOKE_AFTER_MS;
    return silencePolicy({ now: new Date(this.#repository.heads.now()), silenceMsMax, isDead: this.#isDead });
  }

  async #finishEarlier(session: MaintenanceSession): Promise<void> {
    const { heads } = this.#repository;
    this.#progress.phase = 'finishing earlier prunes';
    const ended = await endWriters(
      heads,
      this.#policy,
      this.#options.by,
      ({ session: other }) => other !== session.name,
      this.#call,
    );
    this.#revoked.push(...ended.revoked);
    await dropPins(heads, this.#isDead, this.#call);
    await this.#settleAll(session);
    await sweepRegisters(heads, this.#call);
  }

  /** Settles and sweeps every condemnation that can be. */
  async #settleAll(session: MaintenanceSession): Promise<void> {
    const { heads } = this.#repository;
    const { condemned } = await heads.read(this.#call);
    for (const { generation } of condemned) {
      const details = {
        policy: this.#policy,
        by: this.#options.by,
        examine: (examination: Examination) => keepNeeded(this.#repository, examination, this.#call),
      };
      const settled = await session.settle(generation, details, this.#call);
      if (settled.outcome === 'waiting') for (const writer of settled.writers) this.#waiting.set(writer.session, writer);
      if (settled.outcome !== 'settled') continue;
      const entry = (await heads.read(this.#call)).condemned.find((other) => other.generation === generation);
      if (entry !== undefined) await this.#sweep(entry);
    }
  }

  #sweep(entry: Condemned): Promise<void> {
    const onDeleted = (kind: 'pack' | 'index'): void => {
      if (kind === 'pack') this.#progress.packsDeleted++;
    };
    return sweep(this.#repository.heads, entry, { onDeleted }, this.#call);
  }

  /** Plans, moves and condemns, again from the start when others have changed the index. */
  async #condemn(
    session: MaintenanceSession,
  ): Promise<{ readonly material: PruneMaterial; readonly moves: Moves | undefined; readonly strays: StrayListing }> {
    const { store, keyring, heads } = this.#repository;
    const sealing = new SessionSealing({ store, keyring, session: unhex(session.name), random: heads.ports.random });
    for (let n = 0; ; n++) {
      const { generation } = await heads.read(this.#call);
      const planned = await this.#planMoves(session, sealing).catch(async (error: unknown) => {
        // Another prune may have taken away what this one planned with.
        const isOvertaken = isFault(error, 'STORE_NOT_FOUND') && (await heads.read(this.#call)).generation !== generation;
        if (!isOvertaken || n >= PLANS_MAX) throw error;
        return undefined;
      });
      if (planned === undefined) continue;
      const { strays, material, moves } = planned;
      if (moves.plan.packs.length === 0 && moves.dropped.length === 0) return { material, moves: undefined, strays };
      if (await this.#condemnOnce(session, moves)) return { material, moves, strays };
      await discardMoves(this.#repository, moves, this.#call);
      if (n >= PLANS_MAX) {
        throw new Fault(
          'REPOSITORY_BUSY',
          `Others changed the index ${PLANS_MAX} times while this prune planned: nothing was deleted`,
        );
      }
    }
  }

  async #planMoves(
    session: MaintenanceSession,
    sealing: SessionSealing,
  ): Promise<{ readonly material: PruneMaterial; readonly moves: Moves; readonly strays: StrayListing }> {
    const strays = await listStrayCandidates(this.#repository.store, this.#call);
    const material = await this.#plan(session.name);
    try {
      const moves = await makeMoves(this.#repository, material, { sealing, progress: this.#progress }, this.#call);
      return { material, moves, strays };
    } finally {
      material.census.details.close();
    }
  }

  /** False when another plan is needed. */
  async #condemnOnce(session: MaintenanceSession, moves: Moves): Promise<boolean> {
    const { plan, dropped } = moves;
    for (let attempt = 0; attempt < CONDEMN_ATTEMPTS_MAX; attempt++) {
      if ((await session.condemn(plan, this.#call)) !== 'stale') return true;
      const head = await this.#repository.heads.read(this.#call);
      if (head.generation !== plan.generation) return false;
      if (plan.whenQuiet && head.writers.some(({ kind }) => kind === 'backup')) return false;
      // Only snapshots have come: perhaps they need nothing of what goes.
      const snapshots = [...rootsOf(head)].filter((root) => !plan.roots.has(root));
      const isGone = new Set(plan.drop);
      const stays = [...head.indexes.filter(({ id }) => !isGone.has(id)), ...plan.add];
      const packs = plan.packs.map(({ id }) => id);
      const needed = await neededPacks(this.#repository, { head, snapshots, packs, named: dropped, stays }, this.#call);
      if (needed.length > 0) return false;
      for (const snapshot of snapshots) plan.roots.add(snapshot);
    }
    return false;
  }

  async #sweepStrays(session: MaintenanceSession, material: PruneMaterial, listing: StrayListing): Promise<number> {
    const { heads, store } = this.#repository;
    const registers = await sweepRegisters(heads, this.#call);
    const lists = await sweepStrayLists(heads, this.#call);
    const strays = findStrays(listing, evidenceOf(material, session.name));
    await deleteStrays(store, strays, this.#call);
    const marks = await clearUnsound(store, (marked) => material.roots.has(marked), this.#call);
    return registers + lists.length + strays.length + marks;
  }

  #report(material: PruneMaterial, moves: Moves | undefined, straysDeleted: number): PruneReport {
    const { totals } = material;
    const indexesBefore = material.head.indexes.length;
    return {
      ...this.#common(material),
      dryRun: false,
      packsWritten: moves?.newPacks.length ?? 0,
      bytesWritten: moves?.bytesWritten ?? 0,
      bytesUnusedAfter: Math.max(
        0,
        totals.bytes - totals.bytesDropped - totals.bytesMoved + (moves?.bytesWritten ?? 0) - totals.liveBytes,
      ),
      packsDeleted: this.#progress.packsDeleted,
      bytesFreed: Math.max(0, (moves?.bytesCondemned ?? 0) - (moves?.bytesWritten ?? 0)),
      indexesAfter: indexesBefore - (moves?.dropped.length ?? 0) + (moves?.plan.add.length ?? 0),
      straysDeleted,
      damagedPacks: moves?.damagedPacks ?? [],
    };
  }

  #reportDryRun(material: PruneMaterial, straysDeleted: number): PruneReport {
    const { totals, orphans, head } = material;
    const common = this.#common(material);
    return {
      ...common,
      dryRun: true,
      packsWritten: 0,
      bytesWritten: totals.bytesMovedAfter,
      bytesUnusedAfter: Math.max(
        0,
        totals.bytes - totals.bytesDropped - totals.bytesMoved + totals.bytesMovedAfter - totals.liveBytes,
      ),
      packsDeleted: totals.packsDropped + totals.packsMoved + orphans.length,
      bytesFreed: Math.max(0, totals.bytesDropped + totals.bytesMoved - totals.bytesMovedAfter + common.bytesOrphaned),
      indexesAfter: head.indexes.length,
      straysDeleted,
      damagedPacks: [],
    };
  }

  #common({ head, totals, orphans }: PruneMaterial) {
    return {
      snapshots: head.snapshots.length,
      bytesBefore: totals.bytes,
      bytesUsed: totals.liveBytes,
      packsBefore: totals.packs,
      packsDropped: totals.packsDropped,
      packsMoved: totals.packsMoved,
      packsOrphaned: orphans.length,
      bytesOrphaned: orphans.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      indexesBefore: head.indexes.length,
      revoked: this.#revoked,
      waiting: [...this.#waiting.values()],
    };
  }
}

function evidenceOf({ head, census, orphans }: PruneMaterial, self: string | undefined) {
  return { head, needed: new Set([...census.sealing, ...orphans.map(({ session }) => session)]), self };
}
