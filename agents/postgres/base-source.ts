// What a base backup is made of: what was asked for, and what the server has said before it began.

import type { BackupProgress } from '../../src/engine/backup-progress.ts';
import type { LogRepository } from './capture-options.ts';
import type { ConfigurationFiles } from './configuration-files.ts';
import type { ServerAddress } from './connection-string.ts';
import type { ManifestChecksums } from './replication-client.ts';
import type { ServerFacts } from './server-facts.ts';
import type { ReadWhole, Since } from './wal-summaries.ts';

export type BaseBackupSource = {
  readonly address: ServerAddress;
  readonly progress: BackupProgress;
  readonly label: string;
  /** An immediate checkpoint instead of a spread one. */
  readonly fast: boolean;
  /** Keep a backup with pages that are found corrupt. */
  readonly keepCorruptPages: boolean;
  /** How the server's manifest, and we, check that every file arrived as it was read. Only the server makes one with SHA-256. */
  readonly manifest: ManifestChecksums;
  /** Where the log of its asset is stored: a base backup of another cluster or history is refused. Undefined: that is not to be seen here. */
  readonly log: { readonly repository: LogRepository; readonly asset: string } | undefined;
  /** Over the replication protocol although the files could be read. */
  readonly stream?: boolean;
  readonly signal: AbortSignal;
};

/** One that is made because a log needs it: protection begins with it, so it does not wait for a spread checkpoint. */
export const BASE_OF_LOG = {
  fast: true,
  keepCorruptPages: false,
  manifest: 'CRC32C',
} as const satisfies Partial<BaseBackupSource>;

export type BaseOrigin = {
  readonly server: ServerFacts;
  readonly systemId: string;
  readonly configuration: ConfigurationFiles;
  /** The base backup before, whose pages may be kept; undefined: there is none of the kind. */
  readonly since: Since | ReadWhole | undefined;
};
