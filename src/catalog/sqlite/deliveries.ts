import type { Delivery, DeliveryTable } from '../catalog.ts';
import type { Sql } from './connection.ts';
import { EVENT } from './events.ts';
import type { Executor } from './executor.ts';
import { recordCodec } from './record.ts';

const DELIVERY = recordCodec<Delivery>('deliveries', {
  id: 'text',
  eventId: 'text',
  channel: 'text',
  attempt: 'integer',
  notBefore: 'text',
  state: 'text',
  lastError: 'text',
});

const ADD = DELIVERY.insert();
const DUE = `SELECT ${DELIVERY.columns} FROM deliveries WHERE state = 'waiting' AND not_before <= ? ORDER BY not_before, id LIMIT ?`;
const EVENT_OF = `SELECT ${EVENT.columns} FROM events WHERE id = ?`;
const HOLD = 'UPDATE deliveries SET not_before = ? WHERE id = ?';
const CHANGE = `UPDATE deliveries SET attempt = @attempt, not_before = @notBefore, state = @state, last_error = @lastError WHERE id = @id`;

export function deliveryTable(executor: Executor): DeliveryTable {
  const due = (sql: Sql, at: string, limit: number) =>
    sql(DUE)
      .all(at, limit)
      .map(DELIVERY.decode)
      .map((delivery) => ({ delivery, event: EVENT.decode(sql(EVENT_OF).get(delivery.eventId)!) }));
  return {
    add: (delivery) => executor.write((sql) => void sql(ADD).run(DELIVERY.encode(delivery))),
    due: async (at, limit, holdUntil) => {
      const found = await executor.read((sql) => due(sql, at, limit));
      if (holdUntil === undefined || found.length === 0) return found;
      return executor.write((sql) => {
        const taken = due(sql, at, limit);
        for (const { delivery } of taken) sql(HOLD).run(holdUntil, delivery.id);
        return taken;
      });
    },
    change: (delivery) => executor.write((sql) => void sql(CHANGE).run(DELIVERY.encode(delivery))),
  };
}
