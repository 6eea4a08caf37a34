// What an orchestrator asks of this site about one database (src/dr/site-control.ts), done. Each may be asked again at any time, whatever died
// before: it looks at what is, and does what is missing.

import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import type { SigningPair } from '../../src/codec/signature.ts';
import type {
  CaughtUp,
  Demoted,
  EpochOfFailover,
  PagesVerified,
  Promoted,
  Protected,
  RecoveredHeartbeat,
  Sealed,
  WriteTested,
} from '../../src/dr/site-control.ts';
import type { Demotion, LogEnd, WriterRecord } from '../../src/dr/writer-record.ts';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import { storeLogFiles } from '../postgres/store-log-files.ts';
import { asking, beat, findHeartbeat, type ServerLook, verifySample } from './database-queries.ts';
import type { SiteDatabase } from './site-database.ts';
import type { StoredLog } from './site-repository.ts';

const POLL_MS = 100;
/** How long the capture is given to store what the server sent it last; then the files are read. */
const CAPTURE_MS = 3_000;
const PAGES_TIMEOUT_MS = 10 * 60_000;
const PAGE_BYTES = 8192;
/** The header of a page, at the most. */
const PAGE_HEADER_BYTES = 40;

export class SiteCommands {
  readonly #database: SiteDatabase;
  readonly #pair: SigningPair;
  readonly #now: () => Date;

  constructor(database: SiteDatabase, pair: SigningPair, now: () => Date) {
    this.#database = database;
    this.#pair = pair;
    this.#now = now;
  }

