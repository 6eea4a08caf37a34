// Takes due deliveries to their channels until they arrived or were given up.
//
// At least once: a delivery is taken for longer than an attempt lasts before it is tried, so that two processes do not both send it, and
// one that dies is followed by another. Receivers tell by the event's id that they had it already.
// A channel that fails is not tried again for the rest of a round; other channels go on beside it.

import type { Logger } from 'pino';
import type { Catalog, Delivery } from '../catalog/catalog.ts';
import type { Event } from '../model/event.ts';
import { instantOf, laterBy } from '../model/instant.ts';
import type { Channel } from './channel.ts';
import { readChannels } from './channel-settings.ts';
import { sendMail } from './mail.ts';
import { sendToRobot } from './robot.ts';
import { GIVEN_UP } from './route.ts';
import { failed, messageOf, type SendContext, type SendOutcome } from './send.ts';
import { sendSyslog } from './syslog.ts';
import { sendWebhook } from './webhook.ts';

const AT_ONCE = 50;
const ATTEMPTS_MAX = 14;
const BACKOFF_MS = 15_000;
/** Fourteen attempts reach over about half a day. */
const BACKOFF_MS_MAX = 3_600_000;
/** Longer than a round of attempts of one channel takes. */
const RESERVED_MS = 15 * 60_000;
/** A channel that takes what it is sent, but slowly, ends a round after so long: what happened meanwhile waits for the next one. */
const ROUND_MS = 20_000;
const ERROR_CHARS_MAX = 500;

export type DelivererPorts = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  readonly readSecret: (name: string) => Promise<string>;
  readonly roundMs?: number;
};
type Due = { readonly delivery: Delivery; readonly event: Event };

/** One round: everything that is due, as far as its channels take it soon. Answers how many arrived. */
export async function deliverDue(ports: DelivererPorts, signal: AbortSignal): Promise<number> {
  const { roundMs = ROUND_MS } = ports;
  const begun = performance.now();
  const isLate = (): boolean => performance.now() - begun >= roundMs;
  let arrived = 0;
  do {
    const at = instantOf(ports.now());
    const due = await ports.catalog.deliveries.due(at, AT_ONCE, laterBy(at, RESERVED_MS));
    if (due.length === 0) break;
    const channels = new Map((await readChannels(ports.catalog)).map((channel) => [channel.name, channel]));
    const byChannel = Map.groupBy(due, ({ delivery }) => delivery.channel);
    const counts = await Promise.all(
      [...byChannel].map(([name, some]) => deliverTo(ports, channels.get(name), some, isLate, signal)),
    );
    arrived += counts.reduce((sum, count) => sum + count, 0);
  } while (!signal.aborted && !isLate());
  return arrived;
}

async function deliverTo(
  ports: DelivererPorts,
  channel: Channel | undefined,
  due: readonly Due[],
  isLate: () => boolean,
  signal: AbortSignal,
): Promise<number> {
  let arrived = 0;
  let isDown = false;
  for (const [n, one] of due.entries()) {
    if (signal.aborted || isDown || (n > 0 && isLate())) {
      // Untried: as it was, but behind the others when its channel is down.
      const at = instantOf(ports.now());
      await ports.catalog.deliveries.change({ ...one.delivery, notBefore: isDown ? laterBy(at, BACKOFF_MS) : at });
      continue;
    }
    const outcome =
      channel === undefined
        ? failed('There is no such channel any more', true)
        : await attempt(channel, { ...one, now: ports.now(), readSecret: ports.readSecret, signal });
    if (outcome.kind === 'sent') {
      arrived++;
      await ports.catalog.deliveries.change({ ...delivered(one.delivery), attempt: one.delivery.attempt + 1 });
    } else {
      isDown = !outcome.final;
      await settleFailure(ports, one, outcome);
    }
  }
  return arrived;
}

function delivered({ lastError: _, ...delivery }: Delivery): Delivery {
  return { ...delivery, state: 'delivered' };
}

async function attempt(channel: Channel, context: SendContext): Promise<SendOutcome> {
  try {
    switch (channel.kind) {
      case 'webhook':
        return await sendWebhook(channel, context);
      case 'dingtalk':
      case 'wecom':
        return await sendToRobot(channel, context);
      case 'mail':
        return await sendMail(channel, context);
      case 'syslog':
        return await sendSyslog(channel, context);
    }
  } catch (error) {
    return failed(messageOf(error));
  }
}

type Failure = Extract<SendOutcome, { kind: 'failed' }>;

async function settleFailure({ catalog, now, log }: DelivererPorts, { delivery, event }: Due, failure: Failure): Promise<void> {
  const attempt = delivery.attempt + 1;
  const lastError = failure.message.slice(0, ERROR_CHARS_MAX);
  const at = instantOf(now());
  if (!failure.final && attempt < ATTEMPTS_MAX) {
    const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (attempt - 1));
    await catalog.deliveries.change({ ...delivery, attempt, lastError, notBefore: laterBy(at, waitMs) });
    log.info({ channel: delivery.channel, event: event.id, attempt, waitMs, error: lastError }, 'an event was not delivered yet');
    return;
  }
  log.warn({ channel: delivery.channel, event: event.id, attempt, error: lastError }, 'an event could not be delivered');
  await catalog.transaction(async (tables) => {
    await tables.deliveries.change({ ...delivery, attempt, lastError, state: 'given-up' });
    if (event.kind === GIVEN_UP) return;
    await tables.events.add(
      {
        ...(event.tenantId === undefined ? {} : { tenantId: event.tenantId }),
        kind: GIVEN_UP,
        severity: 'warning',
        message: `The event ${event.id} (${event.kind}) could not be delivered to the channel "${delivery.channel}"`,
        cause: lastError,
        action: 'Check the channel and its receiver; the event itself is in the list of events.',
        details: { channel: delivery.channel, event: event.id },
      },
      at,
    );
  });
}
