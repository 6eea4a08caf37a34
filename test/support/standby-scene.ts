// Two sites on one machine: a protected cluster, the replication of its repository, and a standby fed from the replica. All of it real, in one
// scratch directory, ended with the test.

import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ServerAddress } from '../../agents/postgres/connection-string.ts';
import { makeStandby } from '../../agents/standby/make-standby.ts';
import { Standby } from '../../agents/standby/standby.ts';
import type { StandbyHealth, StandbyLimits } from '../../agents/standby/standby-health.ts';
import { readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { RestoreProgress } from '../../src/engine/restore-progress.ts';
import { ReplicaProgress } from '../../src/replica/replica-progress.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { makeOwned, TestServer } from './postgres.ts';
import { ASSET, PROGRAM, ProtectedCluster, until } from './protected-cluster.ts';
import { openReplication, type ReplicateOptions, replicaOf } from './replicating.ts';
import { objectPath, openRepository } from './repository.ts';

export const NEVER = new AbortController().signal;

export class StandbyScene {
  readonly primary: ProtectedCluster;
  readonly progress = new ReplicaProgress();
  readonly troubles: string[] = [];
  /** The replica, opened as the standby's site does. */
  replica!: Repository;
  server!: TestServer;
  standby!: Standby;
  #replication: AbortController | undefined;
  #replicating: Promise<void> = Promise.resolve();

  private constructor(primary: ProtectedCluster) {
    this.primary = primary;
  }

  /** Protected, with a table `t`, replicated; `standby` makes the rest. */
  static async create(wrap?: (store: ObjectStore) => ObjectStore): Promise<StandbyScene> {
    const primary = await ProtectedCluster.create();
    const scene = new StandbyScene(primary);
    await primary.server.sql('CREATE TABLE t (n int)');
    await primary.start();
    onTestFinished(() => scene.stopReplication());
    await scene.replicate();
    await scene.copied();
    // The last thing of a first copy.
    await until(() => existsSync(objectPath(replicaOf(primary.scratch), 'repository')));
    scene.replica = await openRepository(replicaOf(primary.scratch), wrap === undefined ? {} : { wrap });
    chmodSync(join(replicaOf(primary.scratch), 'repository'), 0o755);
    onTestFinished(() => scene.replica.close());
    return scene;
  }

  async replicate(options: ReplicateOptions = {}): Promise<void> {
    const stop = new AbortController();
    this.#replication = stop;
    const replication = await openReplication(this.primary.scratch, { ...options, progress: this.progress, signal: stop.signal });
    this.#replicating = replication.follow();
    this.#replicating.catch(() => {});
  }

  async stopReplication(): Promise<void> {
    this.#replication?.abort();
    await this.#replicating;
  }

  /** Everything that was stored at the source when this was called. */
  async copied(): Promise<void> {
    const asked = performance.now();
    const { progress } = this;
    await until(() => (progress.headCurrentAtMs ?? 0) > asked && (progress.logCurrentAtMs ?? 0) > asked);
  }

  get address(): ServerAddress {
    return this.server.address();
  }

  async makeStandby(options: { readonly timeline?: number } = {}): Promise<void> {
    const { scratch, programs } = this.primary;
    const cluster = (await readClusterFacts(this.replica, ASSET))!;
    const dataDirectory = join(scratch, 'b');
    await makeStandby({
      repository: this.replica,
      cluster,
      asset: ASSET,
      dataDirectory,
      tablespaces: {},
      programs,
      program: [PROGRAM],
      threads: 1,
      now: () => new Date(),
      signal: NEVER,
      progress: new RestoreProgress(),
      ...options,
    });
    this.server = new TestServer(programs, dataDirectory, makeOwned(join(scratch, 'b-socket')));
  }

  async open(limits?: StandbyLimits, now = (): Date => new Date()): Promise<void> {
    this.standby = await Standby.open({
      repository: this.replica,
      dataDirectory: this.server.directory,
      address: this.address,
      program: [PROGRAM],
      now,
      onTrouble: (error) => void this.troubles.push(error instanceof Error ? error.message : String(error)),
      ...(limits === undefined ? {} : { limits }),
    });
    const { standby } = this;
    onTestFinished(() => standby.close());
  }

  async start(): Promise<void> {
    const { server } = this;
    onTestFinished(() => server.stop('SIGQUIT'));
    await server.start();
  }

  /** Made, served and started. */
  async run(limits?: StandbyLimits): Promise<void> {
    await this.makeStandby();
    await this.open(limits);
    await this.start();
  }

  async healthUntil(is: (health: StandbyHealth) => boolean): Promise<StandbyHealth> {
    let health: StandbyHealth | undefined;
    await until(
      async () => {
        health = await this.standby.health(NEVER);
        return is(health);
      },
      () => `${JSON.stringify(health)} ${this.troubles.slice(-3).join('; ')}`,
    );
    return health!;
  }

  async rows(server = this.server): Promise<number[]> {
    return (await server.sql('SELECT n FROM t ORDER BY n')).map(([n]) => Number(n));
  }

  /** Until the standby shows so many rows. */
  async shows(count: number): Promise<void> {
    await until(
      async () => Number((await this.server.sql('SELECT count(*) FROM t'))[0]![0]) === count,
      () => `${this.troubles.slice(-3).join('; ')} ${this.server.log().slice(-1500)}`,
    );
  }
}