  async demote(of: EpochOfFailover, signal: AbortSignal): Promise<Demoted> {
    // An orchestrator at another site may ask at the same time: who is late finds it done.
    return this.#database.alone(async () => {
      const demotion = await this.#demotion(of, signal);
      return { demotion, storedTo: await this.#storeRest(demotion, signal) };
    });
  }

  async #demotion(of: EpochOfFailover, signal: AbortSignal): Promise<Demotion> {
    const { record } = await this.#database.options.register.read({ signal });
    // Before anything is stopped.
    this.#mustBeOf(record, of);
    const isMine = record.holder.name === this.#site && record.failover === of.failover;
    return isMine && record.demotion !== null ? record.demotion : this.#database.gate.demote(of, signal);
  }

  async revoke(of: EpochOfFailover, signal: AbortSignal): Promise<void> {
    await this.#mustHaveSay(of, signal);
    this.#database.options.seals.keep({ revoked: of });
    await this.#database.settle();
  }

  async seal({ at, ...of }: EpochOfFailover & { readonly at?: LogEnd }, signal: AbortSignal): Promise<Sealed> {
    const { seals } = this.#database.options;
    const { sealed: kept } = seals.kept;
    if (kept !== null && kept.epoch === of.epoch && kept.failover === of.failover) return kept;
    await this.#mustHaveSay(of, signal);
    if (at !== undefined) await this.#stored(at, signal);
    await this.revoke(of, signal);
    const log = await this.#database.options.repository.log(signal);
    if (log === undefined) throw this.#refused('there is no log in the repository of this site');
    // Of two orchestrators one was faster: what it said stands.
    const { sealed: first } = seals.kept;
    if (first !== null && first.epoch === of.epoch && first.failover === of.failover) return first;
    const sealed = { ...of, end: at ?? log.end, lastTransactionAt: log.lastTransactionAt };
    seals.keep({ sealed, storedTo: log.end.lsn });
    return sealed;
  }

  async unseal({ epoch, failover }: EpochOfFailover): Promise<void> {
    const { seals, standby } = this.#database.options;
    const { revoked } = seals.kept;
    if (revoked?.epoch !== epoch || revoked.failover !== failover) return;
    standby.unseal();
    seals.clear();
  }

  async catchUp(sealed: LogEnd, signal: AbortSignal): Promise<CaughtUp> {
    const { seals, repository, standby } = this.#database.options;
    const { sealed: kept, storedTo } = seals.kept;
    const isKept = kept !== null && kept.end.timeline === sealed.timeline && kept.end.lsn === sealed.lsn;
    const target = mustParseLsn(isKept ? storedTo : sealed.lsn);
    while (standby.isOurs) {
      const caughtUp = await standby.catchUp(sealed, signal);
      if (caughtUp !== undefined) return caughtUp;
      await pause(signal);
    }
    for (;;) {
      const server = await this.#serverNow(signal);
      const replayed = server?.lsn === null || server === undefined ? undefined : mustParseLsn(server.lsn);
      if (server?.state === 'read-write') throw this.#refused('its server is read-write already');
      if (replayed !== undefined && isReached(replayed, target)) {
        const base = await repository.base(signal);
        const isChainVerified = base !== undefined && isReached(mustParseLsn(base.to.lsn), target);
        return { replayed: { timeline: server!.timeline ?? sealed.timeline, lsn: server!.lsn! }, isChainVerified };
      }
      if (replayed !== undefined && server!.timeline === sealed.timeline)
        await this.#mustLead(sealed.timeline, replayed, target, signal);
      await pause(signal);
    }
  }

  loss(signal: AbortSignal): Promise<RecoveredHeartbeat> {
    return this.#asking(signal, (sql) => findHeartbeat(sql, this.#now));
  }

  async promoted({ epoch }: EpochOfFailover, signal: AbortSignal): Promise<Promoted> {
    let readWriteAt: string | undefined;
    for (;;) {
      this.#mustBeToCome(epoch);
      const server = await this.#readWrite(epoch, signal);
      if (server !== undefined) {
        readWriteAt ??= this.#now().toISOString();
        const stored = await this.#timelineStored(server.timeline!, epoch, signal);
        if (stored !== undefined)
          return {
            epoch: this.#database.gate.facts.epoch,
            systemId: server.systemId!,
            timeline: server.timeline!,
            ...stored,
            readWriteAt,
          };
      }
      await pause(signal);
    }
  }

  async writeTest(signal: AbortSignal): Promise<WriteTested> {
    const { config } = this.#database.options;
    return this.#asking(signal, async (sql) => {
      const sequence = await beat(sql, this.#pair, config.asset, this.#now);
      const committedAt = this.#now().toISOString();
      const segment = (await sql.value('SELECT pg_walfile_name(pg_current_wal_lsn())')) ?? '';
      return { committedAt, sequence, timeline: Number.parseInt(segment.slice(0, 8), 16) };
    });
  }

  verifyPages(signal: AbortSignal): Promise<PagesVerified> {
    return this.#asking(signal, verifySample, PAGES_TIMEOUT_MS);
  }

  async protect({ epoch }: EpochOfFailover, signal: AbortSignal): Promise<Protected> {
    const { capture, repository } = this.#database.options;
    for (;;) {
      this.#mustBeToCome(epoch);
      const { epoch: captured = 0, timeline, durable } = capture.state ?? {};
      if (captured >= epoch && timeline !== null && timeline !== undefined && durable !== null && durable !== undefined) {
        const base = capture.isMakingBase ? undefined : await repository.base(signal);
        const isLeading = base?.to.timeline === timeline;
        if (isLeading || capture.isMakingBase)
          return { epoch: captured, storedTo: { timeline, lsn: durable }, base: isLeading ? base!.snapshot : null };
      }
      await pause(signal);
    }
  }

  get #site(): string {
    return this.#database.options.site;
  }

  /** What a register that cannot be reached says is not waited for: a site that is cut off may be told, too. */
  async #mustHaveSay({ epoch, failover }: EpochOfFailover, signal: AbortSignal): Promise<void> {
    const { register, seals } = this.#database.options;
    const known = await register.read({ signal }).catch(() => undefined);
    if (known !== undefined) this.#mustBeOf(known.record, { epoch, failover });
    const { revoked } = seals.kept;
    if (revoked !== null && revoked.epoch > epoch)
      throw this.#refused(`epoch ${epoch} is over: the failover "${revoked.failover}" has revoked epoch ${revoked.epoch}`);
    const isOthers = revoked?.epoch === epoch && revoked.failover !== failover;
    if (isOthers && known?.record.failover !== failover)
      throw this.#refused(`the failover "${revoked.failover}" has revoked epoch ${epoch}; undo it first`);
  }

  /** Of the epoch that is written now, and no other failover's. */
  #mustBeOf(record: WriterRecord, { epoch, failover }: EpochOfFailover): void {
    if (record.epoch > epoch) throw this.#refused(`epoch ${epoch} is over: ${record.holder.site} holds epoch ${record.epoch}`);
    if (record.epoch === epoch && record.failover !== null && record.failover !== failover)
      throw this.#refused(`the failover "${record.failover}" has a say over epoch ${epoch}`);
  }

  /** Whoever has slept over another failover waits for nothing. */
  #mustBeToCome(epoch: number): void {
    const { record } = this.#database;
    if (record !== undefined && record.epoch > epoch && record.holder.name !== this.#site)
      throw this.#refused(`epoch ${epoch} is over: ${record.holder.site} holds epoch ${record.epoch}`);
  }

  /** Waits for the copy of the other site's last log; that of a demotion is stored now at its own site, if it is not yet. */
  async #stored(at: LogEnd, signal: AbortSignal): Promise<void> {
    const { register, repository } = this.#database.options;
    const { demotion, holder } = (await register.read({ signal })).record;
    if (demotion !== null && holder.name === this.#site) await this.#database.alone(() => this.#storeRest(demotion, signal));
    const isDemotion = demotion !== null && demotion.timeline === at.timeline && demotion.lsn === at.lsn;
    const isThere = isDemotion ? isBeyond : isStoredTo;
    while (!isThere(await repository.log(signal), at)) await pause(signal);
  }

  /** The capture was sent everything before the server ended, unless it or the store had trouble. */
  async #storeRest(demotion: Demotion, signal: AbortSignal): Promise<LogEnd> {
    const { repository, config, capture } = this.#database.options;
    const deadline = performance.now() + CAPTURE_MS;
    for (;;) {
      const log = await repository.log(signal);
      if (isBeyond(log, demotion)) return log!.end;
      if (performance.now() > deadline || capture.epoch === undefined) break;
      await pause(signal);
    }
    await capture.stop();
    const { asset, dataDirectory } = config;
    const { timeline, lsn: checkpoint, systemId } = demotion;
    const end = await storeLogFiles({
      repository: await repository.open(),
      asset,
      dataDirectory,
      systemId,
      timeline,
      checkpoint,
      host: `${hostname()} (site ${this.#site})`,
      now: this.#now,
      signal,
      onTrouble: () => {},
    });
    return { timeline, lsn: formatLsn(end) };
  }

  /** SITE_REFUSED when the stored log has a hole before the target: waiting would not fill it. */
  async #mustLead(timeline: number, replayed: number, target: number, signal: AbortSignal): Promise<void> {
    const to = await this.#database.options.repository.followsTo({ timeline, lsn: formatLsn(replayed) }, signal);
    if (!isReached(to, target))
      throw this.#refused(
        `its standby stands at ${formatLsn(replayed)}, and the stored log has a hole at ${formatLsn(to)}, before ${formatLsn(target)}`,
      );
  }

  async #readWrite(epoch: number, signal: AbortSignal): Promise<ServerLook | undefined> {
    const { facts } = this.#database.gate;
    if (facts.role !== 'primary' || facts.epoch < epoch || this.#database.options.standby.isOurs) return undefined;
    const server = await this.#serverNow(signal);
    return server?.state === 'read-write' ? server : undefined;
  }

  /** Undefined until the history of the timeline, and log on it, are stored here at that epoch. */
  async #timelineStored(
    timeline: number,
    epoch: number,
    signal: AbortSignal,
  ): Promise<Pick<Promoted, 'begins' | 'storedTo'> | undefined> {
    const { repository, capture } = this.#database.options;
    const { timeline: captured, durable, epoch: at = 0 } = capture.state ?? {};
    if (at < epoch || captured !== timeline || durable === null || durable === undefined) return undefined;
    const before = (await repository.history(timeline, signal))?.ancestors.at(-1);
    // Granted without a predecessor's end, in place: the timeline is the old one.
    if (before === undefined && timeline > 1) return undefined;
    const begins = before === undefined ? { timeline, lsn: '0/0' } : { timeline: before.timeline, lsn: formatLsn(before.until) };
    return mustParseLsn(durable) > mustParseLsn(begins.lsn) ? { begins, storedTo: { timeline, lsn: durable } } : undefined;
  }

  async #serverNow(signal: AbortSignal): Promise<ServerLook | undefined> {
    await sleep(0, undefined, { signal });
    return this.#database.server;
  }

  #asking<T>(signal: AbortSignal, question: Parameters<typeof asking<T>>[2], idleTimeoutMs?: number): Promise<T> {
    return asking(this.#database.options.address, signal, question, idleTimeoutMs);
  }

  #refused(why: string): Fault {
    return new Fault('SITE_REFUSED', `${this.#database.options.config.asset}: ${why}`);
  }
}

/** The record at that place is whole in what is stored. */
function isBeyond(log: StoredLog | undefined, { timeline, lsn }: LogEnd): boolean {
  return log !== undefined && log.end.timeline === timeline && mustParseLsn(log.end.lsn) > mustParseLsn(lsn);
}

/** Everything before that place is stored. */
function isStoredTo(log: StoredLog | undefined, { timeline, lsn }: LogEnd): boolean {
  return log !== undefined && log.end.timeline === timeline && isReached(mustParseLsn(log.end.lsn), mustParseLsn(lsn));
}

/** A record that ends with its page is followed by the next page's header: some count that, some do not. */
function isReached(position: number, target: number): boolean {
  const inPage = target % PAGE_BYTES;
  return position >= (inPage <= PAGE_HEADER_BYTES ? target - inPage : target);
}

function pause(signal: AbortSignal): Promise<void> {
  return sleep(POLL_MS, undefined, { signal });
}
