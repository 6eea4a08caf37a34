// The start gate: the only way in which the server of a data directory starts. A round every quarter of the lease: renew it and ask for
// promises, or, as a candidate, look whether something is granted. What the rules of src/dr say is done to the server: started with a token
// and a deadline in its watchdog, given a later deadline, or stopped.
//
// At most one gate for a data directory (a lock of the kernel), and at its start nobody works there: it stops whom it finds. So a new life of
// the gate may take the epoch over from the one before.

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import {
  candidatesOffered,
  demotionBegun,
  type LeaseHolder,
  newHolder,
  promiseAnswered,
  recordSeen,
  renewalAnswered,
  writableUntilMs,
} from '../../src/dr/lease-holder.ts';
import {
  claimableAtMs,
  newCandidate,
  type PromiseRequest,
  type PromotionCandidate,
  promise,
  recordRead,
} from '../../src/dr/promotion-candidate.ts';
import type { EpochOfFailover } from '../../src/dr/site-control.ts';
import {
  claimed,
  type Demotion,
  demoted,
  isRefusal,
  type Member,
  reclaimed,
  renewed,
  type WriterRecord,
} from '../../src/dr/writer-record.ts';
import type { KnownWriter, WriterRegister } from '../../src/dr/writer-register.ts';
import type { FileOwner } from '../postgres/log-server.ts';
import { bootMs } from './boot-clock.ts';
import { readControlData } from './control-data.ts';
import { lockGate } from './gate-lock.ts';
import { GuardedServer } from './guarded-server.ts';
import { promoteServer } from './promote-server.ts';
import { mustSeeProcessesOf, stopServer } from './server-processes.ts';
import { closeGate, removeToken, writeToken } from './token-file.ts';

/** Of a lease: how often it is renewed, and how long one try may take. */
const ROUND = 1 / 4;
const GRACE = 1 / 4;
const ADMIT_POLL_MS = 50;
/** It goes on with its recovery then, and needs no second word. */
const PROMOTE_AGAIN_MS = 5_000;

export type GateOptions = {
  /** As the register names this instance. */
  readonly member: string;
  readonly register: WriterRegister;
  readonly programs: string;
  readonly dataDirectory: string;
  /** In a directory that a restart of the host empties. */
  readonly tokenFile: string;
  readonly args: readonly string[];
  readonly owner: FileOwner | undefined;
  /** Asks a candidate for its promise. False: it refused. */
  readonly ask: (candidate: string, request: PromiseRequest, signal: AbortSignal) => Promise<boolean>;
};

export type GateFacts = {
  readonly role: 'closed' | 'standby' | 'primary';
  /** 0: not the holder. */
  readonly epoch: number;
  /** Why the last round did not do what it should have, or why there was no server. */
  readonly problem: string | undefined;
  readonly serverPid: number | undefined;
  readonly watchdogPid: number | undefined;
};

export class StartGate {
  readonly #options: GateOptions;
  readonly #life = randomUUID();
  readonly #unlock: () => void;
  #candidate: PromotionCandidate;
  #holder: LeaseHolder | undefined;
  #known: KnownWriter | undefined;
  #server: GuardedServer | undefined;
  #armedUntilMs = -Infinity;
  #promoteAgainMs = -Infinity;
  /** To be candidates. */
  #admitted: readonly Member[] = [];
  /** Its server is being stopped in order: not to be started again. */
  #isDemoting = false;
  #problem: string | undefined;
  /** Why its server was found stopped when it should have run, until one is seen to stay. */
  #stopped: string | undefined;
  /** One thing at a time is done to the server. */
  #turn: Promise<void> = Promise.resolve();

  /** GATE_BUSY when another gate has the directory, GATE_BLIND. Stops the server that runs there. */
  static async open(options: GateOptions): Promise<StartGate> {
    if (options.owner !== undefined) mustSeeProcessesOf(options.owner.uid);
    const unlock = lockGate(`${options.tokenFile}.lock`);
    removeToken(options.tokenFile);
    await stopServer(options.dataDirectory, 0);
    closeGate(options.dataDirectory, options.tokenFile);
    return new StartGate(options, unlock);
  }

  private constructor(options: GateOptions, unlock: () => void) {
    this.#options = options;
    this.#unlock = unlock;
    this.#candidate = newCandidate(options.member, bootMs());
  }

