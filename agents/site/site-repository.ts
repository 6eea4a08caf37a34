// A site's repository of one database: its own, or a replica of the other site's. It is opened when it is first needed and can be: a replica
// whose first copy has not begun cannot.

import type { LogEnd } from '../../src/dr/writer-record.ts';
import { type ClusterFacts, readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { KnownIndexes } from '../../src/engine/known-indexes.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { recoveryWindow } from '../../src/engine/recovery-plan.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import { releaseReplica, replicaStatus } from '../../src/replica/replica-status.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { storedEnd } from '../postgres/resume-point.ts';
import type { PlaceConfig } from './site-config.ts';

export type StoredLog = {
  /** Of the newest timeline: the end of its last whole record. */
  readonly end: LogEnd;
  readonly lastTransactionAt: string | null;
};

export type StoredBase = { readonly snapshot: string; readonly at: string; readonly to: LogEnd };

/** What the outside gives: stores with their credentials, caches, the file with the passphrase read. */
export type OpenPlace = (place: PlaceConfig) => Promise<Repository>;

export class SiteRepository {
  readonly #place: PlaceConfig;
  readonly #asset: string;
  readonly #openPlace: OpenPlace;
  readonly #known = new KnownIndexes();
  #opened: Repository | undefined;
  #opening: Promise<Repository> | undefined;

  constructor(place: PlaceConfig, asset: string, openPlace: OpenPlace) {
    this.#place = place;
    this.#asset = asset;
    this.#openPlace = openPlace;
  }

  async open(): Promise<Repository> {
    if (this.#opened !== undefined) return this.#opened;
    this.#opening ??= this.#openPlace(this.#place).finally(() => {
      this.#opening = undefined;
    });
    this.#opened = await this.#opening;
    return this.#opened;
  }

  async close(): Promise<void> {
    await this.#opened?.close();
    this.#opened = undefined;
  }

  /** Undefined: no log is stored. */
  async log(signal: AbortSignal): Promise<StoredLog | undefined> {
    const view = await this.#view(signal);
    return view && logIn(view);
  }

  /** The newest base from which log leads on without a hole, and how far. */
  async base(signal: AbortSignal): Promise<StoredBase | undefined> {
    const cluster = await this.cluster(signal);
    return cluster && baseIn(cluster);
  }

  /** Both, for who looks again and again: what was read the last time and is still listed is not read once more. */
  async look(signal: AbortSignal): Promise<{ readonly log: StoredLog | undefined; readonly base: StoredBase | undefined }> {
    const cluster = await readClusterFacts(await this.open(), this.#asset, signal, this.#known);
    return { log: cluster && (await logIn(cluster.view)), base: cluster && (await baseIn(cluster)) };
  }

  /** Where the log that follows without a hole from a place ends: the place itself when nothing follows. */
  async followsTo({ timeline, lsn }: LogEnd, signal: AbortSignal): Promise<number> {
    const from = mustParseLsn(lsn);
    return (await this.#view(signal))?.storedTo(timeline, from) ?? from;
  }

  /** Of this database, as they are stored. */
  async history(timeline: number, signal: AbortSignal): Promise<LogView['histories'][number] | undefined> {
    return (await this.#view(signal))?.histories.find((one) => one.timeline === timeline);
  }

  /** Undefined: it is its own, and was always. */
  async replica(
    now: Date,
    signal: AbortSignal,
  ): Promise<{ readonly state: 'seeding' | 'following' | 'released'; readonly asOf: string } | undefined> {
    const { store, keyring } = await this.open();
    const status = await replicaStatus(store, undefined, { keyring, now, signal });
    return status === undefined ? undefined : { state: status.mark.state, asOf: status.mark.asOf };
  }

  /** From its answer on it is this site's own. */
  async own(by: string, reason: string, now: Date, signal: AbortSignal): Promise<void> {
    const state = (await this.replica(now, signal))?.state;
    if (state === undefined || state === 'released') return;
    const { store, keyring } = await this.open();
    await releaseReplica(store, keyring, { by, reason, signal });
  }

  async cluster(signal: AbortSignal): Promise<ClusterFacts | undefined> {
    return readClusterFacts(await this.open(), this.#asset, signal);
  }

  async #view(signal: AbortSignal): Promise<LogView | undefined> {
    const repository = await this.open();
    return LogView.open(repository, repository.keyring.assetId(this.#asset), undefined, { signal });
  }
}

async function logIn(view: LogView): Promise<StoredLog | undefined> {
  const stored = storedEnd(view.epochs);
  if (stored === undefined) return undefined;
  const last = await view.last(stored.timeline, 0, stored.position);
  return {
    end: { timeline: stored.timeline, lsn: formatLsn(stored.position) },
    lastTransactionAt: last === undefined || last.time <= 0 ? null : textOfMicros(last.time),
  };
}

async function baseIn({ facts, view, snapshots }: ClusterFacts): Promise<StoredBase | undefined> {
  const last = (await recoveryWindow(facts, view.timeline)).at(-1);
  const snapshot = snapshots.get(last?.bases.at(-1) ?? '');
  if (last === undefined || snapshot === undefined) return undefined;
  return { snapshot: snapshot.id, at: snapshot.endedAt, to: { timeline: last.timeline, lsn: formatLsn(last.to.position) } };
}
