// A real server whose log is captured into a real repository by the real code, and restores of it. Everything lies in one scratch directory
// and ends with the test.

import { appendFileSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { readBaseBackup } from '../../agents/postgres/base-backup.ts';
import type { BaseBackupSource } from '../../agents/postgres/base-source.ts';
import type { CapturePatience, CaptureStatus } from '../../agents/postgres/capture-options.ts';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { protectCluster } from '../../agents/postgres/protect.ts';
import { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import { type RestoredCluster, restoreCluster } from '../../agents/postgres/restore.ts';
import { backUp } from '../../src/engine/backup.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { type ClusterFacts, readClusterFacts } from '../../src/engine/cluster-facts.ts';
import {
  planRecovery,
  type RecoveryInterval,
  type RecoveryPlan,
  type RecoveryTarget,
  recoveryWindow,
} from '../../src/engine/recovery-plan.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { makeOwned, type NewServer, postgresPrograms, removeScratch, serverScratch, TestServer } from './postgres.ts';
import { openRepository } from './repository.ts';

export const ASSET = 'pg/test';
const WAIT_MS = 60_000;
export const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');

export class ProtectedCluster {
  readonly programs: string;
  readonly scratch: string;
  readonly repository: Repository;
  readonly asset: string;
  readonly #patience: CapturePatience | undefined;
  server: TestServer;
  /** That the capture is told to connect to. */
  database = 'postgres';
  status: CaptureStatus | undefined;
  readonly gaps: { readonly from: number; readonly to: number; readonly cause: string }[] = [];
  readonly troubles: string[] = [];
  readonly timelines: number[] = [];
  readonly bases: Snapshot[] = [];
  /** Data directories that were restored to, in order. */
  readonly recoveries: string[] = [];
  #stop: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();
  #restores = 0;

  private constructor(
    programs: string,
    scratch: string,
    server: TestServer,
    repository: Repository,
    patience: CapturePatience | undefined,
    asset: string,
  ) {
    this.asset = asset;
    this.#patience = patience;
    this.programs = programs;
    this.scratch = scratch;
    this.server = server;
    this.repository = repository;
  }

  /** Undefined where PostgreSQL is not installed. */
  static async create(
    options: NewServer & {
      readonly programs?: (scratch: string) => string;
      readonly wrap?: (store: ObjectStore) => ObjectStore;
      readonly patience?: CapturePatience;
      readonly asset?: string;
    } = {},
  ): Promise<ProtectedCluster> {
    const scratch = serverScratch();
    const programs = options.programs?.(scratch) ?? postgresPrograms()!;
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs, scratch, 'production', options);
    onTestFinished(() => server.stop('SIGQUIT'));
    const wrap = options.wrap;
    const repository = await openRepository(scratch, { init: true, ...(wrap === undefined ? {} : { wrap }) });
    chmodSync(join(scratch, 'repository'), 0o755);
    const cluster = new ProtectedCluster(programs, scratch, server, repository, options.patience, options.asset ?? ASSET);
    onTestFinished(async () => {
      await cluster.stop();
      await repository.close();
    });
    return cluster;
  }

  /** Capture with base backups as they are needed; waits for the first one. */
  async start(): Promise<void> {
    const before = this.bases.length;
    this.begin();
    if (before === 0)
      await until(
        () => this.bases.length > 0,
        () => `no base backup: ${this.troubles.join('; ')}`,
      );
  }

  begin(heartbeatMs = 0): void {
    const stop = new AbortController();
    this.#stop = stop;
    this.#running = protectCluster({
      address: this.server.address(this.database),
      repository: this.repository,
      asset: this.asset,
      slot: 'holdfast',
      host: 'test',
      policy: { bytes: 64 * 1024, ms: 100 },
      now: () => new Date(),
      signal: stop.signal,
      ...(this.#patience === undefined ? {} : { patience: this.#patience }),
      baseEveryMs: 0,
      heartbeatMs,
      makeBase: () => this.base(stop.signal),
      events: {
        onStreaming: () => {},
        onProgress: (status) => {
          this.status = status;
        },
        onGap: (gap) => void this.gaps.push(gap),
        onTimeline: (timeline) => void this.timelines.push(timeline),
        onTablespace: () => {},
        onTrouble: (error) => void this.troubles.push(error instanceof Error ? error.message : String(error)),
        onBaseBegin: () => {},
        onBase: (snapshot) => void this.bases.push(snapshot),
      },
    });
    this.#running.catch(() => {});
  }

  /** In order; throws what capture failed with. */
  async stop(): Promise<void> {
    this.#stop?.abort();
    await this.#running;
  }

  /** Settles when capture ends by itself. */
  ended(): Promise<void> {
    const ended = this.#running;
    this.#running = Promise.resolve();
    return ended;
  }

  base(signal: AbortSignal = new AbortController().signal, wish: Partial<BaseBackupSource> = {}): Promise<Snapshot> {
    const progress = new BackupProgress();
    const details = {
      asset: this.asset,
      type: 'files' as const,
      host: 'test',
      user: 'test',
      paths: ['/'],
      tags: [],
      program: 'test',
      now: () => new Date(),
      threads: 1,
      level: 1,
      signal,
      progress,
      listener: { onProblem: () => {} },
    };
    const source = { address: this.server.address(), progress, label: 'test', fast: true };
    return backUp(
      this.repository,
      details,
      readBaseBackup({
        ...source,
        keepCorruptPages: false,
        manifest: 'CRC32C' as const,
        log: { repository: this.repository, asset: this.asset },
        signal,
        ...wish,
      }),
    );
  }

  /** Until everything that the server has flushed now is stored. */
  async caughtUp(): Promise<void> {
    const position = Number((await this.server.sql("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text"))[0]![0]);
    await until(
      () => (this.status?.durable ?? 0) >= position,
      () => `stored up to ${this.status?.durable} of ${position}: ${this.troubles.slice(-3).join('; ')}`,
    );
  }

  /** A standby that streams from the server, made by pg_basebackup; it ends with the test. */
  async standby(name: string): Promise<TestServer> {
    const directory = join(this.scratch, name);
    const socketDirectory = makeOwned(join(this.scratch, `${name}-socket`));
    await this.server.copyAsStandby(directory);
    // A test's questions wait for nothing and last for a moment: replay may wait for them.
    appendFileSync(join(directory, 'postgresql.auto.conf'), 'max_standby_streaming_delay = -1\n');
    const standby = new TestServer(this.programs, directory, socketDirectory);
    onTestFinished(() => standby.stop('SIGQUIT'));
    await standby.start();
    return standby;
  }

  async facts(): Promise<ClusterFacts> {
    const facts = await readClusterFacts(this.repository, this.asset);
    if (facts === undefined) throw new Error('There is no log');
    return facts;
  }

  async window(): Promise<RecoveryInterval[]> {
    const { facts, view } = await this.facts();
    return recoveryWindow(facts, view.timeline);
  }

  /** The plan, or the reason why there is none. */
  async plan(target: RecoveryTarget, timeline?: number): Promise<RecoveryPlan | string> {
    const { facts, view } = await this.facts();
    const plan = await planRecovery(facts, timeline ?? view.timeline, target, timeline !== undefined);
    return plan.kind === 'plan' ? plan : `${plan.kind}: ${plan.reason}`;
  }

  async restore(target: RecoveryTarget, options: RestoreWish & { readonly timeline?: number } = {}): Promise<Restored> {
    const plan = await this.plan(target, options.timeline);
    if (typeof plan === 'string') throw new Error(plan);
    return this.restorePlan(plan, options);
  }

  async restorePlan(plan: RecoveryPlan, options: RestoreWish = {}): Promise<Restored> {
    const cluster = await this.facts();
    const dataDirectory = options.dataDirectory ?? join(this.scratch, `restored-${this.#restores++}`);
    this.recoveries.push(dataDirectory);
    const progress = options.progress ?? new RecoveryProgress();
    const restored = await restoreCluster({
      repository: this.repository,
      cluster,
      plan,
      dataDirectory,
      delta: options.delta === true,
      tablespaces: {},
      programs: this.programs,
      action: options.action ?? 'promote',
      program: options.program ?? [PROGRAM],
      ...(options.asking === undefined ? {} : { asking: options.asking }),
      helper: {},
      threads: 1,
      settings: { fsync: 'off' },
      signal: options.signal ?? new AbortController().signal,
      progress,
      onStep: options.onStep ?? (() => {}),
    });
    const sql = await PgConnection.open({ address: restored.server.address });
    const close = async (): Promise<void> => {
      sql.close();
      await restored.finish();
      await restored.server.stop();
      removeScratch(restored.sandbox);
      removeScratch(dataDirectory);
    };
    return { ...restored, sql, close, dataDirectory, progress };
  }
}

