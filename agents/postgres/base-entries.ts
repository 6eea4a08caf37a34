// What a base backup looks like in its snapshot, however its files were read:
//
//   data/                    the data directory, with backup_manifest, backup_label and tablespace_map
//   tablespaces/<oid>/       each tablespace
//   configuration/           configuration that lies elsewhere on the server, under its whole path there

import type { EntriesBackupRun } from '../../src/engine/backup-entries.ts';
import type { FileEntry } from '../../src/model/entry.ts';
import type { ConfigurationFiles } from './configuration-files.ts';

export const DATA_DIRECTORY = 'data';
export const TABLESPACES_DIRECTORY = 'tablespaces';
export const CONFIGURATION_DIRECTORY = 'configuration';
export const MANIFEST = 'backup_manifest';

export type Owner = { readonly uid: number; readonly gid: number };

export type CollectedBase = {
  /** The bytes of pg_control, as they were kept. */
  readonly control: Buffer;
  readonly facts: CollectedFacts;
};

/** What was learned on the way. Positions as text, tablespaces as JSON: parts of BaseFacts. */
export type CollectedFacts = {
  readonly timeline: string;
  readonly startPosition: string;
  readonly stopPosition: string;
  readonly tablespaces: string;
  /** Where the base backup began of which unchanged pages were kept unread; or why none were, although the server summarizes its log. */
  readonly readSince?: string;
  readonly readWholeFor?: string;
};

export async function keepFile(run: EntriesBackupRun, path: string, bytes: Uint8Array, owner: Owner, mtimeSec = 0): Promise<void> {
  run.begin({ ...baseEntry(path, 'file', 0o600, owner), sizeBytes: bytes.length, mtimeSec });
  if (bytes.length > 0) await run.data(bytes);
  await run.end();
}

/** The configuration, and the directories above everything. `tablespaces`: their oids. */
export async function keepSurroundings(
  run: EntriesBackupRun,
  { files }: ConfigurationFiles,
  tablespaces: readonly string[],
  owner: Owner,
): Promise<void> {
  const directories = new Set(['', DATA_DIRECTORY]);
  for (const oid of tablespaces) directories.add(TABLESPACES_DIRECTORY).add(`${TABLESPACES_DIRECTORY}/${oid}`);
  for (const { path, bytes } of files) {
    const place = `${CONFIGURATION_DIRECTORY}${Buffer.from(path).toString('latin1')}`;
    await keepFile(run, place, bytes, owner);
    for (let at = place.indexOf('/'); at !== -1; at = place.indexOf('/', at + 1)) directories.add(place.slice(0, at));
  }
  for (const path of directories) {
    run.begin(baseEntry(path, 'directory', 0o700, owner));
    await run.end();
  }
}

export function baseEntry(path: string, kind: FileEntry['kind'], mode: number, { uid, gid }: Owner): FileEntry {
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    sizeBytes: 0,
    mtimeSec: 0,
    mtimeNsec: 0,
    ctimeSec: 0,
    ctimeNsec: 0,
    inode: 0,
    device: 0,
    links: 1,
    rdevMajor: 0,
    rdevMinor: 0,
    linkTarget: '',
  };
}
