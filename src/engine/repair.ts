// Repair: mends what verify finds, as far as the bytes are somewhere, and isolates the rest so that the next backup stores it anew.
//
//   look      verify, by default every byte
//   plan      index objects that are lost are made anew from the directories of packs; damaged packs are taken from another copy, or their
//             good blocks are moved to new packs; what is left of them goes
//   mend      snapshots that lose something are marked (src/repository/unsound.ts): no backup takes them for its parent. Then one swap of the
//             head exchanges index objects and condemns damaged packs, by the same protocol as a prune
//   look      once more: what is still missing is what the report names
//
// Dying anywhere leaves a repository no worse than before. Nothing is overwritten, and nothing is deleted that was not read twice.

import { Fault, isFault } from '../base/faults.ts';
import type { IndexRef, ProcessFacts } from '../format/head.ts';
import type { IndexedPack } from '../format/index-object.ts';
import { readCondemned } from '../repository/condemned-lists.ts';
import { keepNeeded } from '../repository/examine.ts';
import { rootsOf } from '../repository/head-changes.ts';
import { readIndexes } from '../repository/index-stream.ts';
import { IndexWriter } from '../repository/index-writer.ts';
import { hex, indexKey, sessionKeyKey, unhex } from '../repository/layout.ts';
import { type CondemnPlan, type Examination, MaintenanceSession } from '../repository/maintenance.ts';
import { mustBeOwner } from '../repository/owner-only.ts';
import { PackMover } from '../repository/pack-mover.ts';
import { isDeadFrom } from '../repository/process-state.ts';
import { fullPackBytes } from '../repository/prune-material.ts';
import type { Repository } from '../repository/repository.ts';
import { SessionSealing } from '../repository/session-sealing.ts';
import { sweep } from '../repository/sweep.ts';
import { clearUnsound, markUnsound } from '../repository/unsound.ts';
import { silencePolicy, type WriterPolicy } from '../repository/writers.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { findPacks } from './find-packs.ts';
import { mendLogs } from './repair-log.ts';
import { RepairProgress } from './repair-progress.ts';
import { Salvager } from './salvage.ts';
import { type Verified, verifyWithDamage } from './verify.ts';
import type { AffectedSnapshot, DamagedThing } from './verify-report.ts';

export { type RebuildHeadReport, rebuildHead } from './rebuild-head.ts';
export { RepairProgress } from './repair-progress.ts';

const ATTEMPTS_MAX = 5;
const REVOKE_AFTER_MS = 24 * 3_600_000;

export type RepairOptions = {
  /** For people: who repairs. */
  readonly by: string;
  readonly threads: number;
  /** Prove every pack first (as verify --full); otherwise only what can be seen without reading them. Default true. */
  readonly readPacks?: boolean;
  /** Another copy of this repository (a replica, a copied directory): damaged and missing packs are taken from there when it has them. */
  readonly from?: ObjectStore;
  /** Default: same host, and other boot or no such process. */
  readonly isDead?: (process: ProcessFacts) => boolean;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: RepairProgress;
};

export type RepairReport = {
  readonly dryRun: boolean;
  /** Nothing was damaged, or everything could be mended, or snapshots have lost something. Of a dry run 'lost' means: as far as this
   *  repository alone goes. */
  readonly outcome: 'clean' | 'mended' | 'lost';
  readonly damaged: readonly DamagedThing[];
  readonly damagedCount: number;
  /** Index objects that were written in place of lost or damaged ones. */
  readonly indexesRebuilt: number;
  /** Packs that came from the other copy. */
  readonly packsFetched: number;
  /** Damaged packs whose good blocks were moved to new ones. */
  readonly packsSalvaged: number;
  readonly blocksSalvaged: number;
  /** Blocks that left the index: what they held will be stored anew by the next backup that meets it. */
  readonly blocksLost: number;
  /** Objects of logs that came from the other copy; the others are written down as lost. */
  readonly logsMended: number;
  /** Snapshots that cannot be restored whole, and which of their paths. */
  readonly affected: readonly AffectedSnapshot[];
};

/** KEY_CANNOT_READ with a writer's key; HEAD_MISSING: see `rebuildHead`. */
export async function repair(repository: Repository, options: RepairOptions): Promise<RepairReport> {
  mustBeOwner(repository);
  return new RepairRun(repository, options).run();
}

type Mend = {
  readonly plan: CondemnPlan;
  readonly newPacks: readonly IndexedPack[];
  readonly numbers: Pick<RepairReport, 'indexesRebuilt' | 'packsFetched' | 'packsSalvaged' | 'blocksSalvaged' | 'blocksLost'>;
};

const NOTHING = { indexesRebuilt: 0, packsFetched: 0, packsSalvaged: 0, blocksSalvaged: 0, blocksLost: 0 };

