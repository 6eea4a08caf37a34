// A base backup whose files the workers read side by side, between the server's begin and end of a backup on one connection: when that dies,
// so does the backup, and the server forgets it. What is written meanwhile is mended by the log from the start to the stop position, as it is
// for any base backup; the same log is wanted by whoever restores.
//
// In this order: the backup begins, then files are listed and read; pg_control comes after all of them, then the backup ends, which gives
// backup_label and tablespace_map. Nothing is taken unread because of its times: the clock of a file system is coarser than a server writes.
//
// Page checksums are judged at the end. A page that is wrong and was changed within the backup's log is written anew from there (the first
// change of a page after the start is logged with the whole page); any other is broken on the disk.

import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { Fault } from '../../src/base/faults.ts';
import type { EntriesBackupRun, ReadEntry } from '../../src/engine/backup-entries.ts';
import type { FilePlace } from '../../src/engine/entry-files.ts';
import { realPath } from '../../src/files/real-path.ts';
import type { FileEntry } from '../../src/model/entry.ts';
import { displayPath } from '../../src/model/entry-path.ts';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import {
  baseEntry,
  type CollectedBase,
  type CollectedFacts,
  DATA_DIRECTORY,
  keepFile,
  keepSurroundings,
  MANIFEST,
  type Owner,
  TABLESPACES_DIRECTORY,
} from './base-entries.ts';
import { baseManifest } from './base-manifest.ts';
import type { BaseBackupSource, BaseOrigin } from './base-source.ts';
import { type ClusterFile, clusterFiles } from './cluster-files.ts';
import type { PgConnection } from './connection.ts';
import { CONTROL } from './control-file.ts';
import { hasBegunHere, type LocalCluster, type NotLocal, readControlFile } from './local-cluster.ts';
import { literal } from './replication-client.ts';
import { type ChangedPages, changedSince } from './wal-summaries.ts';

/** Broken pages that are named. */
const NAMED_MAX = 5;

type Tablespace = { readonly oid: string; readonly location: string; readonly directory: string };

/** Answers a reason, and leaves no trace, when the server turns out not to have begun here. */
export async function collectLocalBase(
  run: EntriesBackupRun,
  source: BaseBackupSource,
  sql: PgConnection,
  cluster: LocalCluster,
  origin: BaseOrigin,
): Promise<CollectedBase | NotLocal> {
  const begin = sql.version >= 15 ? 'pg_backup_start' : 'pg_start_backup';
  const exclusive = sql.version >= 15 ? '' : ', false';
  const start = mustParseLsn(await sql.value(`SELECT ${begin}(${literal(source.label)}, ${source.fast}${exclusive})`));
  const tablespaces = hasBegunHere(cluster, start) ? tablespacesOf(cluster) : undefined;
  if (tablespaces === undefined) {
    await endBackup(sql);
    return { reason: 'its files are not those that are seen here' };
  }
  const pages = await pagesOf(sql, source, origin);
  const { changed, facts } = await changedPages(sql, origin, start, pages, source.signal);
  const reading = new LocalReading(run, pages, changed, source.signal);
  await reading.readPlace(cluster.directory, DATA_DIRECTORY, await emptiedBy(sql));
  for (const { oid, directory } of tablespaces)
    await reading.readPlace(directory, `${TABLESPACES_DIRECTORY}/${oid}`, new Set(), oid);
  const read = await run.filesRead();
  const owner = ownerOf(statOf(cluster.directory));
  const control = readControlFile(cluster.directory);
  if (control === undefined) throw new Fault('PG_PAGES_CORRUPT', `The checksum of "${CONTROL}" is wrong`);
  const controlStat = statOf(`${cluster.directory}/${CONTROL}`);
  await keepFile(run, `${DATA_DIRECTORY}/${CONTROL}`, control.bytes, owner, Math.floor(controlStat.mtimeMs / 1000));
  const { stop, label, map } = await endBackup(sql);
  judgePages(read, start, stop);
  await keepFile(run, `${DATA_DIRECTORY}/backup_label`, label, owner);
  await keepFile(run, `${DATA_DIRECTORY}/tablespace_map`, map, owner);
  const timeline = /^START TIMELINE: (\d+)$/m.exec(label.toString('latin1'))?.[1];
  if (timeline === undefined) throw new Fault('PG_PROTOCOL', 'The server does not say on which timeline the backup began');
  const made = [
    { path: `${DATA_DIRECTORY}/${CONTROL}`, sizeBytes: control.bytes.length, mtimeSec: 0 },
    { path: `${DATA_DIRECTORY}/backup_label`, sizeBytes: label.length, mtimeSec: 0 },
    { path: `${DATA_DIRECTORY}/tablespace_map`, sizeBytes: map.length, mtimeSec: 0 },
  ];
  const listed = [...read.flatMap(({ entry }) => entry ?? []), ...made];
  const { systemId } = origin;
  const manifest = baseManifest(listed, { version: sql.version, systemId, timeline, start, stop });
  await keepFile(run, `${DATA_DIRECTORY}/${MANIFEST}`, manifest, owner);
  // One that was made since is made again by the log.
  const mapped = new Set([...map.toString('latin1').matchAll(/^(\d+) /gm)].map(([, oid]) => oid));
  const kept = tablespaces.filter(({ oid }) => mapped.has(oid));
  await keepSurroundings(
    run,
    origin.configuration,
    kept.map(({ oid }) => oid),
    owner,
  );
  return {
    control: control.bytes,
    facts: {
      timeline,
      startPosition: formatLsn(start),
      stopPosition: formatLsn(stop),
      tablespaces: JSON.stringify(kept.map(({ oid, location }) => ({ oid, location }))),
      ...facts,
    },
  };
}

