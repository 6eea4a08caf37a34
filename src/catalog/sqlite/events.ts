import type { Event } from '../../model/event.ts';
import { newId } from '../../model/identifier.ts';
import type { EventTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { recordCodec } from './record.ts';

export const EVENT = recordCodec<Event>('events', {
  id: 'text',
  sequence: 'integer',
  tenantId: 'text',
  assetId: 'text',
  runId: 'text',
  kind: 'text',
  severity: 'text',
  message: 'text',
  cause: 'text',
  action: 'text',
  details: 'json',
  at: 'text',
});

// A sequence of NULL is the next one.
const ADD = `${EVENT.insert()} RETURNING ${EVENT.columns}`;
const OF_ALL = `SELECT ${EVENT.columns} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?`;
const OF_TENANT = `SELECT ${EVENT.columns} FROM events WHERE tenant_id = ? AND sequence > ? ORDER BY sequence LIMIT ?`;

export function eventTable(executor: Executor, random: (bytes: number) => Uint8Array): EventTable {
  return {
    add: (event, at) =>
      executor.write((sql) => {
        const id = newId('event', new Date(at), random);
        return EVENT.decode(sql(ADD).get({ ...EVENT.encode({ ...event, id, sequence: 0, at }), sequence: null })!);
      }),
    after: (sequence, tenantId, limit) =>
      executor.read((sql) =>
        (tenantId === undefined ? sql(OF_ALL).all(sequence, limit) : sql(OF_TENANT).all(tenantId, sequence, limit)).map(
          EVENT.decode,
        ),
      ),
  };
}
