// From events to deliveries: a cursor over the sequence of events, moved in the transaction that queues what the events before it need. So
// every event is queued once for each of its channels, whoever made it, however many processes do this, and wherever one of them dies.

import type { Catalog } from '../catalog/catalog.ts';
import { newId } from '../model/identifier.ts';
import { instantOf } from '../model/instant.ts';
import { readChannels } from './channel-settings.ts';
import { isWantedBy } from './route.ts';

const CURSOR_SETTING = 'notify.sequence';
const EVENTS_AT_ONCE = 200;

export type RouterPorts = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
};

/** Queues deliveries for all events that have none yet. Answers how many it queued. */
export async function routeEvents({ catalog, now, random }: RouterPorts): Promise<number> {
  let queued = 0;
  for (;;) {
    if ((await catalog.events.after(await cursorOf(catalog), undefined, 1)).length === 0) return queued;
    queued += await catalog.transaction(async (tables) => {
      const events = await tables.events.after(await cursorOf(tables), undefined, EVENTS_AT_ONCE);
      const last = events.at(-1);
      if (last === undefined) return 0;
      const channels = await readChannels(tables);
      const at = now();
      let count = 0;
      for (const event of events) {
        for (const channel of channels.filter((one) => isWantedBy(one, event))) {
          const id = newId('delivery', at, random);
          await tables.deliveries.add({
            id,
            eventId: event.id,
            sequence: event.sequence,
            channel: channel.name,
            attempt: 0,
            notBefore: instantOf(at),
            state: 'waiting',
          });
          count++;
        }
      }
      await tables.settings.set(CURSOR_SETTING, String(last.sequence));
      return count;
    });
  }
}

async function cursorOf(tables: Pick<Catalog, 'settings'>): Promise<number> {
  return Number((await tables.settings.get(CURSOR_SETTING)) ?? '0');
}
