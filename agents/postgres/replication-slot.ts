// The physical slot that makes a server keep its log for us.

import { Fault } from '../../src/base/faults.ts';
import { PgConnection } from './connection.ts';
import type { ServerAddress } from './connection-string.ts';
import { createSlot, dropSlot, literal } from './replication-client.ts';

export class ReplicationSlot {
  readonly #address: ServerAddress;
  readonly #signal: AbortSignal;
  readonly name: string;

  constructor(address: ServerAddress, name: string, signal: AbortSignal) {
    this.#address = address;
    this.#signal = signal;
    this.name = name;
  }

  /** Makes it when there is none that holds log; answers the start of the segment that it holds. */
  async ensure(segmentBytes: number): Promise<number> {
    const found = await this.#state();
    if (found === undefined || found.isLost) return this.renew(segmentBytes);
    return Math.floor(found.position / segmentBytes) * segmentBytes;
  }

  /** One that holds what the server still has. */
  async renew(segmentBytes: number): Promise<number> {
    const found = await this.#state();
    const connection = await PgConnection.open({ address: this.#address, replication: 'true', signal: this.#signal });
    try {
      if (found !== undefined) await dropSlot(connection, this.name);
      await createSlot(connection, this.name);
    } finally {
      connection.close();
    }
    const made = await this.#state();
    if (made === undefined) throw new Fault('PG_PROTOCOL', `The server does not show the slot "${this.name}" that was made`);
    return Math.floor(made.position / segmentBytes) * segmentBytes;
  }

  /** So that the server need not keep log for us any more. Answers false when there was none. */
  async drop(): Promise<boolean> {
    if ((await this.#state()) === undefined) return false;
    const connection = await PgConnection.open({ address: this.#address, replication: 'true', signal: this.#signal });
    try {
      await dropSlot(connection, this.name);
      return true;
    } finally {
      connection.close();
    }
  }

  async #state(): Promise<{ readonly isLost: boolean; readonly position: number } | undefined> {
    const columns = "slot_type, coalesce(wal_status, ''), coalesce((restart_lsn - '0/0'::pg_lsn)::text, '0')";
    const sql = await PgConnection.open({ address: this.#address, signal: this.#signal });
    try {
      const query = `SELECT ${columns} FROM pg_replication_slots WHERE slot_name = ${literal(this.name)}`;
      const row = (await sql.query(query)).rows[0];
      if (row === undefined) return undefined;
      const [type, status, position] = row;
      if (type !== 'physical') throw new Fault('PG_REFUSED', `The replication slot "${this.name}" is a ${type} one`);
      return { isLost: status === 'lost' || Number(position) === 0, position: Number(position) };
    } finally {
      sql.close();
    }
  }
}