export type RestoreWish = {
  readonly action?: 'pause' | 'promote';
  readonly program?: readonly string[];
  readonly asking?: readonly string[];
  /** A new one when absent. */
  readonly dataDirectory?: string;
  readonly delta?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: RecoveryProgress;
  readonly onStep?: (step: 'base' | 'log' | 'reached') => void;
};

export type Restored = RestoredCluster & {
  readonly progress: RecoveryProgress;
  readonly sql: PgConnection;
  readonly close: () => Promise<void>;
  readonly dataDirectory: string;
};

export async function until(
  condition: () => boolean | Promise<boolean>,
  why: () => string = () => 'it did not come to pass',
): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(why());
    await sleep(10);
  }
}

/** The server's clock, Unix microseconds. */
export async function serverClock(server: TestServer): Promise<number> {
  return Number((await server.sql('SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text'))[0]![0]);
}

export const LATEST: RecoveryTarget = { kind: 'latest' };

/** With a table of so many rows, and an empty one; its log is captured. */
export async function protectedWithData(rows: number): Promise<ProtectedCluster> {
  const cluster = await ProtectedCluster.create();
  await cluster.server.sql(`CREATE TABLE big AS SELECT g AS n, md5(g::text) AS text FROM generate_series(1, ${rows}) g`);
  await cluster.server.sql('CREATE TABLE t (n int)');
  await cluster.start();
  return cluster;
}

/** The first column. */
export const column = async (restored: Restored, query: string): Promise<(string | null | undefined)[]> =>
  (await restored.sql.query(query)).rows.map(([value]) => value);
