// What a server says about itself that a restore of it must know.

import { Fault } from '../../src/base/faults.ts';
import type { PgConnection } from './connection.ts';

export type ServerFacts = {
  /** "15.18 (Debian ...)" */
  readonly version: string;
  readonly dataDirectory: string;
  readonly segmentBytes: number;
  readonly checksums: boolean;
  readonly encoding: string;
  /** Who made the backup, and where: both exist in every restored copy. */
  readonly role: string;
  readonly database: string;
  /** A hot standby needs at least these. */
  readonly floor: Readonly<Record<string, number>>;
};

export const FLOOR_PARAMETERS = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
] as const;

const SHOWN = ['server_version', 'data_directory', 'data_checksums', 'server_encoding', 'wal_segment_size', ...FLOOR_PARAMETERS];
const UNIT_BYTES: Readonly<Record<string, number>> = { B: 1, kB: 1024, '8kB': 8192, MB: 1024 * 1024, '16MB': 16 * 1024 * 1024 };

export async function readServerFacts(connection: PgConnection): Promise<ServerFacts> {
  const names = SHOWN.map((name) => `'${name}'`).join(', ');
  const { rows } = await connection.query(`SELECT name, setting, unit FROM pg_settings WHERE name IN (${names})`);
  const settings = new Map(rows.map(([name, setting, unit]) => [name, { setting: setting ?? '', unit: unit ?? '' }]));
  const text = (name: string): string => settings.get(name)?.setting ?? '';
  const segment = settings.get('wal_segment_size');
  const unitBytes = UNIT_BYTES[segment?.unit ?? ''];
  const segmentBytes = Number(segment?.setting) * (unitBytes ?? Number.NaN);
  if (!Number.isSafeInteger(segmentBytes)) throw new Fault('PG_PROTOCOL', 'The server does not say how long its log segments are');
  return {
    version: text('server_version'),
    // Hidden from roles without pg_read_all_settings.
    dataDirectory: text('data_directory'),
    segmentBytes,
    checksums: text('data_checksums') === 'on',
    encoding: text('server_encoding'),
    role: connection.address.user,
    database: connection.address.database,
    floor: Object.fromEntries(FLOOR_PARAMETERS.map((name) => [name, Number(text(name))])),
  };
}
