// Takes what waits for each channel to its receiver until it arrived.
//
// - Each channel has a lane of its own: one that hangs keeps no other one waiting.
// - In order: what happened first is told first, also after a receiver was down for days. Nothing is given up for that before a month is over.
// - Whatever is not taken is tried with the next one: when that is taken, it was the event's fault, which is put aside and tried by itself, so
//   many times; when neither is, nothing reaches the receiver, whatever it says, and the channel is tried later and later.
// - At least once: a channel is held for longer than a round of it lasts, so two processes do not both tell it, and one that dies is
//   followed by another. Receivers tell by the event's id that they had it already.

import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import type { Delivery } from '../catalog/deliveries.ts';
import type { Event, NewEvent } from '../model/event.ts';
import { type Instant, instantOf, laterBy } from '../model/instant.ts';
import type { Channel } from './channel.ts';
import { readChannels } from './channel-settings.ts';
import { type ChannelDown, holdChannel, stillDown, writeState } from './channel-state.ts';
import { routeEvents } from './event-router.ts';
import { sendMail } from './mail.ts';
import { sendToRobot } from './robot.ts';
import { FAILING, GIVEN_UP, RESUMED } from './route.ts';
import { failed, messageOf, type SendContext, type SendOutcome } from './send.ts';
import { sendSyslog } from './syslog.ts';
import { sendWebhook } from './webhook.ts';

const AT_ONCE = 50;
/** A round ends after so long, and what has changed of the channel counts. */
const ROUND_MS = 20_000;
/** Of any channel that does not say. */
const TIMEOUT_MS_MAX = 60_000;
const HOLD_SLACK_MS = 10_000;
/** Of an event that is not taken while others are: over about half a day. */
const ATTEMPTS_MAX = 14;
const ASIDE_MS = 15_000;
const ASIDE_MS_MAX = 3_600_000;
/** Of events whose receiver is not reached. */
const KEPT_MS = 30 * 86_400_000;
/** Attempts in vain, over some minutes, after which the other channels hear of it. */
const TOLD_AFTER = 5;
const ERROR_CHARS_MAX = 500;

export type DelivererPorts = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  readonly readSecret: (name: string) => Promise<string>;
};
type Due = { readonly delivery: Delivery; readonly event: Event };
type Untaken = Due & { readonly error: string };
type Told = {
  readonly sent: number;
  readonly untaken: Untaken | undefined;
  /** Recipients that the last one that was sent did not reach. */
  readonly refused: string | undefined;
};

export class Deliverer {
  readonly #ports: DelivererPorts;
  readonly #signal: AbortSignal;
  readonly #lanes = new Map<string, Promise<void>>();
  #arrived = 0;

  constructor(ports: DelivererPorts, signal: AbortSignal) {
    this.#ports = ports;
    this.#signal = signal;
  }

  /** How many events have arrived. */
  get arrived(): number {
    return this.#arrived;
  }

