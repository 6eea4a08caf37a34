// The list of files that the server makes with a base backup, for one whose files were read here: in the server's form, so that
// pg_verifybackup reads it, but without checksums of files. What was read has names in the snapshot that are checksums.

import { createHash } from 'node:crypto';
import type { FileEntry } from '../../src/model/entry.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { DATA_DIRECTORY, TABLESPACES_DIRECTORY } from './base-entries.ts';

/** `path`: in the snapshot. */
export type ListedFile = Pick<FileEntry, 'path' | 'sizeBytes' | 'mtimeSec'>;

export type ManifestFacts = {
  /** Major. */
  readonly version: number;
  readonly systemId: string;
  readonly timeline: string;
  readonly start: number;
  readonly stop: number;
};

export function baseManifest(files: readonly ListedFile[], facts: ManifestFacts): Buffer {
  const { version, systemId, timeline, start, stop } = facts;
  const head = version >= 17 ? `2,\n"System-Identifier": ${systemId}` : '1';
  const range = `{ "Timeline": ${timeline}, "Start-LSN": "${formatLsn(start)}", "End-LSN": "${formatLsn(stop)}" }`;
  const text = [
    `{ "PostgreSQL-Backup-Manifest-Version": ${head},`,
    `"Files": [\n${files.map(lineOf).join(',\n')}\n],`,
    `"WAL-Ranges": [\n${range}\n],\n`,
  ].join('\n');
  return Buffer.from(`${text}"Manifest-Checksum": "${createHash('sha256').update(text).digest('hex')}"}\n`);
}

function lineOf({ path, sizeBytes, mtimeSec }: ListedFile): string {
  const name = Buffer.from(
    path.startsWith(`${DATA_DIRECTORY}/`)
      ? path.slice(DATA_DIRECTORY.length + 1)
      : `pg_tblspc${path.slice(TABLESPACES_DIRECTORY.length)}`,
    'latin1',
  );
  const text = name.toString();
  const isText = Buffer.from(text).equals(name);
  const where = isText ? `"Path": ${JSON.stringify(text)}` : `"Encoded-Path": "${name.toString('hex')}"`;
  const modified = new Date(mtimeSec * 1000).toISOString().slice(0, 19).replace('T', ' ');
  return `{ ${where}, "Size": ${sizeBytes}, "Last-Modified": "${modified} GMT" }`;
}
