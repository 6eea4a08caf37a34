// One database at one site: its start gate, and what follows from what the gate says. While it is the primary its log is captured at its epoch;
// while it is not, this site's repository is kept a copy of the other's. What a failover revoked is not stored any more, whatever the gate
// says: the gate decides who writes, the seal what counts.
//
// Nothing begins here by itself: a database that is not in the writer register ("holdfast site adopt") is looked at and left alone.

import { existsSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { formatBytes, MIB } from '../../src/base/units.ts';
import type { PromiseRequest } from '../../src/dr/promotion-candidate.ts';
import type { DatabaseStatus, ReplicaState, StandbyState } from '../../src/dr/site-control.ts';
import type { WriterRecord } from '../../src/dr/writer-record.ts';
import type { WriterRegister } from '../../src/dr/writer-register.ts';
import type { KeptLocks } from '../../src/replica/kept-locks.ts';
import { type GateOptions, StartGate } from '../gate/start-gate.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import type { FileOwner } from '../postgres/log-server.ts';
import type { DatabaseCapture } from './database-capture.ts';
import { asking, lookAtServer, type ServerLook } from './database-queries.ts';
import type { DatabaseReplica } from './database-replica.ts';
import type { DatabaseStandby } from './database-standby.ts';
import { mustAgree } from './registered-terms.ts';
import type { KeptSeal, SealFile } from './seal-file.ts';
import type { DatabaseConfig } from './site-config.ts';
import type { SiteSight } from './site-events.ts';
import type { SiteRepository, StoredBase, StoredLog } from './site-repository.ts';

const TEND_MS = 100;
const LOOK_MS = 500;
const STORED_LOOK_MS = 5_000;
const STANDBY_LOOK_MS = 2_000;
const RETRY_MS = 1_000;
const LOCKS_LOOK_MS = 5_000;
const ROOM_LOOK_MS = 2_000;
/** A segment of log, and what is written beside it. */
const ROOM_BYTES = 32 * MIB;

/** It may be well; who promotes it has to know. */
const FOREIGN_STANDBY: StandbyState = {
  isHealthy: false,
  replayed: null,
  behindBytes: null,
  gapAt: null,
  problem: 'it was not made by "holdfast standby make", so nobody knows whether a hole is ahead',
};

export type SiteDatabaseOptions = {
  readonly site: string;
  readonly config: DatabaseConfig;
  readonly address: ServerAddress;
  readonly register: WriterRegister;
  readonly tokenFile: string;
  readonly repository: SiteRepository;
  readonly capture: DatabaseCapture;
  /** Undefined: nothing is copied here by this daemon. */
  readonly replica: DatabaseReplica | undefined;
  readonly standby: DatabaseStandby;
  /** Undefined: nothing is locked by this daemon. */
  readonly locks: KeptLocks | undefined;
  readonly seals: SealFile;
  readonly ask: GateOptions['ask'];
  readonly now: () => Date;
};

export class SiteDatabase {
  readonly options: SiteDatabaseOptions;
  #gate: StartGate | undefined;
  /** While there is no gate. */
  #known: WriterRecord | undefined;
  /** Ends the gate that is there. */
  #ending = new AbortController();
  #isGuarding = false;
  /** No gate may be opened now. */
  #isHeld = false;
  #turn: Promise<unknown> = Promise.resolve();
  /** The newest epoch whose holder was promised something. */
  #promised = 0;
  #noRoom: string | null = null;
  readonly #problems = new Map<string, string>();
  #server: ServerLook | undefined;
  #log: StoredLog | undefined;
  #base: StoredBase | undefined;
  #replicaState: Omit<ReplicaState, 'lagMs' | 'problem'> | undefined;

  constructor(options: SiteDatabaseOptions) {
    this.options = options;
  }

  /** GATE_NOT_HOLDER while there is none: the database is not adopted, has no data directory, or the registry was not reached yet. */
  get gate(): StartGate {
    if (this.#gate === undefined)
      throw new Fault(
        'GATE_NOT_HOLDER',
        `${this.options.config.asset} has no gate here: ${this.#problems.get('gate') ?? 'it starts'}`,
      );
    return this.#gate;
  }

  get server(): ServerLook | undefined {
    return this.#server;
  }

  /** What the register said last. */
  get record(): WriterRecord | undefined {
    return this.#gate?.record ?? this.#known;
  }

  get isPrimary(): boolean {
    return this.#gate?.facts.role === 'primary';
  }

  promise(request: PromiseRequest): boolean {
    const isPromised = this.#gate?.promise(request) ?? false;
    if (isPromised) this.#promised = request.epoch;
    return isPromised;
  }

  /** For its log. */
  get sight(): SiteSight {
    const { capture, replica, standby, seals } = this.options;
    const { role = 'closed', epoch = 0, serverPid, problem } = this.#gate?.facts ?? {};
    const { revoked, sealed } = seals.kept;
    const { state, timeline } = this.#server ?? {};
    const stopped = problem === undefined ? 'stopped' : `stopped: ${problem}`;
    const runs = state === undefined ? undefined : `${state} on timeline ${timeline}, process ${serverPid}`;
    const troubles: readonly (readonly [string, string | null | undefined])[] = [
      ['gate', problem ?? this.#problems.get('gate')],
      ['capture', capture.state?.problem],
      ['copy', replica?.isRunning === true ? replica.lagMs.problem : null],
      ['standby', this.isPrimary ? null : standby.state?.problem],
      ...[...this.#problems].filter(([what]) => what !== 'gate' && what !== 'standby'),
    ];
    return {
      facts: {
        role: role === 'primary' ? `primary of epoch ${epoch}` : role,
        // What does not answer for a moment is not stopped.
        server: serverPid === undefined ? stopped : runs,
        capture: capture.epoch === undefined ? 'none' : `epoch ${capture.epoch}`,
        copy: replica?.isRunning === true ? 'running' : 'none',
        seal: sealText(revoked, sealed),
        promise: this.#promised === 0 ? 'none' : `to the holder of epoch ${this.#promised}`,
      },
      troubles: new Map(troubles.flatMap(([who, what]) => (what === null || what === undefined ? [] : [[who, what] as const]))),
    };
  }

  /** Until the signal; then the server is stopped in order, its last log stored. */
  async run(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const looks = [
      this.#repeat('protection', TEND_MS, over.signal, () => this.#tend(over.signal)),
      this.#repeat('server', LOOK_MS, over.signal, () => this.#look(over.signal)),
      this.#repeat('repository', STORED_LOOK_MS, over.signal, () => this.#lookAtStored(over.signal)),
      this.#repeat('locks', LOCKS_LOOK_MS, over.signal, () => this.#keepLocked(over.signal)),
      this.#repeat('room', ROOM_LOOK_MS, over.signal, () => this.#lookForRoom()),
      this.#repeat('standby', STANDBY_LOOK_MS, over.signal, () => this.options.standby.look(over.signal)),
    ];
    await this.#repeat('gate', RETRY_MS, signal, () => this.#guard(signal));
    // The capture took the last log of the server that was just stopped.
    over.abort();
    await Promise.all(looks);
    const { capture, replica, standby, repository } = this.options;
    await Promise.all([capture.stop(), replica?.stop(), standby.close()]);
    await repository.close();
  }

  status(): DatabaseStatus {
    const { site, config, capture, replica, standby, seals, now } = this.options;
    const { facts, record, writableForMs } = this.#gate ?? {};
    const { state = 'down', systemId = null, timeline = null, lsn = null, fingerprint = null } = this.#server ?? {};
    const problem = facts?.problem ?? this.#problems.get('gate') ?? null;
    return {
      asset: config.asset,
      site,
      incarnation: config.incarnation,
      member: site,
      at: now().toISOString(),
      gate: {
        role: facts?.role ?? 'closed',
        epoch: facts?.epoch ?? 0,
        writableForMs: writableForMs === undefined || writableForMs === Infinity ? null : Math.round(writableForMs),
        terms: record?.terms ?? null,
        problem,
      },
      server: { state, systemId, timeline, lsn },
      capture: capture.state,
      log: this.#log?.end ?? null,
      replica: this.#replicaState === undefined ? null : { lagMs: null, problem: null, ...this.#replicaState, ...replica?.lagMs },
      standby: this.isPrimary || state !== 'standby' ? null : this.#candidacy(standby.state ?? FOREIGN_STANDBY),
      sealed: seals.kept.sealed,
      base: this.#base === undefined ? null : { snapshot: this.#base.snapshot, at: this.#base.at },
      fingerprint,
      noRoom: this.#noRoom,
      problems: [...this.#problems].map(([what, why]) => `${what}: ${why}`),
    };
  }

  /** However well it is, it cannot take over before the register names it. */
  #candidacy(state: StandbyState): StandbyState {
    const { record } = this;
    const isCandidate = [record?.holder, ...(record?.candidates ?? [])].some((one) => one?.name === this.options.site);
    if (record === undefined || isCandidate || !state.isHealthy) return state;
    return {
      ...state,
      isHealthy: false,
      problem: 'the register does not name this site as a candidate: the primary has to admit it',
    };
  }

  /** From its answer on nothing of a revoked epoch is stored here. */
  async settle(): Promise<void> {
    const { capture, replica } = this.options;
    if (capture.epoch !== undefined && !this.#mayCapture(capture.epoch)) await capture.stop();
    if (replica?.isRunning === true && !this.#mayCopy()) await replica.stop();
  }

  /** Of what must not be done by two at once, one after the other. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** While the work is done no gate has the directory, and no server runs there. */
  async withoutGate<T>(work: () => Promise<T>): Promise<T> {
    this.#isHeld = true;
    try {
      this.#ending.abort();
      while (this.#isGuarding) await sleep(TEND_MS);
      return await work();
    } finally {
      this.#isHeld = false;
    }
  }

  async #guard(signal: AbortSignal): Promise<void> {
    // Also while no gate may be opened: whoever has just lost the right has to hear from whom it may copy. And a server that runs there is
    // stopped by the gate, so not before the register has said that it is ours to stop.
    const { record } = await this.options.register.read({ signal });
    this.#known = record;
    if (this.#isHeld) return;
    this.#isGuarding = true;
    this.#ending = new AbortController();
    try {
      await this.#guarded(record, AbortSignal.any([signal, this.#ending.signal]));
    } finally {
      this.#isGuarding = false;
    }
  }

  /** With a gate, as long as it lives. */
  async #guarded(record: WriterRecord, signal: AbortSignal): Promise<void> {
    const { site, config, register, tokenFile, ask } = this.options;
    const { dataDirectory, programs } = config;
    mustAgree(config, record);
    // It comes last when a standby is made.
    if (!existsSync(join(dataDirectory, 'global/pg_control')))
      throw new Fault('PG_NOT_READY', `There is no cluster in ${dataDirectory} yet: make it with "holdfast standby make"`);
    makeDirectory(dirname(tokenFile), { mode: 0o755 });
    const gate = await StartGate.open({
      member: site,
      register,
      programs,
      dataDirectory,
      tokenFile,
      args: config.arguments ?? [],
      owner: ownerOf(dataDirectory),
      ask,
    });
    this.#gate = gate;
    this.#problems.delete('gate');
    try {
      await gate.run(signal);
    } finally {
      this.#known = gate.record ?? this.#known;
      this.#gate = undefined;
    }
  }

  /** Makes capture, copy and standby what gate and seal say. */
  async #tend(signal: AbortSignal): Promise<void> {
    const { capture, replica, standby } = this.options;
    await this.settle();
    const { role = 'closed', epoch = 0 } = this.#gate?.facts ?? {};
    const isWriting = role === 'primary' && this.#server?.state === 'read-write';
    if (isWriting && this.#mayCapture(epoch)) capture.start(epoch);
    if (role !== 'primary' && capture.epoch !== undefined) await capture.stop();
    if (this.#mayCopy()) replica?.start();
    await standby.tend(isWriting, signal);
  }

  #mayCapture(epoch: number): boolean {
    return !this.options.seals.isRevoked(epoch);
  }

  /** Of the primary's site nothing is copied to itself; nor is there anything to copy before the register says who that is. */
  #mayCopy(): boolean {
    const { record } = this;
    return record !== undefined && record.holder.name !== this.options.site && !this.options.seals.isRevoked(record.epoch);
  }

  async #look(signal: AbortSignal): Promise<void> {
    if (this.#gate?.facts.serverPid === undefined) {
      this.#server = undefined;
      return;
    }
    this.#server = await asking(this.options.address, signal, lookAtServer, LOOK_MS * 4).catch(() => undefined);
  }

  async #lookAtStored(signal: AbortSignal): Promise<void> {
    const { repository, now } = this.options;
    const { log, base } = await repository.look(signal);
    [this.#log, this.#base] = [log, base];
    this.#replicaState = await repository.replica(now(), signal);
  }

  /** What stands here, this site's own or a replica; not before the first copy is whole. */
  async #keepLocked(signal: AbortSignal): Promise<void> {
    const { locks, repository, config } = this.options;
    if (locks === undefined || this.#replicaState?.state === 'seeding') return;
    const { store, keyring } = await repository.open();
    await locks.tend(store, keyring, signal);
    const { length } = locks.missing;
    if (length > 0)
      throw new Fault(
        'REPOSITORY_DAMAGED',
        `${length} objects that are needed were deleted from ${config.repository.location}; run "holdfast undelete"`,
      );
  }

  /** A failover that has stopped the old primary must not find out then that it cannot write down what it has sealed. */
  async #lookForRoom(): Promise<void> {
    const { seals, config } = this.options;
    const found = await Promise.all([seals.directory, config.dataDirectory].map(shortOfRoom));
    const short = found.flatMap((one) => one ?? []);
    this.#noRoom = short.length === 0 ? null : `there is hardly any room left: ${short.join(', ')}`;
    if (this.#noRoom !== null) throw new Fault('TARGET_FULL', this.#noRoom);
  }

  async #repeat(what: string, everyMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      try {
        await work();
        this.#problems.delete(what);
      } catch (error) {
        if (!signal.aborted) this.#problems.set(what, (error as Error).message);
      }
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }
}

/** What is not there yet has no disk. */
async function shortOfRoom(path: string): Promise<string | undefined> {
  const { bavail, bsize } = await statfs(path).catch(() => ({ bavail: ROOM_BYTES, bsize: 1 }));
  return bavail * bsize < ROOM_BYTES ? `${formatBytes(bavail * bsize)} in "${path}"` : undefined;
}

function sealText(revoked: KeptSeal['revoked'], sealed: KeptSeal['sealed']): string {
  if (revoked === null) return 'none';
  const isSealed = sealed !== null && sealed.epoch === revoked.epoch;
  const where = isSealed ? `sealed at ${sealed.end.lsn} of timeline ${sealed.end.timeline}` : 'revoked';
  return `epoch ${revoked.epoch} ${where} by the failover ${revoked.failover}`;
}

/** Whose the data directory is runs its server; undefined: this process's own account. */
function ownerOf(dataDirectory: string): FileOwner | undefined {
  const { uid, gid } = statSync(dataDirectory);
  return uid === process.getuid?.() ? undefined : { uid, gid };
}
