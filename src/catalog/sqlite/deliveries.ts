import type { Delivery, DeliveryTable } from '../deliveries.ts';
import { EVENT } from './events.ts';
import type { Executor } from './executor.ts';
import { recordCodec } from './record.ts';

const DELIVERY = recordCodec<Delivery>('deliveries', {
  id: 'text',
  eventId: 'text',
  sequence: 'integer',
  channel: 'text',
  attempt: 'integer',
  notBefore: 'text',
  state: 'text',
  lastError: 'text',
});

const ADD = DELIVERY.insert();
// What was never put aside is due by every clock.
const DUE = `state = 'waiting' AND (attempt = 0 OR not_before <= @at)`;
const CHANNELS = `SELECT DISTINCT channel FROM deliveries WHERE ${DUE}`;
const NEXT = `SELECT ${DELIVERY.columns} FROM deliveries WHERE ${DUE} AND channel = @channel ORDER BY sequence LIMIT @limit`;
const WAITING = `SELECT count(*) AS count FROM deliveries WHERE state = 'waiting' AND channel = ?`;
const EVENT_OF = `SELECT ${EVENT.columns} FROM events WHERE id = ?`;
const CHANGE = `UPDATE deliveries SET attempt = @attempt, not_before = @notBefore, state = @state, last_error = @lastError WHERE id = @id`;
const GIVE_UP = `UPDATE deliveries SET state = 'given-up', last_error = @lastError
  WHERE state = 'waiting' AND channel = @channel AND (SELECT at FROM events WHERE id = event_id) < @before`;

export function deliveryTable(executor: Executor): DeliveryTable {
  return {
    add: (delivery) => executor.write((sql) => void sql(ADD).run(DELIVERY.encode(delivery))),
    channels: (at) =>
      executor.read((sql) =>
        sql(CHANNELS)
          .all({ at })
          .map((row) => row['channel'] as string),
      ),
    next: (channel, at, limit) =>
      executor.read((sql) =>
        sql(NEXT)
          .all({ channel, at, limit })
          .map(DELIVERY.decode)
          .map((delivery) => ({ delivery, event: EVENT.decode(sql(EVENT_OF).get(delivery.eventId)!) })),
      ),
    waiting: (channel) => executor.read((sql) => sql(WAITING).get(channel)!['count'] as number),
    change: (delivery) => executor.write((sql) => void sql(CHANGE).run(DELIVERY.encode(delivery))),
    giveUp: (channel, before, lastError) => executor.write((sql) => sql(GIVE_UP).run({ channel, before, lastError }).changes),
  };
}