  get facts(): GateFacts {
    const role = this.#server === undefined ? 'closed' : this.#holder === undefined || this.#isStandby() ? 'standby' : 'primary';
    const { pid, watchdogPid } = this.#server ?? {};
    return { role, epoch: this.#holder?.epoch ?? 0, problem: this.#problem ?? this.#stopped, serverPid: pid, watchdogPid };
  }

  /** As it was read or swapped last. */
  get record(): WriterRecord | undefined {
    return this.#known?.record;
  }

  /** If nobody answers any more; undefined: it is not the holder. May be Infinity. */
  get writableForMs(): number | undefined {
    return this.#holder === undefined ? undefined : Math.max(0, writableUntilMs(this.#holder) - bootMs());
  }

  /** Answers a holder who asks. */
  promise(request: PromiseRequest): boolean {
    const promised = promise(this.#candidate, request, bootMs());
    if (promised !== undefined) this.#candidate = promised;
    return promised !== undefined;
  }

  /** Until the signal; then the server is stopped in order. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const roundMs = (this.#known?.record.terms.ttlMs ?? 1_000) * ROUND;
      const endsAt = performance.now() + roundMs;
      try {
        await this.round(AbortSignal.any([signal, AbortSignal.timeout(roundMs * 2)]));
        this.#problem = undefined;
      } catch (error) {
        this.#problem = (error as Error).message;
      }
      await sleep(Math.max(1, endsAt - performance.now()), undefined, { signal }).catch(() => {});
    }
    await this.close();
  }

  async close(): Promise<void> {
    await this.#server?.stop('fast');
    this.#unlock();
  }

  /** One round. Throws what kept it from renewing or looking. */
  async round(signal: AbortSignal): Promise<void> {
    if (this.#server !== undefined && this.#server.stoppedBy === undefined) this.#stopped = undefined;
    const work = this.#holder === undefined ? [this.#look(signal, true)] : [this.#renew(signal), this.#askAll(signal)];
    const results = await Promise.allSettled(work.map((one) => this.#obeying(one)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** At once: either keeps the server writable, and a quorum that is silent must not use up the time that a promise has brought, nor the other
   *  way round. */
  async #obeying(work: Promise<void>): Promise<void> {
    try {
      await work;
    } finally {
      const turn = this.#turn.then(() => this.#obey());
      this.#turn = turn.catch(() => {});
      await turn;
    }
  }

  /** For a planned switch: stops the server in order, while its lease is renewed, and then tells the register where its log ends. */
  async demote({ epoch, failover }: EpochOfFailover, signal: AbortSignal): Promise<Demotion> {
    const holder = this.#holder;
    const { member, programs, dataDirectory, owner, register } = this.#options;
    if (holder?.epoch !== epoch || this.#isDemoting)
      throw new Fault('GATE_NOT_HOLDER', `${member} does not hold the right to write, or gives it up already`);
    this.#isDemoting = true;
    try {
      await this.#server?.stop('fast');
      const { systemId, state, timeline, checkpoint } = readControlData(programs, dataDirectory, owner);
      if (state !== 'shut down')
        throw new Fault('GATE_SERVER_FAILED', `The server in ${dataDirectory} was not shut down in order: it is "${state}"`);
      const demotion = { systemId, timeline, lsn: checkpoint };
      // From before the register is told: nothing that this gate renews or is promised counts any more.
      this.#holder = demotionBegun(holder);
      const answer = await register.change((record) => demoted(record, holder, demotion, failover), { signal });
      if ('refused' in answer)
        throw new Fault('GATE_NOT_HOLDER', `The register refused the demotion of ${member}: ${answer.refused}`);
      return demotion;
    } finally {
      this.#isDemoting = false;
    }
  }

  /** From its next renewal on that instance may be granted the right. Done when the register says so. GATE_NOT_HOLDER. */
  async admit(candidate: Member, signal: AbortSignal): Promise<void> {
    this.#admitted = [...this.#admitted.filter(({ name }) => name !== candidate.name), candidate];
    for (;;) {
      const { isOver = true } = this.#holder ?? {};
      if (isOver || this.#isDemoting)
        throw new Fault('GATE_NOT_HOLDER', `${this.#options.member} does not hold the right to write: it can admit nobody`);
      if (this.#known?.record.candidates.some(({ name }) => name === candidate.name) === true) return;
      await sleep(ADMIT_POLL_MS, undefined, { signal });
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; attempt < 2; attempt++) {
      const known = this.#known!;
      const { epoch, life } = this.#holder!;
      const next = renewed(known.record, epoch, life, this.#withAdmitted(known.record));
      if (!isRefusal(next)) {
        // From before the swap: its answer may be lost.
        this.#holder = candidatesOffered(
          this.#holder!,
          next.candidates.map(({ name }) => name),
        );
        const sentAtMs = bootMs();
        const swapped = await this.#options.register.swap(known, next, { signal });
        if (swapped !== 'conflict') {
          this.#known = swapped;
          this.#holder = renewalAnswered(this.#holder!, sentAtMs, next);
          return;
        }
      }
      await this.#look(signal, false);
      if (this.#holder === undefined || this.#holder.isOver || this.#known?.record.state !== 'open') return;
    }
  }

  #withAdmitted({ candidates }: WriterRecord): readonly Member[] {
    const isNew = ({ name }: Member): boolean => name !== this.#options.member && candidates.every((one) => one.name !== name);
    const added = this.#admitted.filter(isNew);
    return added.length === 0 ? candidates : [...candidates, ...added];
  }

  async #askAll(signal: AbortSignal): Promise<void> {
    const { epoch, terms, candidates } = this.#holder!;
    const asked = candidates.map(async (name) => {
      const sentAtMs = bootMs();
      const isPromised = await this.#options.ask(name, { epoch, terms }, signal).catch(() => false);
      if (isPromised && this.#holder?.epoch === epoch) this.#holder = promiseAnswered(this.#holder, name, sentAtMs);
    });
    await Promise.all(asked);
  }

  async #look(signal: AbortSignal, mayClaim: boolean): Promise<void> {
    const known = await this.#options.register.read({ signal });
    this.#known = known;
    this.#candidate = recordRead(this.#candidate, known.record);
    if (this.#holder !== undefined) this.#holder = recordSeen(this.#holder, known.record);
    else if (mayClaim) await this.#claim(known, signal);
  }

  /** Nobody works in the directory, or only a standby of this gate: so this life may also take over from one before it. */
  async #claim(known: KnownWriter, signal: AbortSignal): Promise<void> {
    const { record } = known;
    const { member, register } = this.#options;
    const atMs = claimableAtMs(this.#candidate, record);
    if (atMs !== undefined && bootMs() < atMs) return;
    const next = atMs === undefined ? reclaimed(record, member, this.#life, 'armed') : claimed(record, member, this.#life, 'armed');
    if (isRefusal(next) || (atMs === undefined && record.life === null)) return;
    const sentAtMs = bootMs();
    const swapped = await register.swap(known, next, { signal });
    if (swapped === 'conflict') return;
    this.#known = swapped;
    this.#holder = newHolder(next, this.#life, sentAtMs);
  }

  /** Makes the server what the rules say. */
  async #obey(): Promise<void> {
    const stoppedBy = this.#server?.stoppedBy;
    if (stoppedBy !== undefined) {
      if (!this.#isDemoting)
        this.#stopped = `The server in ${this.#options.dataDirectory} has stopped: ${stoppedBy}; see its server.log`;
      this.#server = undefined;
    }
    const untilMs = this.#holder === undefined ? -Infinity : writableUntilMs(this.#holder);
    if (this.#holder?.isOver === true) {
      await this.#server?.stop('immediate');
      this.#server = undefined;
      this.#holder = undefined;
      this.#stopped = undefined;
      return;
    }
    if (this.#holder === undefined) {
      if (this.#server === undefined && this.#isStandby()) this.#start(0, null);
      return;
    }
    if (untilMs <= bootMs()) return;
    const deadline = untilMs === Infinity ? null : untilMs;
    if (this.#server === undefined && this.#isDemoting) return;
    if (this.#server === undefined) this.#start(this.#holder.epoch, deadline);
    else if (untilMs > this.#armedUntilMs || this.#isStandby()) await this.#arm(deadline);
    this.#armedUntilMs = untilMs;
    if (this.#isStandby()) await this.#promote(this.#holder.epoch);
  }

  async #arm(deadline: number | null): Promise<void> {
    // A watchdog that does not answer is none. The old deadline stands until then, in the gate too.
    const patienceMs = this.#known!.record.terms.ttlMs * ROUND;
    if (await this.#server!.arm(deadline, patienceMs)) return;
    await this.#server!.kill();
    this.#server = undefined;
  }

  #start(epoch: number, deadline: number | null): void {
    const { programs, dataDirectory, tokenFile, args, owner } = this.#options;
    const graceMs = Math.round(this.#known!.record.terms.marginMs * GRACE);
    this.#promoteAgainMs = -Infinity;
    this.#server = GuardedServer.start({ programs, dataDirectory, tokenFile, args, owner, graceMs }, this.#token(epoch), deadline);
  }

  async #promote(epoch: number): Promise<void> {
    const { programs, dataDirectory, tokenFile, owner } = this.#options;
    if (this.#server === undefined || bootMs() < this.#promoteAgainMs) return;
    writeToken(tokenFile, this.#token(epoch));
    if (await promoteServer(programs, dataDirectory, owner)) this.#promoteAgainMs = bootMs() + PROMOTE_AGAIN_MS;
  }

  #token(epoch: number): Parameters<typeof writeToken>[1] {
    const { holder, candidates, incarnation } = this.#known!.record;
    const site = [holder, ...candidates].find(({ name }) => name === this.#options.member)?.site ?? '';
    return { incarnation, epoch, site };
  }

  #isStandby(): boolean {
    return existsSync(join(this.#options.dataDirectory, 'standby.signal'));
  }
}
