// How this agent reaches the server of an asset. The service knows where it is and never the password: that lies in a file of the agent's
// home. A file that holds a whole connection string counts instead of what the service says, so that nobody there could send the password
// to another server.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { Asset, AssetSource } from '../../src/model/asset.ts';
import { parseServerAddress, type ServerAddress } from '../postgres/connection-string.ts';
import { accountName } from './account-name.ts';

export type PostgresSource = Extract<AssetSource, { readonly kind: 'postgres' }>;

export const DEFAULT_SLOT = 'holdfast';
const SECRET_BYTES_MAX = 16 * 1024;

/** RUN_KIND_UNKNOWN: an asset of another kind has no log. */
export function postgresSourceOf(asset: Asset | undefined): PostgresSource {
  if (asset?.source.kind === 'postgres') return asset.source;
  throw new Fault('RUN_KIND_UNKNOWN', `Only a database has a log; "${asset?.name ?? ''}" is ${asset?.source.kind ?? 'nothing'}`);
}

/** USAGE, SOURCE_NOT_FOUND. `secrets`: the directory of the agent's home. */
export function serverAddressOf({ connection, secret }: Omit<PostgresSource, 'kind'>, secrets: string): ServerAddress {
  const person = accountName();
  if (secret === undefined) return parseServerAddress(connection, {}, person);
  const text = readSecret(join(secrets, secret));
  const isWhole = /^postgres(?:ql)?:\/\//.test(text) || /^\s*[a-z_]+\s*=/.test(text);
  return isWhole ? parseServerAddress(text, {}, person) : parseServerAddress(connection, { PGPASSWORD: text }, person);
}

function readSecret(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Fault('SOURCE_NOT_FOUND', `The secret "${path}" cannot be read: ${code}`, {
      cause,
      hint: 'Put the password there, in a file that only the user of the agent can read (0600).',
    });
  }
  if (bytes.length === 0 || bytes.length > SECRET_BYTES_MAX) throw new Fault('SOURCE_NOT_FOUND', `The secret "${path}" holds none`);
  return bytes.toString('utf8').replace(/\r?\n$/, '');
}