class RepairRun {
  readonly #repository: Repository;
  readonly #options: RepairOptions;
  readonly #call: CallOptions;
  readonly #progress: RepairProgress;

  constructor(repository: Repository, options: RepairOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#call = options.signal === undefined ? {} : { signal: options.signal };
    this.#progress = options.progress ?? new RepairProgress();
  }

  async run(): Promise<RepairReport> {
    const { dryRun = false, readPacks = true } = this.#options;
    const { store } = this.#repository;
    const before = await this.#look(readPacks);
    const common = { dryRun, damaged: before.report.damaged, damagedCount: before.report.damagedCount, logsMended: 0 };
    const { from } = this.#options;
    const logsMended = dryRun
      ? 0
      : await mendLogs(this.#repository, before.report.logs, { from, now: new Date(this.#repository.heads.now()) }, this.#call);
    if (before.report.outcome === 'clean') {
      if (!dryRun) await clearUnsound(store, () => false, this.#call);
      return this.#end({ ...common, ...NOTHING, outcome: 'clean', affected: [] });
    }
    if (dryRun)
      return this.#end({
        ...common,
        ...NOTHING,
        outcome: before.report.affected.length + before.report.logs.damaged.length === 0 ? 'mended' : 'lost',
        affected: before.report.affected,
      });
    const numbers = await this.#mend(before);
    // The packs that are left were read just now.
    const after = await this.#look(false);
    const lost = new Set(after.report.affected.map(({ session }) => session));
    await markUnsound(store, lost, this.#call);
    await clearUnsound(store, (session) => lost.has(session), this.#call);
    const { affected } = after.report;
    return this.#end({
      ...common,
      ...numbers,
      logsMended,
      outcome: affected.length === 0 && after.report.outcome === 'clean' ? 'mended' : 'lost',
      affected,
    });
  }

