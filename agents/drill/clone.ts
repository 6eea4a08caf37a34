// A database of the plan, brought back from an immutable recovery point into the drill's room. The base and the log are read outside, by who has a
// read-only view of the repository; the server runs inside, where there is no way out. It is an incarnation of its own: nothing that lets a
// server write as production (token, lease, slot, archive, credential) is given to it.

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { baseFactsOf, type ClusterFacts, readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { planRecovery, type RecoveryPlan, type RecoveryTarget, recoveryWindow } from '../../src/engine/recovery-plan.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { PgConnection } from '../postgres/connection.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import { RecoveryProgress } from '../postgres/recovery-progress.ts';
import { type RestoredCluster, restoreCluster } from '../postgres/restore.ts';
import { SANDBOX_PORT } from '../postgres/restored-server.ts';
import type { ServerFacts } from '../postgres/server-facts.ts';
import { checkPrograms, usualPrograms } from '../postgres/server-programs.ts';
import type { Room } from './room.ts';

/** Clients in the room are trusted: nobody else can be in there. */
const ACCESS = 'local all all trust\nhost all all 127.0.0.1/32 trust\n';
const SPOOL_BYTES = 256 * 1024 * 1024;

export type ClonePlan = {
  readonly asset: string;
  readonly repository: Repository;
  readonly cluster: ClusterFacts;
  readonly plan: RecoveryPlan;
  readonly server: ServerFacts;
  readonly systemId: string;
  readonly programs: string;
  /** What it needs on the disk, about. */
  readonly bytes: number;
  /** The restore point that it stops at; null: another place. */
  readonly point: string | null;
  /** Whether no commit lies between that point and the last one of its group. */
  readonly isQuiet: boolean;
};

export type ClonePlace = {
  readonly room: Room;
  readonly work: string;
  /** Of the drill's clones: 0, 1, ... */
  readonly number: number;
  readonly helper: readonly string[];
  readonly threads: number;
  readonly signal: AbortSignal;
};

/** A database's stored log, looked at before it is decided where its clone ends. */
export type CloneSource = {
  readonly asset: string;
  readonly repository: Repository;
  readonly cluster: ClusterFacts;
  /** Unix microseconds: of its last transaction that is stored. */
  readonly endsAt: number | undefined;
};

/** RECOVERY_REFUSED: the repository holds no log of it. */
export async function openCloneSource(repository: Repository, asset: string, signal: AbortSignal): Promise<CloneSource> {
  const cluster = await readClusterFacts(repository, asset, signal);
  if (cluster === undefined)
    throw new Fault('RECOVERY_REFUSED', `The repository ${repository.store.location} holds no log of "${asset}"`);
  const endsAt = (await recoveryWindow(cluster.facts, cluster.view.timeline)).at(-1)?.to.time;
  return { asset, repository, cluster, endsAt };
}

/** RECOVERY_REFUSED, LOG_GAP. */
export async function planClone(source: CloneSource, target: RecoveryTarget, programs: readonly string[]): Promise<ClonePlan> {
  const { asset, repository, cluster } = source;
  const plan = await planRecovery(cluster.facts, cluster.view.timeline, target);
  if (plan.kind !== 'plan')
    throw new Fault(plan.kind === 'gap' ? 'LOG_GAP' : 'RECOVERY_REFUSED', `"${asset}" cannot be cloned: ${plan.reason}`);
  const snapshot = cluster.snapshots.get(plan.base.snapshot)!;
  const facts = baseFactsOf(snapshot);
  const server = JSON.parse(facts.server) as ServerFacts;
  const own = usualPrograms(server, programs);
  checkPrograms(own, server);
  // The log is kept in the data directory until a checkpoint has passed.
  const bytes = snapshot.root.contentBytes + plan.legs.reduce((sum, { from, to }) => sum + to - from, 0) + SPOOL_BYTES;
  const point = target.kind === 'point' ? target.name : null;
  return { asset, repository, cluster, plan, server, systemId: facts.systemId, programs: own, bytes, point, isQuiet: false };
}

export class Clone {
  readonly plan: ClonePlan;
  readonly dataDirectory: string;
  readonly #copy: RestoredCluster;
  readonly #port: number;

  private constructor(plan: ClonePlan, dataDirectory: string, copy: RestoredCluster, port: number) {
    this.plan = plan;
    this.dataDirectory = dataDirectory;
    this.#copy = copy;
    this.#port = port;
  }

  /** Recovered to its place and paused there: it can be read. */
  static async make(plan: ClonePlan, { room, work, number, helper, threads, signal }: ClonePlace): Promise<Clone> {
    const place = join(work, `${number}`);
    const dataDirectory = join(place, 'data');
    const port = SANDBOX_PORT + number;
    mkdirSync(place);
    // The server's user has to come through.
    chmodSync(place, 0o711);
    const access = join(place, 'pg_hba.conf');
    writeFileSync(access, ACCESS, { mode: 0o644 });
    const { repository, cluster, plan: recovery, programs, asset } = plan;
    const copy = await restoreCluster({
      repository,
      cluster,
      plan: recovery,
      dataDirectory,
      tablespaces: {},
      programs,
      action: 'pause',
      program: helper,
      helper: { asset },
      threads,
      settings: {
        shared_buffers: '128MB',
        huge_pages: 'off',
        listen_addresses: '127.0.0.1',
        port: `${port}`,
        hba_file: access,
        // It must not do a second time what production does.
        archive_command: '',
        primary_conninfo: '',
        primary_slot_name: '',
      },
      sandboxIn: place,
      start: room.startServer,
      signal,
      progress: new RecoveryProgress(),
      onStep: () => {},
    });
    return new Clone(plan, dataDirectory, copy, port);
  }

  get asset(): string {
    return this.plan.asset;
  }

  get owner(): RestoredCluster['owner'] {
    return this.#copy.owner;
  }

  /** Where the log that was planned ends, and how far it was replayed. */
  get ends(): { readonly sealed: number; readonly replayed: number } {
    const { legs, stopAt } = this.plan.plan;
    return { sealed: stopAt?.end ?? legs.at(-1)!.to, replayed: this.#copy.position };
  }

  /** When the newest work in it was done, by the clock of the database. The server itself does not say it of the commit that it was stopped at. */
  get recovered(): {
    readonly at: string;
    readonly isWhole: boolean;
    readonly point: string | null;
    readonly isQuiet: boolean;
  } {
    const { plan, point, isQuiet } = this.plan;
    return { at: textOfMicros(plan.stopAt?.time ?? plan.base.stoppedAt), isWhole: false, point, isQuiet };
  }

  /** As clients in the room reach it. */
  get address(): { readonly host: string; readonly port: number; readonly user: string; readonly database: string } {
    const { user, database } = this.#copy.server.address;
    return { host: '127.0.0.1', port: this.#port, user, database };
  }

  get sandbox(): string {
    return this.#copy.sandbox;
  }

  /** From outside, by its socket in the drill's own directory. */
  async connect(signal: AbortSignal, database?: string): Promise<PgConnection> {
    const { server } = this.#copy;
    const address: ServerAddress = database === undefined ? server.address : await server.addressOf(database);
    return PgConnection.open({ address, signal });
  }

  /** Read-write; nobody outside of the room sees it. */
  async promote(signal: AbortSignal): Promise<void> {
    const sql = await this.connect(signal);
    try {
      if ((await sql.value('SELECT pg_is_in_recovery()')) === 't') await sql.query('SELECT pg_wal_replay_resume()');
    } finally {
      sql.close();
    }
    await this.#copy.server.until(
      async (one) => ((await one.value('SELECT pg_is_in_recovery()')) === 'f' ? true : undefined),
      signal,
    );
  }

  /** With a checkpoint: its files can be read as they are. */
  stop(): Promise<void> {
    return this.#copy.server.stop();
  }

  log(): string {
    return this.#copy.server.log();
  }

  /** Ends the handing out of log. */
  async finish(): Promise<void> {
    await this.#copy.finish();
  }
}
