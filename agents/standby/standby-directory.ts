// What makes a data directory a standby of ours: a file that says of what, and the settings by which its server finds its log. The settings
// name a directory beside it, which is private and holds the sockets that the log comes by. All of it goes when the server was promoted.

import { chmodSync, chownSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import type { FileOwner } from '../postgres/log-server.ts';
import { configLiteral, floorLines, restoreCommandOf, withOwn, withoutRecovery } from '../postgres/recovery-settings.ts';

import { spoolOf, writeOwned } from '../postgres/restore.ts';
import { SENDER_PORT } from './wal-sender.ts';

const FACTS = 'holdfast-standby.json';
const SIGNAL = 'standby.signal';
const PLAN = 'plan.json';
export const LOG_SOCKET = 'log';
const VERSION_WITH_PREFETCH = 15;
/** Of an address of a socket, with its ending zero. */
const SOCKET_PATH_MAX = 107;

export type StandbyFacts = {
  readonly version: 1;
  readonly asset: string;
  readonly systemId: string;
  readonly serverVersion: string;
  readonly segmentBytes: number;
  readonly floor: Readonly<Record<string, number>>;
  /** Name of the snapshot that it was made from. */
  readonly base: string;
  readonly madeAt: string;
  /** The only one that it follows, whatever others there are. */
  readonly timeline: number;
  /** Where its log was sealed: it replays nothing from there on. Null: it goes on. */
  readonly sealed: number | null;
};

/** Undefined when the directory is no standby of ours. */
export function readStandby(dataDirectory: string): StandbyFacts | undefined {
  const path = join(dataDirectory, FACTS);
  if (!existsSync(path)) return undefined;
  return JSON.parse(readFileSync(path, 'utf8')) as StandbyFacts;
}

export function mustBeStandby(dataDirectory: string): StandbyFacts {
  const facts = readStandby(dataDirectory);
  if (facts === undefined) throw new Fault('STANDBY_NONE', `"${dataDirectory}" is no standby that this program has made`);
  return facts;
}

export function writeStandby(dataDirectory: string, facts: StandbyFacts, owner: FileOwner | undefined): void {
  const path = join(dataDirectory, FACTS);
  writeOwned(`${path}.new`, `${JSON.stringify(facts)}\n`, owner);
  renameSync(`${path}.new`, path);
}

/** Beside the data directory: where its sockets lie. */
export function runDirectoryOf(dataDirectory: string): string {
  return `${dataDirectory}-standby`;
}

export function makeRunDirectory(dataDirectory: string, owner: FileOwner | undefined): string {
  const path = runDirectoryOf(dataDirectory);
  if (Buffer.byteLength(`${path}/.s.PGSQL.${SENDER_PORT}`) > SOCKET_PATH_MAX)
    throw new Fault('USAGE', `The path "${path}" is too long for a socket: use a data directory with a shorter path`);
  makeDirectory(path, { mode: 0o700 });
  chmodSync(path, 0o700);
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  return path;
}

/** Makes its server one that recovers for ever, from our log, on that timeline. `program`: what the helper is started by. */
export function configureStandby(
  dataDirectory: string,
  facts: StandbyFacts,
  program: readonly string[],
  owner: FileOwner | undefined,
): void {
  const run = makeRunDirectory(dataDirectory, owner);
  const plan = join(run, PLAN);
  const { segmentBytes, asset } = facts;
  const own = { socket: join(run, LOG_SOCKET), dataDirectory, segmentBytes, asset, legs: [], cacheDirectory: '', waits: true };
  writeOwned(plan, JSON.stringify(own), owner);
  const auto = join(dataDirectory, 'postgresql.auto.conf');
  const before = existsSync(auto) ? readFileSync(auto, 'utf8') : '';
  const lines = [
    `restore_command = ${configLiteral(restoreCommandOf(program, plan, spoolOf(dataDirectory)))}`,
    `recovery_target_timeline = '${facts.timeline}'`,
    `primary_conninfo = ${configLiteral(`host='${run.replaceAll("'", "\\'")}' port=${SENDER_PORT} user=holdfast sslmode=disable`)}`,
    "primary_slot_name = ''",
    // How long it waits before it asks anew after a break.
    "wal_retrieve_retry_interval = '200ms'",
    "wal_receiver_status_interval = '1s'",
    // A helper that waits must not hold up what was read before it was asked.
    ...(Number.parseInt(facts.serverVersion, 10) >= VERSION_WITH_PREFETCH ? ['recovery_prefetch = off'] : []),
    'hot_standby = on',
    'archive_mode = off',
    "archive_command = ''",
    "synchronous_standby_names = ''",
    'recovery_min_apply_delay = 0',
    ...floorLines(facts.floor),
  ];
  writeOwned(auto, withOwn(before, lines), owner);
  rmSync(join(dataDirectory, 'recovery.signal'), { force: true });
  writeOwned(join(dataDirectory, SIGNAL), '', owner);
}

/** After the promotion: nothing is left that says where it came from, or pins it. The server has to read its configuration again. */
export function endStandby(dataDirectory: string, owner: FileOwner | undefined): void {
  if (existsSync(join(dataDirectory, SIGNAL)))
    throw new Fault('STANDBY_REFUSED', `The server in "${dataDirectory}" is not promoted yet`);
  const auto = join(dataDirectory, 'postgresql.auto.conf');
  writeOwned(auto, withoutRecovery(readFileSync(auto, 'utf8')), owner);
  rmSync(spoolOf(dataDirectory), { recursive: true, force: true });
  rmSync(join(dataDirectory, FACTS), { force: true });
  rmSync(runDirectoryOf(dataDirectory), { recursive: true, force: true });
}
