// What a server must have before it can be protected, each with what was found, why it matters, and what to do about it.

import { Fault, isFault } from '../../src/base/faults.ts';
import { grantOfConfiguration, readConfigurationFiles } from './configuration-files.ts';
import { PgConnection } from './connection.ts';
import { isSocket, type ServerAddress } from './connection-string.ts';
import { findLocalCluster } from './local-cluster.ts';
import { identifier, identifySystem, literal } from './replication-client.ts';
import { readServerFacts, type ServerFacts } from './server-facts.ts';

const VERSION_MIN = 13;
/** The newest that all of this was tried with. */
const VERSION_MAX = 18;

export type PreflightCheck = {
  readonly name: string;
  /** 'missing': it cannot be protected like this. */
  readonly state: 'ok' | 'warning' | 'missing';
  readonly found: string;
  /** Why it matters; '' when all is well. */
  readonly why: string;
  /** SQL, or a line of a configuration file, that mends it. */
  readonly remedy: string;
};

export type Preflight = {
  readonly checks: readonly PreflightCheck[];
  readonly systemId: string | undefined;
  readonly server: ServerFacts | undefined;
};

/** PG_UNREACHABLE and PG_DENIED are thrown when not even a query can be asked. */
export async function preflight(address: ServerAddress, slot: string, signal: AbortSignal): Promise<Preflight> {
  const sql = await PgConnection.open({ address, signal });
  try {
    const server = await readServerFacts(sql);
    const checks = [
      checkVersion(sql.version, server),
      ...(await checkSettings(sql)),
      ...(await checkRole(sql, address)),
      ...(await checkSlot(sql, slot)),
    ];
    checks.push(...checkPages(server), await checkSynchronous(sql), await checkTablespaces(sql), await checkConfiguration(sql));
    const replication = await checkReplication(address, signal);
    const { systemId } = replication;
    const reading = systemId === undefined ? [] : [await checkReading(sql, server, systemId)];
    return { checks: [...checks, replication.check, ...reading], systemId, server };
  } finally {
    sql.close();
  }
}

/** PG_NOT_READY naming what is missing. */
export function mustBeReady({ checks }: Preflight): void {
  const missing = checks.filter(({ state }) => state === 'missing');
  if (missing.length === 0) return;
  throw new Fault(
    'PG_NOT_READY',
    `The server cannot be protected yet: ${missing.map(({ name, found }) => `${name} (${found})`).join('; ')}`,
  );
}

function check(
  name: string,
  isFine: boolean,
  found: string,
  why: string,
  remedy: string,
  otherwise: 'warning' | 'missing' = 'missing',
): PreflightCheck {
  return isFine ? { name, state: 'ok', found, why: '', remedy: '' } : { name, state: otherwise, found, why, remedy };
}

function checkVersion(version: number, { version: text }: ServerFacts): PreflightCheck {
  if (version > VERSION_MAX)
    return check(
      'version',
      false,
      text,
      `Nothing newer than ${VERSION_MAX} was tried: its log may be of a form in which commits are not recognised`,
      'Prove a recovery of it (holdfast pg prove) before you rely on it, or use a newer Holdfast.',
      'warning',
    );
  return check(
    'version',
    version >= VERSION_MIN,
    text,
    `Servers before ${VERSION_MIN} give no manifest with a base backup`,
    'Upgrade the server.',
  );
}