  /** Begins to tell what has happened, and waits for no receiver. */
  async tell(): Promise<void> {
    const { catalog, now } = this.#ports;
    await routeEvents(this.#ports);
    for (const name of await catalog.deliveries.channels(instantOf(now())))
      if (!this.#lanes.has(name)) this.#lanes.set(name, this.#deliver(name));
  }

  /** Resolves when no receiver is waited for. */
  async idle(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.all(this.#lanes.values());
  }

  async #deliver(name: string): Promise<void> {
    try {
      while (!this.#signal.aborted && (await this.#round(name)));
    } catch (error) {
      this.#ports.log.warn({ err: error, channel: name }, 'a channel could not be told; it is tried again');
    } finally {
      this.#lanes.delete(name);
    }
  }

  /** Answers whether there may be more to tell. */
  async #round(name: string): Promise<boolean> {
    const { catalog, now } = this.#ports;
    const channel = (await readChannels(catalog)).find((one) => one.name === name);
    if (channel === undefined) return this.#forget(name);
    if (channel.isPaused === true) return false;
    const state = await holdChannel(catalog, name, now(), ROUND_MS + (channel.timeoutMs ?? TIMEOUT_MS_MAX) + HOLD_SLACK_MS);
    if (state === undefined) return false;
    let { down, refused } = state;
    try {
      const due = await catalog.deliveries.next(name, instantOf(now()), AT_ONCE);
      if (due.length === 0) return false;
      const told = await this.#tellSome(channel, due, down);
      const { sent, untaken } = told;
      if (sent > 0) down = await this.#isReached(name, down);
      if (sent > 0 && told.refused !== refused) refused = await this.#refuses(name, told.refused);
      if (untaken !== undefined) down = await this.#isNotReached(name, down, untaken);
      return untaken === undefined;
    } finally {
      await writeState(catalog, name, { down, refused });
    }
  }

  /** In order. Answers how many were taken, and of which it shows that nothing is. */
  async #tellSome(channel: Channel, due: readonly Due[], down: ChannelDown | undefined): Promise<Told> {
    const begun = performance.now();
    const left = [...due];
    let [sent, untaken, refused]: [number, Untaken | undefined, string | undefined] = [0, undefined, undefined];
    while (left.length > 0 && !this.#signal.aborted && performance.now() - begun < ROUND_MS) {
      // Beside one that was not taken not always the same one: its receiver may refuse several.
      const [one] = left.splice(untaken === undefined ? 0 : (down?.attempts ?? 0) % left.length, 1) as [Due];
      const outcome = await this.#attempt(channel, one);
      // A stop in the middle says nothing about the receiver.
      if (outcome.kind === 'failed' && this.#signal.aborted) return { sent, untaken: undefined, refused };
      if (outcome.kind === 'failed') {
        if (untaken !== undefined) return { sent, untaken, refused };
        untaken = { ...one, error: outcome.message.slice(0, ERROR_CHARS_MAX) };
        continue;
      }
      sent++;
      this.#arrived++;
      refused = outcome.refused?.join(', ');
      const { lastError: _, ...delivery } = one.delivery;
      await this.#ports.catalog.deliveries.change({ ...delivery, state: 'delivered' });
      if (untaken !== undefined) await this.#putAside(untaken, untaken.delivery.attempt + 1);
      untaken = undefined;
    }
    if (untaken === undefined || down !== undefined || untaken.delivery.attempt === 0) return { sent, untaken, refused };
    // Others were taken before, and none is here to try now.
    await this.#putAside(untaken, untaken.delivery.attempt);
    return { sent, untaken: undefined, refused };
  }

  async #attempt(channel: Channel, due: Due): Promise<SendOutcome> {
    const { now, readSecret } = this.#ports;
    const context: SendContext = { ...due, now: now(), readSecret, signal: this.#signal };
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

  async #putAside({ delivery, event, error }: Untaken, attempt: number): Promise<void> {
    const { catalog, now, log } = this.#ports;
    const at = instantOf(now());
    const { channel } = delivery;
    if (attempt < ATTEMPTS_MAX && event.at >= laterBy(at, -KEPT_MS)) {
      const waitMs = Math.min(ASIDE_MS_MAX, ASIDE_MS * 2 ** (attempt - 1));
      await catalog.deliveries.change({ ...delivery, attempt, lastError: error, notBefore: laterBy(at, waitMs) });
      log.info({ channel, event: event.id, attempt, waitMs, error }, 'an event was not delivered yet');
      return;
    }
    log.warn({ channel, event: event.id, attempt, error }, 'an event could not be delivered');
    await catalog.transaction(async (tables) => {
      await tables.deliveries.change({ ...delivery, attempt, lastError: error, state: 'given-up' });
      await tables.events.add(
        {
          ...(event.tenantId === undefined ? {} : { tenantId: event.tenantId }),
          ...givenUp(channel, `The event ${event.id} (${event.kind})`, error),
          details: { channel, event: event.id },
        },
        at,
      );
    });
  }

  async #isReached(name: string, down: ChannelDown | undefined): Promise<undefined> {
    if (down === undefined) return;
    const { catalog, now, log } = this.#ports;
    log.info({ channel: name, since: down.since }, 'a channel is reached again');
    if (down.attempts < TOLD_AFTER) return;
    await catalog.events.add(
      {
        kind: RESUMED,
        severity: 'info',
        message: `The channel "${name}" is reached again. It was not since ${down.since}; what happened meanwhile is told late, in order`,
        details: { channel: name, since: down.since },
      },
      instantOf(now()),
    );
  }

  async #refuses(name: string, refused: string | undefined): Promise<string | undefined> {
    const { catalog, now } = this.#ports;
    const about =
      refused === undefined
        ? { severity: 'info' as const, message: `All recipients of the channel "${name}" are reached again` }
        : {
            severity: 'warning' as const,
            message: `Some recipients of the channel "${name}" are not reached, others are: ${refused}`,
            cause: `The mail server refuses mail for ${refused}`,
            action: 'Correct the addresses of the channel, or the mailboxes. What they did not get is in the list of events.',
          };
    await catalog.events.add({ kind: 'delivery.recipients', ...about, details: { channel: name } }, instantOf(now()));
    return refused;
  }

  async #isNotReached(name: string, before: ChannelDown | undefined, { event, error }: Untaken): Promise<ChannelDown> {
    const { catalog, now, log } = this.#ports;
    const at = instantOf(now());
    const down = stillDown(before, error, now());
    const { since, attempts, notBefore } = down;
    log.info({ channel: name, since, attempts, notBefore, error }, 'a channel is not reached');
    if (attempts === TOLD_AFTER)
      await catalog.events.add(
        {
          kind: FAILING,
          severity: 'warning',
          message: `The channel "${name}" has not been reached since ${since}; ${await catalog.deliveries.waiting(name)} events wait for it`,
          cause: error,
          action:
            'Check its receiver, or correct the channel. What waits is told in order when it is reached again; it is kept for 30 days.',
          details: { channel: name, since },
        },
        at,
      );
    const keptFrom = laterBy(at, -KEPT_MS);
    if (event.at < keptFrom) await this.#giveUp(name, keptFrom, error);
    return down;
  }

  /** A channel that was taken away. */
  async #forget(name: string): Promise<false> {
    const { catalog, now } = this.#ports;
    await this.#giveUp(name, laterBy(instantOf(now()), KEPT_MS), 'There is no such channel any more');
    await writeState(catalog, name, {});
    return false;
  }

  async #giveUp(channel: string, before: Instant, error: string): Promise<void> {
    const { catalog, now, log } = this.#ports;
    await catalog.transaction(async (tables) => {
      const events = await tables.deliveries.giveUp(channel, before, error);
      if (events === 0) return;
      log.warn({ channel, events, error }, 'events could not be delivered');
      const what = events === 1 ? 'One event' : `${events} events`;
      await tables.events.add({ ...givenUp(channel, what, error), details: { channel, events } }, instantOf(now()));
    });
  }
}

function givenUp(channel: string, what: string, cause: string): NewEvent {
  return {
    kind: GIVEN_UP,
    severity: 'warning',
    message: `${what} could not be delivered to the channel "${channel}"`,
    cause,
    action: 'Check the channel and its receiver; nothing is missing in the list of events.',
  };
}