/** Lists and hands over what is to be read. */
class LocalReading {
  readonly #run: EntriesBackupRun;
  readonly #pages: Pages;
  readonly #changed: ChangedPages | undefined;
  readonly #signal: AbortSignal;

  constructor(run: EntriesBackupRun, pages: Pages, changed: ChangedPages | undefined, signal: AbortSignal) {
    this.#run = run;
    this.#pages = pages;
    this.#changed = changed;
    this.#signal = signal;
  }

  /** `tablespace`: undefined for the data directory. */
  async readPlace(root: string, prefix: string, emptied: ReadonlySet<string>, tablespace?: string): Promise<void> {
    for (const file of clusterFiles(root, emptied)) {
      this.#signal.throwIfAborted();
      const { path, kind, stat, segment } = file;
      const entry: FileEntry = {
        ...baseEntry(`${prefix}/${path}`, kind, stat.mode & 0o7777, ownerOf(stat)),
        mtimeSec: Math.floor(stat.mtimeMs / 1000),
        sizeBytes: this.#lengthOf(file),
      };
      if (kind === 'directory') {
        this.#run.begin(entry);
        await this.#run.end();
      } else {
        const changed = segment === undefined ? undefined : this.#changed?.rangesOf(path, tablespace);
        await this.#run.file(entry, { root, path, pages: this.#checkOf(segment), changed });
      }
    }
  }

  /** Of a relation whole pages: a part of one is a page that is just being added, which the server does not count either. */
  #lengthOf({ kind, stat, segment }: ClusterFile): number {
    if (kind === 'directory') return 0;
    return segment === undefined ? stat.size : stat.size - (stat.size % this.#pages.pageBytes);
  }

  #checkOf(segment: number | undefined): FilePlace['pages'] {
    const { pageBytes, segmentPages, areChecked } = this.#pages;
    return segment === undefined || !areChecked ? undefined : { pageBytes, firstPage: segment * segmentPages };
  }
}

type Pages = { readonly pageBytes: number; readonly segmentPages: number; readonly areChecked: boolean };