async function checkSettings(sql: PgConnection): Promise<PreflightCheck[]> {
  const names = [
    'wal_level',
    'max_wal_senders',
    'max_replication_slots',
    'max_slot_wal_keep_size',
    'full_page_writes',
    'fsync',
    'idle_replication_slot_timeout',
    'summarize_wal',
  ];
  const { rows } = await sql.query(`SELECT name, setting FROM pg_settings WHERE name IN (${names.map(literal).join(', ')})`);
  const setting = new Map(rows.map(([name, value]) => [name!, value ?? '']));
  const text = (name: string): string => setting.get(name) ?? '';
  const senders = Number(await sql.value('SELECT count(*) FROM pg_stat_replication'));
  const slots = Number(await sql.value('SELECT count(*) FROM pg_replication_slots'));
  const level = text('wal_level');
  const keep = Number(text('max_slot_wal_keep_size'));
  const more = (name: string, by: number): string =>
    `ALTER SYSTEM SET ${name} = ${Number(text(name)) + by}; -- then restart the server`;
  const checks = [
    check(
      'wal_level',
      level === 'replica' || level === 'logical',
      level,
      'With less, the log does not hold enough to recover from',
      "ALTER SYSTEM SET wal_level = 'replica'; -- then restart the server",
    ),
    check(
      'max_wal_senders',
      Number(text('max_wal_senders')) - senders >= 2,
      `${text('max_wal_senders')}, ${senders} in use`,
      'Capture needs one, a base backup another',
      more('max_wal_senders', 2),
    ),
    check(
      'max_replication_slots',
      Number(text('max_replication_slots')) > slots,
      `${text('max_replication_slots')}, ${slots} in use`,
      'Without a slot the server forgets log that is not stored yet',
      more('max_replication_slots', 1),
      slots > 0 ? 'warning' : 'missing',
    ),
    check(
      'max_slot_wal_keep_size',
      keep !== 0 && keep !== -1,
      keep === -1 ? 'unlimited' : `${keep} MiB`,
      'While capture is away, the log can fill the disk of the server and stop it',
      "ALTER SYSTEM SET max_slot_wal_keep_size = '64GB'; SELECT pg_reload_conf(); -- what the disk can bear",
      'warning',
    ),
    check(
      'full_page_writes',
      text('full_page_writes') === 'on',
      text('full_page_writes'),
      'A base backup of torn pages cannot be mended by the log',
      'ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();',
      'warning',
    ),
    check(
      'fsync',
      text('fsync') === 'on',
      text('fsync'),
      'A power cut can destroy the server',
      'ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();',
      'warning',
    ),
  ];
  const idle = text('idle_replication_slot_timeout');
  if (idle !== '')
    checks.push(
      check(
        'idle_replication_slot_timeout',
        idle === '0',
        idle,
        'The server drops the slot of a capture that is away for so long',
        'ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();',
        'warning',
      ),
    );
  const summaries = text('summarize_wal');
  if (summaries !== '')
    checks.push(
      check(
        'summarize_wal',
        summaries === 'on',
        summaries,
        'Without it every base backup reads all pages; with it those that have changed since the one before',
        'ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf();',
        'warning',
      ),
    );
  return checks;
}

async function checkRole(sql: PgConnection, { user }: ServerAddress): Promise<PreflightCheck[]> {
  const [replication, isSuper, inRecovery] = (
    await sql.query('SELECT rolreplication, rolsuper, pg_is_in_recovery() FROM pg_roles WHERE rolname = current_user')
  ).rows[0] ?? ['f', 'f', 'f'];
  const may = replication === 't' || isSuper === 't';
  return [
    check(
      'role',
      may,
      `${user}${may ? ' may replicate' : ' may not replicate'}`,
      'Base backups and log come over the replication protocol',
      `ALTER ROLE ${identifier(user)} REPLICATION;`,
    ),
    check(
      'primary',
      inRecovery === 'f',
      inRecovery === 'f' ? 'yes' : 'it is a standby',
      'A standby gives what it has received: the recovery point is as old as its lag, and it makes no heartbeat',
      'Name the primary.',
      'warning',
    ),
  ];
}

async function checkSlot(sql: PgConnection, slot: string): Promise<PreflightCheck[]> {
  const { rows } = await sql.query(
    `SELECT slot_type, active, coalesce(wal_status, '') FROM pg_replication_slots WHERE slot_name = ${literal(slot)}`,
  );
  const row = rows[0];
  if (row === undefined)
    return [{ name: 'slot', state: 'ok', found: `"${slot}" is made when capture begins`, why: '', remedy: '' }];
  const [type, active, status] = row;
  if (type !== 'physical')
    return [check('slot', false, `"${slot}" is a ${type} one`, 'Capture needs a physical slot', 'Choose another --slot.')];
  const found = `"${slot}" is ${active === 't' ? 'in use' : 'free'}${status === '' ? '' : `, ${status}`}`;
  return [
    check(
      'slot',
      status !== 'lost' && status !== 'unreserved',
      found,
      'The server is about to forget log that is not stored, or has done so',
      'Start capture now: it records the gap and makes a new base backup.',
      'warning',
    ),
  ];
}

