// What is on its way to receivers of events: a part of the port in catalog.ts.

import type { Event } from '../model/event.ts';
import type { Instant } from '../model/instant.ts';

/** An event on its way to one receiver. */
export type Delivery = {
  readonly id: string;
  readonly eventId: string;
  /** Of the event: the order in which a channel is told. */
  readonly sequence: number;
  readonly channel: string;
  /** How often it was not taken although others were. */
  readonly attempt: number;
  /** Put aside until then. */
  readonly notBefore: Instant;
  readonly state: 'waiting' | 'delivered' | 'given-up';
  readonly lastError?: string;
};

export interface DeliveryTable {
  add(delivery: Delivery): Promise<void>;
  /** Those for which something is due: it waits, and was never put aside, or for long enough. */
  channels(at: Instant): Promise<readonly string[]>;
  /** What is due for a channel, in the order of the events. */
  next(channel: string, at: Instant, limit: number): Promise<readonly { readonly delivery: Delivery; readonly event: Event }[]>;
  /** How many wait. */
  waiting(channel: string): Promise<number>;
  change(delivery: Delivery): Promise<void>;
  /** Gives up what waits for a channel, of events from before an instant. Answers how many. */
  giveUp(channel: string, before: Instant, lastError: string): Promise<number>;
}
