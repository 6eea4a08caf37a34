// What the verbs about PostgreSQL share: the server's address, the asset's name, one base backup.

import { userInfo } from 'node:os';
import { readBaseBackup } from '../../agents/postgres/base-backup.ts';
import type { BaseBackupSource } from '../../agents/postgres/base-source.ts';
import { describeServer, isSocket, parseServerAddress, type ServerAddress } from '../../agents/postgres/connection-string.ts';
import { withPasswordFile } from '../../agents/postgres/password-file.ts';
import { wordsOfService } from '../../agents/postgres/service-file.ts';
import { backUp } from '../engine/backup.ts';
import type { BackupProgress } from '../engine/backup-progress.ts';
import { pathFromText } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { levelOf } from './compression.ts';
import { hostOf, userOf } from './person.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

export const DEFAULT_SLOT = 'holdfast';

export function serverOf({ args, environment }: Invocation): ServerAddress {
  return serverAt(args[0]!, environment);
}

/** As PostgreSQL's own clients take it: from the text, its service, the PG* variables and the password file. */
export function serverAt(text: string, { variables }: Invocation['environment']): ServerAddress {
  const { username, homedir } = userInfo();
  const home = variables.HOME || homedir;
  const services = (name: string): Map<string, string> => wordsOfService(name, variables, home);
  return withPasswordFile(parseServerAddress(text, variables, username, services), variables, home);
}

/** "pg/db1" */
export function assetOfServer({ options }: Invocation, address: ServerAddress, thisHost: string): string {
  const { host, port } = address;
  return options.text('asset') ?? `pg/${isSocket(address) ? thisHost : host}${port === 5432 ? '' : `-${port}`}`;
}

export type BaseDetails = {
  readonly invocation: Invocation;
  readonly repository: Repository;
  readonly address: ServerAddress;
  readonly asset: string;
  readonly progress: BackupProgress;
  readonly signal: AbortSignal;
} & Pick<BaseBackupSource, 'fast' | 'keepCorruptPages' | 'manifest' | 'stream'>;

export function backUpCluster(details: BaseDetails): Promise<Snapshot> {
  const { invocation, repository, address, asset, progress, signal } = details;
  const { options } = invocation;
  return backUp(
    repository,
    {
      asset,
      type: 'files',
      host: hostOf(options),
      user: userOf(),
      paths: [pathFromText(describeServer(address))],
      tags: [],
      program: versionText(),
      now: () => new Date(),
      threads: threadsOf(options),
      level: levelOf(options.text('compression')),
      signal,
      progress,
      // Every file of a base backup is there, or there is none.
      listener: { onProblem: () => {} },
    },
    readBaseBackup({ ...details, label: 'holdfast', log: { repository, asset } }),
  );
}
