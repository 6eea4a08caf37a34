// What the tests of channels share: an event, a delivery of it, and what an attempt needs.

import type { Delivery } from '../../src/catalog/deliveries.ts';
import type { Event } from '../../src/model/event.ts';
import type { SendContext } from '../../src/notify/send.ts';

export const EVENT: Event = {
  id: 'evt_01hzzzzzzz0123456789abcdef',
  sequence: 7,
  tenantId: 'ten_01hzzzzzzz0123456789abcdef',
  assetId: 'ast_01hzzzzzzz0123456789abcdef',
  kind: 'objective.broken',
  severity: 'critical',
  message: 'The last recovery point of web1/www is 3 h old; 1 h was promised',
  cause: 'Its agent has not been seen since 07:00',
  action: 'Start the agent on web1',
  at: '2026-11-21T08:00:00.000Z',
};

const DELIVERY: Delivery = {
  id: 'dlv_01hzzzzzzz0123456789abcdef',
  eventId: EVENT.id,
  sequence: EVENT.sequence,
  channel: 'ops',
  attempt: 2,
  notBefore: EVENT.at,
  state: 'waiting',
};

export const NOW = new Date('2026-11-21T08:00:05.000Z');

export function contextOf(secrets: Readonly<Record<string, string>> = {}, event: Event = EVENT): SendContext {
  return {
    event,
    delivery: DELIVERY,
    now: NOW,
    readSecret: async (name) => {
      const secret = secrets[name];
      if (secret === undefined) throw new Error(`no secret ${name}`);
      return secret;
    },
    signal: new AbortController().signal,
  };
}
