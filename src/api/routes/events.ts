// What happened: as a list, and as a stream that goes on where it broke off.

import { Type } from '../../base/type.ts';
import { Event } from '../../model/event.ts';
import { PAGE_ITEMS_MAX } from '../../model/page.ts';
import { eventsFrom, lastSequence } from '../event-feed.ts';
import { route } from '../route.ts';
import { eventText } from '../streams.ts';

const Since = Type.Optional(Type.Integer({ minimum: 0, description: 'sequence after which to begin; 0: from the first' }));
const EventList = Type.Object(
  { items: Type.Array(Event), next: Type.Integer({ description: '"since" of the next request' }) },
  { additionalProperties: false, $id: 'EventList' },
);
const LIMIT_DEFAULT = 100;

export const EVENT_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/events',
    name: 'listEvents',
    tag: 'events',
    summary: 'List events, the oldest first',
    action: 'event.read',
    query: { since: Since, limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_ITEMS_MAX })) },
    answers: { 200: { description: 'Events after `since`', schema: EventList } },
    handle: async ({ catalog, tenant, query }) => {
      const { since = 0, limit = LIMIT_DEFAULT } = query;
      const items = await catalog.events.after(since, tenant.id, limit);
      return { status: 200, body: { items, next: items.at(-1)?.sequence ?? since } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/events/stream',
    name: 'streamEvents',
    tag: 'events',
    summary: 'Events as they happen (server-sent events)',
    description:
      'Each has its sequence as id: after a break, Last-Event-ID goes on behind it. Without that and without `since` it begins now. A stream ends by itself after ten minutes; come back.',
    action: 'event.read',
    query: { since: Since },
    answers: { 200: { description: 'Events; data is the event as JSON', schema: Type.String(), media: 'text/event-stream' } },
    handle: async () => ({ status: 200 }),
    stream:
      ({ catalog, tenant, query, config }) =>
      async ({ lastEventId, signal, write }) => {
        const resumed = lastEventId !== undefined && /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : undefined;
        const since = resumed ?? query.since ?? (await lastSequence(catalog, tenant.id));
        for await (const event of eventsFrom(catalog, tenant.id, since, config.streams.pollMs, signal))
          await write(eventText(event.sequence, event.kind, event));
      },
  }),
];
