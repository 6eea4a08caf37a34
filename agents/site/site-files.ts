// Files or a volume at one site, as a plan moves them with a database: backed up into this site's repository while that database is written here,
// brought to a recovery point of the replica before it is. Who writes the database decides which of the two may be done.

import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import type { EpochOfFailover, FilesBrought, FilesCompared, PointOfFiles } from '../../src/dr/site-control.ts';
import { backUp } from '../../src/engine/backup.ts';
import { type BackupProblem, BackupProgress } from '../../src/engine/backup-progress.ts';
import type { AssetSource } from '../../src/model/asset.ts';
import { displayPath } from '../../src/model/entry-path.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { readSnapshot } from '../../src/repository/snapshots.ts';
import { type BringBack, bringBack, differences, newestPoint } from '../files/bring-back.ts';
import { accountName } from '../host/account-name.ts';
import { openAssetSource } from '../host/asset-source.ts';
import type { FilesConfig } from './site-config.ts';
import type { SiteDatabase } from './site-database.ts';

const LOOK_MS = 200;
const TOLD_MAX = 5;

export type SiteFilesOptions = {
  readonly config: FilesConfig;
  /** That they move with. */
  readonly database: SiteDatabase;
  /** This daemon's own directory: never backed up. */
  readonly state: string;
  readonly program: string;
  readonly threads: number;
  readonly now: () => Date;
};

export class SiteFiles {
  readonly #options: SiteFilesOptions;

  constructor(options: SiteFilesOptions) {
    this.#options = options;
  }

  /** SNAPSHOT_NOT_FOUND: there is none, and none was named. */
  async point({ snapshot }: { readonly snapshot: string | null }, signal: AbortSignal): Promise<PointOfFiles> {
    return pointOf(await this.#snapshot(snapshot, signal));
  }

  /** What cannot be read is no reason to have no backup, but it is one to say so: SOURCE_UNREADABLE. */
  async keep(signal: AbortSignal): Promise<PointOfFiles> {
    const { config, state, program, threads, now } = this.#options;
    const { asset, kind, path } = config;
    const source: AssetSource = kind === 'files' ? { kind, paths: [path] } : { kind, path };
    const opened = await openAssetSource(source, { neverBackUp: [state], secrets: state, signal });
    const problems: BackupProblem[] = [...opened.problems];
    const progress = new BackupProgress();
    const listener = { onProblem: (problem: BackupProblem) => void problems.push(problem) };
    const { type, paths } = opened;
    const who = { host: hostname(), user: accountName(), program, tags: [], now, threads, signal };
    const details = { asset, type, paths, ...who, progress, listener };
    const snapshot = await backUp(await this.#repository(), details, opened.read(progress, listener));
    const [first] = problems;
    if (first !== undefined)
      throw new Fault(
        'SOURCE_UNREADABLE',
        `${problems.length} entries of "${asset}" are not as they are here in its backup ${snapshot.id}, the first: ${displayPath(first.path)}: ${first.message}`,
      );
    return pointOf(snapshot);
  }

  async bring(
    { epoch, failover, snapshot: name }: EpochOfFailover & { readonly snapshot: string | null },
    signal: AbortSignal,
  ): Promise<FilesBrought> {
    const { config, database } = this.#options;
    const { register, site } = database.options;
    const { record } = await register.read({ signal });
    const isOthers = record.failover !== null && record.failover !== failover;
    // Whoever slept, or has kept what was signed long ago, changes nothing.
    if (record.holder.name === site || record.epoch > epoch || isOthers || database.isPrimary)
      throw new Fault(
        'SITE_REFUSED',
        `${config.asset} at ${site}: nothing is brought back here: epoch ${record.epoch} is written at ${record.holder.site}, and the failover "${record.failover}" has a say over it`,
      );
    const wish = await this.#wish(await this.#snapshot(name, signal), signal);
    const brought = await bringBack(wish, `${config.path}.before-${failover}`);
    const { entries, bytes, bytesFetched, setAside, aside } = brought;
    return { ...pointOf(wish.snapshot), entries, bytes, bytesFetched, setAside, aside };
  }

  async compare({ snapshot: name }: { readonly snapshot: string }, signal: AbortSignal): Promise<FilesCompared> {
    const wish = await this.#wish(await this.#snapshot(name, signal), signal);
    const differing: string[] = [];
    await differences(wish, ({ path, message }) => {
      if (differing.length < TOLD_MAX) differing.push(`${displayPath(path)}: ${message}`);
    });
    return { entries: wish.snapshot.root.entries, differing };
  }

  /** The newest, or the one of that name when it has come over. */
  async #snapshot(name: string | null, signal: AbortSignal): Promise<Snapshot> {
    const { asset, kind } = this.#options.config;
    const repository = await this.#repository();
    if (name === null) return newestPoint(repository, { asset, kind }, undefined, signal);
    while (!(await repository.heads.read({ signal })).snapshots.some(({ session }) => session === name))
      await sleep(LOOK_MS, undefined, { signal });
    return readSnapshot(repository, name, { signal });
  }

  /** With the index as it is now: packs of a replica come over all the time. */
  async #wish(snapshot: Snapshot, signal: AbortSignal): Promise<BringBack> {
    const { config, threads } = this.#options;
    const repository = await this.#repository();
    await repository.refreshIndex({ signal });
    return { repository, snapshot, path: config.path, threads, signal };
  }

  #repository(): Promise<Repository> {
    return this.#options.database.options.repository.open();
  }
}

function pointOf({ id, startedAt, endedAt }: Snapshot): PointOfFiles {
  return { snapshot: id, at: startedAt, endedAt };
}