async function pagesOf(sql: PgConnection, { keepCorruptPages }: BaseBackupSource, { server }: BaseOrigin): Promise<Pages> {
  const { rows } = await sql.query("SELECT name, setting FROM pg_settings WHERE name IN ('block_size', 'segment_size')");
  const setting = (wanted: string): number => Number(rows.find(([name]) => name === wanted)?.[1]);
  const [pageBytes, segmentPages] = [setting('block_size'), setting('segment_size')];
  if (!(pageBytes > 0 && segmentPages > 0)) throw new Fault('PG_PROTOCOL', 'The server does not say how long its pages are');
  return { pageBytes, segmentPages, areChecked: server.checksums && !keepCorruptPages };
}

type Changed = { readonly changed?: ChangedPages; readonly facts: Pick<CollectedFacts, 'readSince' | 'readWholeFor'> };

async function changedPages(
  sql: PgConnection,
  { since }: BaseOrigin,
  start: number,
  { pageBytes, segmentPages }: Pages,
  signal: AbortSignal,
): Promise<Changed> {
  if (since === undefined) return { facts: {} };
  if ('reason' in since) return { facts: { readWholeFor: since.reason } };
  const timeline = (await sql.value('SELECT timeline_id FROM pg_control_checkpoint()')) ?? '';
  const changed = await changedSince(sql, since, { start, timeline, pageBytes, segmentPages }, signal);
  return 'reason' in changed
    ? { facts: { readWholeFor: changed.reason } }
    : { changed, facts: { readSince: formatLsn(since.start) } };
}

/** 14 and older keep statistics in files, at a place that can be chosen. */
async function emptiedBy(sql: PgConnection): Promise<ReadonlySet<string>> {
  const { rows } = await sql.query("SELECT setting FROM pg_settings WHERE name = 'stats_temp_directory' AND setting !~ '^/'");
  return new Set(rows.flatMap(([path]) => (path === null || path === undefined ? [] : [Buffer.from(path).toString('latin1')])));
}

/** Undefined: one of them cannot be seen here. */
function tablespacesOf({ directory }: LocalCluster): Tablespace[] | undefined {
  const links = `${directory}/pg_tblspc`;
  const found: Tablespace[] = [];
  for (const oid of readdirSync(Buffer.from(links, 'latin1'), { encoding: 'latin1' })) {
    try {
      const path = `${links}/${oid}`;
      const target = readlinkSync(Buffer.from(path, 'latin1'), 'buffer');
      found.push({ oid, location: target.toString(), directory: realPath(path) });
    } catch {
      return undefined;
    }
  }
  return found;
}

type Ended = { readonly stop: number; readonly label: Buffer; readonly map: Buffer };

async function endBackup(sql: PgConnection): Promise<Ended> {
  const call = sql.version >= 15 ? 'pg_backup_stop(false)' : 'pg_stop_backup(false, false)';
  // As the bytes that the server would write.
  const bytes = (name: string): string => `encode(convert_to(${name}, current_setting('server_encoding')), 'hex')`;
  const { rows } = await sql.query(`SELECT lsn, ${bytes('labelfile')}, ${bytes('spcmapfile')} FROM ${call}`);
  const [stop, label, map] = rows[0] ?? [];
  return { stop: mustParseLsn(stop), label: Buffer.from(label ?? '', 'hex'), map: Buffer.from(map ?? '', 'hex') };
}

function judgePages(read: readonly ReadEntry[], start: number, stop: number): void {
  const broken = read.flatMap(({ entry, brokenPages }) =>
    brokenPages
      .filter(({ position }) => position < start || position > stop)
      .map(({ page }) => `page ${page} of "${displayPath(entry?.path ?? '')}"`),
  );
  if (broken.length === 0) return;
  const more = broken.length > NAMED_MAX ? ` and ${broken.length - NAMED_MAX} more` : '';
  throw new Fault('PG_PAGES_CORRUPT', `The checksum is wrong of ${broken.slice(0, NAMED_MAX).join(', ')}${more}`);
}

function statOf(path: string): Stats {
  return lstatSync(Buffer.from(path, 'latin1'));
}

function ownerOf({ uid, gid }: Stats): Owner {
  return { uid, gid };
}