  #end(report: RepairReport): RepairReport {
    this.#progress.phase = 'done';
    return report;
  }

  async #look(readPacks: boolean): Promise<Verified> {
    const { threads, signal } = this.#options;
    this.#progress.phase = readPacks ? 'reading packs' : 'looking';
    const verified = verifyWithDamage(this.#repository, {
      depth: readPacks ? { kind: 'full' } : { kind: 'structure' },
      threads,
      progress: this.#progress.verify,
      ...(signal === undefined ? {} : { signal }),
    });
    return verified;
  }

  async #mend(before: Verified): Promise<Mend['numbers']> {
    this.#progress.phase = 'mending';
    const { heads, store } = this.#repository;
    await this.#fetchKeys(before);
    const session = await MaintenanceSession.begin(heads, this.#repository.process, this.#call);
    try {
      const { keyring } = this.#repository;
      const sealing = new SessionSealing({ store, keyring, session: unhex(session.name), random: heads.ports.random });
      for (let attempt = 1; ; attempt++) {
        const mend = await this.#prepare(sealing, before);
        await markUnsound(
          store,
          before.report.affected.map(({ session: affected }) => affected),
          this.#call,
        );
        const { plan } = mend;
        if (plan.drop.length === 0 && plan.add.length === 0) return mend.numbers;
        if ((await session.condemn(plan, this.#call)) !== 'stale') {
          await this.#settle(session);
          return mend.numbers;
        }
        // Not the packs: others may have listed and adopted them meanwhile. The next prune finds those that nobody names.
        for (const { id } of plan.add) await store.delete(indexKey(id), this.#call);
        if (attempt === ATTEMPTS_MAX)
          throw new Fault('HEAD_CONTENTION', `Others changed the index ${attempt} times while it was repaired`);
      }
    } finally {
      await session.end().catch(() => {});
    }
  }

  /** Keys of sessions that are lost here and are in the other copy. */
  async #fetchKeys({ damage }: Verified): Promise<void> {
    const { from } = this.#options;
    const { store, keyring } = this.#repository;
    for (const { kind, id } of damage.things) {
      if (kind !== 'session-key' || from === undefined) continue;
      for (const pairId of keyring.pairIds) {
        const key = sessionKeyKey(pairId, unhex(id));
        try {
          const object = await from.get(key, undefined, this.#call);
          keyring.openSessionKey(pairId, unhex(id), object);
          await store.put(key, object, this.#call);
        } catch (error) {
          if (!isFault(error, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED')) throw error;
        }
      }
    }
  }

  async #prepare(sealing: SessionSealing, { damage }: Verified): Promise<Mend> {
    const { store, keyring, keys, heads, parameters, cacheDirectory } = this.#repository;
    const { head, packs: condemned } = await readCondemned(heads, this.#call);
    const { random } = heads.ports;
    const badIndexes = new Set(damage.things.flatMap(({ kind, id }) => (kind === 'index' ? [id] : [])));
    const good = head.indexes.filter(({ id }) => !badIndexes.has(id));
    const mover = new PackMover({
      store,
      keyring,
      keys,
      repositoryId: parameters.id,
      sealing,
      random,
      unitBytes: parameters.paged.unitBytes,
      fullBytes: fullPackBytes(this.#repository),
      signal: this.#options.signal,
    });
    const salvager = new Salvager(this.#repository, this.#options.from, mover, this.#call);
    try {
      const numbers = { ...NOTHING };
      const writer = new IndexWriter(store, keyring, random, this.#call);
      const mended = await this.#mendPacks(
        good,
        head.writers.map((one) => one.session),
        damagedPacksOf(damage.things),
        salvager,
        writer,
        numbers,
      );
      const isIndexLost = good.length < head.indexes.length;
      const wanted = isIndexLost ? undefined : damage.blocks;
      const running = new Set(head.writers.map((one) => one.session));
      const details = { indexes: good, excluded: condemned, running, random, cacheDirectory, mover, wanted };
      const found = isIndexLost || damage.blocks.size > 0 ? await findPacks(this.#repository, details, this.#call) : undefined;
      await mover.finish();
      for (const pack of mover.packs) await writer.add(pack);
      const add = [...(await writer.finish()), ...(found?.indexes ?? [])];
      numbers.indexesRebuilt = found?.indexes.length ?? 0;
      const drop = [...badIndexes].filter((id) => head.indexes.some((index) => index.id === id));
      const plan = {
        generation: head.generation,
        roots: rootsOf(head),
        drop: [...drop, ...mended.drop],
        add,
        packs: mended.packs,
        adopts: found?.packs ?? [],
      };
      return { plan, newPacks: mover.packs, numbers };
    } finally {
      salvager.close();
      mover.close();
    }
  }

  /** Goes through the index objects that name a damaged pack; what else they name goes to the writer. */
  async #mendPacks(
    indexes: readonly IndexRef[],
    running: readonly string[],
    damaged: ReadonlySet<string>,
    salvager: Salvager,
    writer: IndexWriter,
    numbers: { packsFetched: number; packsSalvaged: number; blocksSalvaged: number; blocksLost: number },
  ): Promise<{ readonly drop: readonly string[]; readonly packs: readonly { readonly id: string; readonly session: string }[] }> {
    const bad = new Map<string, string>();
    const dropped = new Set<string>();
    const seen = new Set<string>();
    for await (const { packs } of readIndexes(this.#repository, damaged.size === 0 ? [] : indexes, this.#call)) {
      for (const pack of packs) {
        const id = hex(pack.packId);
        // Packs of a backup that runs are its own affair: it will fail, or a later repair looks at them.
        if (!damaged.has(id) || seen.has(id) || running.includes(hex(pack.session))) continue;
        seen.add(id);
        const salvaged = await salvager.salvage(pack);
        if (salvaged.isFetched) numbers.packsFetched++;
        if (salvaged.kind === 'good') continue;
        bad.set(id, hex(pack.session));
        if (salvaged.blocksSaved > 0) numbers.packsSalvaged++;
        numbers.blocksSalvaged += salvaged.blocksSaved;
        numbers.blocksLost += salvaged.blocksLost;
      }
    }
    if (bad.size === 0) return { drop: [], packs: [] };
    // Two index objects may name one pack: all of them go.
    for await (const { index, packs } of readIndexes(this.#repository, indexes, this.#call)) {
      if (!packs.some(({ packId }) => bad.has(hex(packId)))) continue;
      dropped.add(index.id);
      for (const pack of packs) if (!bad.has(hex(pack.packId))) await writer.add(pack);
    }
    return { drop: [...dropped], packs: [...bad].map(([id, session]) => ({ id, session })) };
  }

  get #policy(): WriterPolicy {
    const isDead = this.#options.isDead ?? isDeadFrom(this.#repository.process);
    return silencePolicy({ now: new Date(this.#repository.heads.now()), silenceMsMax: REVOKE_AFTER_MS, isDead });
  }

  async #settle(session: MaintenanceSession): Promise<void> {
    const { heads } = this.#repository;
    for (const { generation } of (await heads.read(this.#call)).condemned) {
      const details = {
        policy: this.#policy,
        by: this.#options.by,
        examine: (examination: Examination) => keepNeeded(this.#repository, examination, this.#call),
      };
      const settled = await session.settle(generation, details, this.#call);
      if (settled.outcome !== 'settled') continue;
      const entry = (await heads.read(this.#call)).condemned.find((other) => other.generation === generation);
      if (entry !== undefined) await sweep(heads, entry, {}, this.#call);
    }
  }
}

function damagedPacksOf(things: readonly DamagedThing[]): Set<string> {
  return new Set(things.flatMap(({ kind, id, pack }) => (kind === 'pack' ? [id] : pack === undefined ? [] : [pack])));
}
