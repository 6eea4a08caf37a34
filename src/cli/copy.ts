// Copies snapshots to another repository.

import { EXIT, isFault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { isBase } from '../engine/cluster-facts.ts';
import { copySnapshot, missingCopies } from '../engine/copy.ts';
import { type CopiedLog, copyLog } from '../engine/copy-log.ts';
import { CopyProgress } from '../engine/copy-run.ts';
import { formatLsn } from '../model/lsn.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { Repository } from '../repository/repository.ts';
import { levelOf } from './compression.ts';
import { cacheDirectoryOf, closing, openStoreOf, processFacts, withRepository } from './open.ts';
import { usage } from './option.ts';
import { readPassphrase } from './passphrase.ts';
import { hostOf } from './person.ts';
import { pinned } from './pinned.ts';
import { watch } from './progress-line.ts';
import { selectSnapshot, selectSnapshots } from './select.ts';
import { shortId, snapshotFields } from './snapshot-fields.ts';
import { formatTime } from './table.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

export async function copy(invocation: Invocation): Promise<number> {
  const { options, environment } = invocation;
  const location = options.text('to') ?? environment.variables.HOLDFAST_TO_REPO;
  if (location === undefined || location === '') throw usage('"holdfast copy" needs --to LOCATION, or HOLDFAST_TO_REPO');
  return withRepository(invocation, (from) => withDestination(invocation, location, (to) => copyAll(invocation, from, to)));
}

async function withDestination<T>(invocation: Invocation, location: string, work: (to: Repository) => Promise<T>): Promise<T> {
  const { options, environment, output } = invocation;
  const passphrase = await readPassphrase(
    {
      file: options.text('to-passphrase-file'),
      fileVariable: 'HOLDFAST_TO_PASSPHRASE_FILE',
      variable: 'HOLDFAST_TO_PASSPHRASE',
      prompt: 'Passphrase of the repository to copy to',
      isNew: false,
    },
    environment,
    output,
  );
  const store = await openStoreOf(invocation, location, false, true);
  const cacheDirectory = cacheDirectoryOf(invocation);
  return closing(store, () => Repository.open({ store, passphrase, cacheDirectory, process: processFacts() }), work);
}

async function copyAll(invocation: Invocation, from: Repository, to: Repository): Promise<number> {
  const { args, options, output, signal } = invocation;
  const level = levelOf(options.text('compression'));
  const selected = args.length === 0 ? await selectSnapshots(from, options, signal) : [];
  for (const name of args) selected.push(await selectSnapshot(from, name, invocation));
  const missing = await missingCopies(
    from,
    to,
    [...new Map(selected.map((snapshot) => [snapshot.id, snapshot])).values()].sort(byStart),
    signal,
  );
  const progress = new CopyProgress();
  progress.snapshotsTotal = missing.length;
  const dryRun = options.flag('dry-run');
  const logs = new CopiedLogs(invocation, from, to, progress);
  let failed = 0;
  let forgotten = 0;
  for (const snapshot of missing) {
    if (dryRun) {
      output.line(`would copy ${titleOf(snapshot)}`);
      output.record('missing', snapshotFields(snapshot));
      continue;
    }
    try {
      await copyOne(invocation, from, to, snapshot, { threads: threadsOf(options), level, signal, progress });
      // From the first base on the copy can be restored: not only when all of them are there.
      if (isBase(snapshot)) await logs.begin(snapshot.asset);
    } catch (error) {
      if (isFault(error, 'SNAPSHOT_NOT_FOUND')) {
        forgotten++;
        output.notice(`forgotten meanwhile: ${titleOf(snapshot)}`);
        continue;
      }
      // The others may be whole; the exit status tells.
      if (!isFault(error, 'FORMAT_DAMAGED', 'SNAPSHOT_DAMAGED', 'STORE_NOT_FOUND')) throw error;
      failed++;
      output.warning(`not copied: ${titleOf(snapshot)}: ${error.message}`, { snapshot: snapshot.id, code: error.code });
    }
  }
  for (const asset of new Set(selected.filter(isBase).map(({ asset: name }) => name))) await logs.copy(asset);
  const copied = dryRun ? 0 : missing.length - failed - forgotten;
  const { bytesRead, bytesStored } = progress;
  output.line(
    `${dryRun ? `${missing.length} snapshots are missing` : `Copied ${copied} snapshots`} at ${to.store.location}; ${selected.length - missing.length} were there already`,
  );
  if (logs.bytes > 0) output.line(`  ${formatBytes(logs.bytes)} of database logs ${dryRun ? 'are missing' : 'copied'}`);
  if (copied > 0 || logs.bytes > 0)
    output.line(`  ${formatBytes(bytesRead)} read, ${formatBytes(bytesStored)} stored; took ${formatDuration(performance.now())}`);
  output.summary('copy', {
    dryRun,
    copied,
    failed,
    forgotten,
    missing: missing.length,
    present: selected.length - missing.length,
    bytesRead,
    bytesStored,
    logBytes: logs.bytes,
    logDamaged: logs.damaged,
    durationMs: Math.round(performance.now()),
  });
  return failed + logs.damaged > 0 ? EXIT.damage : 0;
}

/** The logs that belong to the bases. */
class CopiedLogs {
  readonly #copy: (asset: string) => Promise<CopiedLog>;
  readonly #invocation: Invocation;
  readonly #begun = new Set<string>();
  bytes = 0;
  damaged = 0;

  constructor(invocation: Invocation, from: Repository, to: Repository, progress: CopyProgress) {
    const { options, signal } = invocation;
    const host = hostOf(undefined);
    const details = { host, now: () => new Date(), dryRun: options.flag('dry-run'), signal, progress };
    this.#invocation = invocation;
    this.#copy = (asset) => copyLog(from, to, asset, details);
  }

  /** The first time only. */
  async begin(asset: string): Promise<void> {
    if (this.#begun.has(asset)) return;
    this.#begun.add(asset);
    await this.copy(asset);
  }

  async copy(asset: string): Promise<void> {
    const { bytes, damaged } = await this.#copy(asset);
    this.bytes += bytes;
    this.damaged += damaged.length;
    const { output } = this.#invocation;
    if (bytes > 0) output.record('log', { asset, bytes });
    for (const { timeline, from, to, cause } of damaged)
      output.warning(`log of ${asset} not copied, timeline ${timeline}, ${formatLsn(from)} to ${formatLsn(to)}: ${cause}`, {
        asset,
      });
  }
}

async function copyOne(
  invocation: Invocation,
  from: Repository,
  to: Repository,
  snapshot: Snapshot,
  copyOptions: Parameters<typeof copySnapshot>[3],
): Promise<void> {
  const { output } = invocation;
  const { progress } = copyOptions;
  const stop = watch(output, () => {
    const { bytesDone, bytesTotal, bytesRead, bytesStored, snapshotsDone, snapshotsTotal } = progress;
    const notes = [`${snapshotsDone} / ${snapshotsTotal} snapshots`, `read ${formatBytes(bytesRead)}`];
    return { bytesDone, bytesTotal, notes, fields: { snapshotsDone, snapshotsTotal, bytesRead, bytesStored } };
  });
  try {
    const copied = await pinned(invocation, from, snapshot, () => copySnapshot(from, to, snapshot, copyOptions));
    progress.snapshotsDone++;
    stop();
    output.line(
      `${shortId(snapshot.id)} -> ${shortId(copied.id)}  ${titleOf(snapshot)}: ${formatBytes(copied.statistics.bytesStored)} stored`,
    );
    output.record('copied', { origin: snapshot.id, ...snapshotFields(copied) });
  } finally {
    stop();
  }
}

function byStart(a: Snapshot, b: Snapshot): number {
  return a.startedAt < b.startedAt ? -1 : a.startedAt > b.startedAt ? 1 : 0;
}

function titleOf({ id, asset, startedAt }: Snapshot): string {
  return `${shortId(id)} of ${asset}, ${formatTime(startedAt)}`;
}