function checkPages({ checksums, segmentBytes }: ServerFacts): PreflightCheck[] {
  return [
    check(
      'data_checksums',
      checksums,
      checksums ? 'on' : 'off',
      'Without them corrupt pages are backed up unnoticed',
      'Stop the server and run pg_checksums --enable.',
      'warning',
    ),
    { name: 'wal_segment_size', state: 'ok', found: `${segmentBytes / 1024 / 1024} MiB`, why: '', remedy: '' },
  ];
}

async function checkSynchronous(sql: PgConnection): Promise<PreflightCheck> {
  const names = (await sql.value('SHOW synchronous_standby_names')) ?? '';
  const commit = (await sql.value('SHOW synchronous_commit')) ?? '';
  const isWaitedFor = /\*|holdfast/.test(names);
  return check(
    'synchronous_standby_names',
    !isWaitedFor || commit !== 'remote_apply',
    names === '' ? 'none' : names,
    'Capture applies nothing: with synchronous_commit = remote_apply every commit would wait for ever',
    "ALTER SYSTEM SET synchronous_commit = 'on'; SELECT pg_reload_conf();",
  );
}

async function checkTablespaces(sql: PgConnection): Promise<PreflightCheck> {
  const { rows } = await sql.query("SELECT spcname FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1");
  return {
    name: 'tablespaces',
    state: 'ok',
    found: rows.length === 0 ? 'none of its own' : rows.map(([name]) => name).join(', '),
    why: '',
    remedy: '',
  };
}

async function checkConfiguration(sql: PgConnection): Promise<PreflightCheck> {
  const { files, missing } = await readConfigurationFiles(sql);
  const found = files.length === 0 ? 'in the data directory' : files.map(({ path }) => path).join(', ');
  return check(
    'configuration',
    missing === '',
    missing === '' ? found : missing,
    'Configuration outside of the data directory is kept with each base backup only if it can be read',
    grantOfConfiguration(identifier(sql.address.user)),
    'warning',
  );
}

async function checkReading(sql: PgConnection, server: ServerFacts, systemId: string): Promise<PreflightCheck> {
  const cluster = await findLocalCluster(sql, server, systemId);
  const isLocal = 'directory' in cluster;
  return check(
    'base backups',
    isLocal || cluster.remedy === undefined,
    isLocal ? 'of its files, which are read here' : `streamed by the server: ${cluster.reason}`,
    'Files that are read on the host of the server take less than half of the processor time, and several at once',
    isLocal ? '' : (cluster.remedy ?? ''),
    'warning',
  );
}

/** pg_hba.conf has lines of its own for replication. */
async function checkReplication(
  address: ServerAddress,
  signal: AbortSignal,
): Promise<{ readonly check: PreflightCheck; readonly systemId: string | undefined }> {
  try {
    const connection = await PgConnection.open({ address, replication: 'true', signal });
    try {
      const { systemId, timeline } = await identifySystem(connection);
      return {
        check: { name: 'replication', state: 'ok', found: `cluster ${systemId}, timeline ${timeline}`, why: '', remedy: '' },
        systemId,
      };
    } finally {
      connection.close();
    }
  } catch (error) {
    if (!isFault(error)) throw error;
    const from = isSocket(address) ? ['local', ''] : ['host ', 'ADDRESS-OF-THIS-HOST/32 '];
    const line = `${from[0]} replication ${address.user} ${from[1]}scram-sha-256`;
    return {
      check: check(
        'replication',
        false,
        error.message,
        'Base backups and log come over the replication protocol',
        `In pg_hba.conf: ${line}   -- then SELECT pg_reload_conf();`,
      ),
      systemId: undefined,
    };
  }
}
