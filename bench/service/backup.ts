// A backup through the service beside the same backup offline, both into fresh repositories in one bucket of a real Ceph RGW: first backups of
// a tree and of an image, in turns, medians of the rounds. Agent and service share one process here (and so one main thread), as they do
// not in life.
//
//   bin/node bench/service/backup.ts [scale divisor, default 4] [rounds, default 5]
//
// Also prints the share of bytes that pass the service.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFileSource } from '../../agents/files/source.ts';
import { openVolume, readVolume } from '../../agents/volume/source.ts';
import { backUp } from '../../src/engine/backup.ts';
import { backUpFiles } from '../../src/engine/backup-files.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { Repository } from '../../src/repository/repository.ts';
import { openStore } from '../../src/store/open.ts';
import { startS3, type TestS3 } from '../../test/support/ceph.ts';
import { TestService } from '../../test/support/data-path.ts';
import { processFacts } from '../../test/support/repository.ts';
import { IMAGE_NAME, writeImage } from '../data/image.ts';
import { writeTree } from '../data/tree.ts';
import { median } from '../report.ts';

const SCALE = Number(process.argv[2] ?? 4);
const ROUNDS = Number(process.argv[3] ?? 5);
const THREADS = 2;

type Measured = { readonly seconds: number; readonly cpuSeconds: number; readonly share?: number };

async function timed<T>(work: () => Promise<T>): Promise<Measured & { readonly value: T }> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - startMs) / 1000, cpuSeconds: (user + system) / 1e6, value };
}

async function offline(s3: TestS3, directory: string, path: string, kind: 'files' | 'volume'): Promise<Measured> {
  const location = `s3+${s3.endpoint}/${s3.bucket}/offline-${randomBytes(6).toString('hex')}`;
  const store = await openStore(location, { credentials: s3.credentials, region: s3.region });
  const repository = await Repository.init({
    store,
    passphrase: Buffer.from('bench'),
    cacheDirectory: join(directory, 'cache'),
    process: processFacts(),
    label: 'bench',
  });
  try {
    const progress = new BackupProgress();
    const listener = { onProblem: () => {} };
    const details = {
      asset: 'bench',
      type: kind,
      host: 'bench',
      user: 'bench',
      paths: [path],
      tags: [],
      program: 'bench',
      now: () => new Date(),
      threads: THREADS,
      level: 1,
      signal: new AbortController().signal,
      progress,
      listener,
    } as const;
    return await timed(() =>
      backUp(repository, details, async ({ pipeline, parent, readNode, parameters: { paged } }) =>
        kind === 'volume'
          ? readVolume({
              volume: openVolume(path),
              pipeline,
              parent,
              unitBytes: paged.unitBytes,
              changedRanges: undefined,
              rereadAll: false,
              readNode,
              progress,
              listener,
            })
          : {
              root: await backUpFiles({
                session: pipeline,
                source: openFileSource([path]),
                paged,
                parentRoot: undefined,
                readNode,
                progress,
                listener,
                parentStartedMs: undefined,
              }),
            },
      ),
    );
  } finally {
    await repository.close();
  }
}

async function through(s3: TestS3, directory: string, path: string, kind: 'files' | 'volume'): Promise<Measured> {
  const home = mkdtempSync(join(directory, 'service-'));
  const service = await TestService.start({ directory: home, s3, prefix: `service-${randomBytes(6).toString('hex')}` });
  try {
    const agent = await service.agent();
    const asset = await agent.asset(path, kind);
    // Something is known already, as in life: every chunk is asked for.
    mkdirSync(join(home, 'before'));
    writeFileSync(join(home, 'before', 'file'), randomBytes(100_000));
    await agent.backUp(await agent.asset(join(home, 'before')));
    const before = agent.traffic;
    const measured = await timed(() => agent.backUp(asset, { threads: THREADS }));
    const control = agent.traffic.control - before.control;
    const store = agent.traffic.store - before.store;
    return { ...measured, share: control / (control + store) };
  } finally {
    await service.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

const s3 = await startS3();
if (s3 === undefined) throw new Error('A bucket is needed');
const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'holdfast-bench-service-'));
try {
  for (const kind of ['files', 'volume'] as const) {
    const root = join(directory, kind);
    mkdirSync(root);
    if (kind === 'files') writeTree(root, SCALE);
    else writeImage(root, SCALE);
    const path = kind === 'files' ? root : join(root, IMAGE_NAME);
    const rounds: { readonly offline: Measured; readonly through: Measured }[] = [];
    // The first round warms caches up and is not counted.
    for (let round = 0; round <= ROUNDS; round++) {
      const swapped = round % 2 === 1;
      const a = swapped ? undefined : await offline(s3, directory, path, kind);
      const b = await through(s3, directory, path, kind);
      const c = a ?? (await offline(s3, directory, path, kind));
      if (round > 0) rounds.push({ offline: c, through: b });
    }
    const of = (pick: (round: (typeof rounds)[number]) => number): string => median(rounds.map(pick)).toFixed(2);
    console.log(
      `${kind}: offline ${of((r) => r.offline.seconds)} s (${of((r) => r.offline.cpuSeconds)} CPU s), through the service ${of(
        (r) => r.through.seconds,
      )} s (${of((r) => r.through.cpuSeconds)} CPU s); speed ${(
        100 * median(rounds.map((r) => r.offline.seconds / r.through.seconds))
      ).toFixed(0)} % of offline; ${(100 * median(rounds.map((r) => r.through.share!))).toFixed(2)} % of bytes pass the service`,
    );
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
