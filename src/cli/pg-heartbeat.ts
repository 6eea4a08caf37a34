// Writing a signed heartbeat into a database every second, and reading the newest one out of a recovered one.

import { setTimeout as sleep } from 'node:timers/promises';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { prepareHeartbeat, readHeartbeat, systemIdOf, writeHeartbeat } from '../../agents/postgres/heartbeat.ts';
import { EXIT, isFault } from '../base/faults.ts';
import { isHeartbeatOf, signHeartbeat } from '../evidence/heartbeat.ts';
import { openSigningKey } from '../trust/audit-key.ts';
import { usage } from './option.ts';
import { hostOf } from './person.ts';
import { assetOfServer, serverOf } from './pg-server.ts';
import { publicKeyIn } from './public-key.ts';
import type { Invocation } from './verb.ts';

export const HEARTBEAT_KEY = 'heartbeat-key';
const EVERY_MS = 1000;
const IDLE_TIMEOUT_MS = 10_000;

export async function pgHeartbeat(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const directory = options.text('key-dir');
  if (directory === undefined) throw usage('"holdfast pg heartbeat" needs --key-dir DIR');
  const pair = openSigningKey(directory, HEARTBEAT_KEY);
  const address = serverOf(invocation);
  const asset = assetOfServer(invocation, address, hostOf(undefined));
  let written = 0;
  let told = '';
  /** As long as the connection lasts. */
  const beat = async (): Promise<void> => {
    const connection = await PgConnection.open({ address, signal, idleTimeoutMs: IDLE_TIMEOUT_MS });
    try {
      await prepareHeartbeat(connection);
      const systemId = await systemIdOf(connection);
      for (let sequence = (await readHeartbeat(connection))?.sequence ?? 0; !signal.aborted; ) {
        const next = signHeartbeat(pair, { asset, systemId }, ++sequence, new Date());
        if (!(await writeHeartbeat(connection, next))) sequence = (await readHeartbeat(connection))?.sequence ?? sequence;
        else written++;
        told = '';
        output.record('heartbeat', { sequence: next.sequence, at: next.at });
        output.flush();
        if (options.flag('once')) return;
        await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
      }
    } finally {
      connection.close();
    }
  };
  for (;;) {
    try {
      await beat();
    } catch (error) {
      if (!signal.aborted && (options.flag('once') || !isFault(error) || error.code === 'PG_DENIED')) throw error;
      // Once for each trouble: a server that is down for a day is not told of every second.
      if (isFault(error) && error.message !== told) output.warning(error.message, { code: error.code });
      told = isFault(error) ? error.message : told;
    }
    if (signal.aborted || options.flag('once')) break;
    await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
  }
  output.summary('pg heartbeat', { asset, written });
  return 0;
}

export async function pgHeartbeatRead(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const trusted = options.texts('key').map(publicKeyIn);
  const address = serverOf(invocation);
  const asset = assetOfServer(invocation, address, hostOf(undefined));
  const connection = await PgConnection.open({ address, signal, idleTimeoutMs: IDLE_TIMEOUT_MS });
  try {
    const row = await readHeartbeat(connection);
    const systemId = await systemIdOf(connection);
    const isSigned = row !== undefined && isHeartbeatOf(row, { asset, systemId }, trusted);
    output.line(
      row === undefined
        ? 'There is no heartbeat in this database.'
        : `${row.at}, number ${row.sequence}: ${isSigned ? 'signed' : 'NOT signed by a trusted key for this cluster'}`,
    );
    output.summary('pg heartbeat-read', { asset, systemId, newest: row?.at ?? null, sequence: row?.sequence ?? null, isSigned });
    return isSigned ? 0 : EXIT.damage;
  } finally {
    connection.close();
  }
}
