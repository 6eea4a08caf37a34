// The files of a cluster that belong to a base backup: all but what the server leaves out of one as well (see "Base backup" in
// PostgreSQL's documentation of its replication protocol). Of directories whose content does not outlive a server only the directory.

import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs';

/** Left empty. */
const EMPTIED = new Set(['pg_stat_tmp', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_subtrans']);
/** `backup_label` and its like belong to a backup that was not ours. */
const LEFT_OUT = new Set([
  'postgresql.auto.conf.tmp',
  'current_logfiles.tmp',
  'backup_label',
  'tablespace_map',
  'backup_manifest',
  'postmaster.pid',
  'postmaster.opts',
  // Comes last, by itself.
  'global/pg_control',
]);
const LEFT_OUT_PREFIXES = /^(?:pg_internal\.init|pgsql_tmp)/;
const RELATION = /^(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$/;
const TEMPORARY = /^t\d+_\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?$/;
/** Directories that hold relations: of the data directory, and of a tablespace. */
const OF_RELATIONS = /^(?:global|base\/\d+|PG_[^/]+\/\d+)$/;

export type ClusterFile = {
  /** Below the place that was walked, latin1. */
  readonly path: string;
  readonly kind: 'file' | 'directory';
  readonly stat: Stats;
  /** Of a relation: which of its files, from 0 on. */
  readonly segment: number | undefined;
};

/** `place`: an absolute directory, latin1. `emptied`: directories below it besides those that always are. What vanishes on the way is left out. */
export function* clusterFiles(place: string, emptied: ReadonlySet<string>): Generator<ClusterFile> {
  yield* below(place, '', emptied);
}

function* below(place: string, directory: string, emptied: ReadonlySet<string>): Generator<ClusterFile> {
  const names = unlessGone(() => readdirSync(native(place, directory), { encoding: 'latin1' })) ?? [];
  const holdsRelations = OF_RELATIONS.test(directory);
  const unlogged = new Set(holdsRelations ? names.flatMap((name) => /^(\d+)_init$/.exec(name)?.[1] ?? []) : []);
  for (const name of names.sort()) {
    const path = directory === '' ? name : `${directory}/${name}`;
    if (LEFT_OUT.has(name) || LEFT_OUT.has(path) || LEFT_OUT_PREFIXES.test(name)) continue;
    const relation = holdsRelations ? RELATION.exec(name) : null;
    if (holdsRelations && TEMPORARY.test(name)) continue;
    // Of an unlogged relation only what it begins with: the rest is made from that.
    if (relation !== null && relation[2] !== 'init' && unlogged.has(relation[1]!)) continue;
    const stat = unlessGone(() => lstatSync(native(place, path)));
    if (stat === undefined) continue;
    const isEmptied = EMPTIED.has(name) || emptied.has(path);
    if (path === 'pg_wal' || isEmptied) {
      // It may be a link to another disk, which anybody can have made.
      const directory = unlessGone(() => statSync(native(place, path))) ?? stat;
      yield { path, kind: 'directory', stat: directory, segment: undefined };
      if (path === 'pg_wal') for (const inside of logDirectories(place)) yield { ...inside, kind: 'directory', segment: undefined };
    } else if (stat.isDirectory()) {
      yield { path, kind: 'directory', stat, segment: undefined };
      yield* below(place, path, emptied);
    } else if (stat.isFile()) yield { path, kind: 'file', stat, segment: relation === null ? undefined : Number(relation[3] ?? 0) };
  }
}

/** The log itself is captured; the directories in it a server wants to find. */
function logDirectories(place: string): { readonly path: string; readonly stat: Stats }[] {
  return ['pg_wal/archive_status', 'pg_wal/summaries'].flatMap((path) => {
    const stat = unlessGone(() => lstatSync(native(place, path)));
    return stat === undefined ? [] : [{ path, stat }];
  });
}

function native(place: string, path: string): Buffer {
  return Buffer.from(path === '' ? place : `${place}/${path}`, 'latin1');
}

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
