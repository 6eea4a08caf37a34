// One attempt to hand an event to a channel: what it needs, what it answers. Whether to try again is decided in deliverer.ts.

import type { Delivery } from '../catalog/deliveries.ts';
import type { Event } from '../model/event.ts';

export type SendOutcome =
  /** `refused`: recipients that do not have it, where others have. */
  | { readonly kind: 'sent'; readonly refused?: readonly string[] }
  /** `message` holds no secret. */
  | { readonly kind: 'failed'; readonly message: string };

export type SendContext = {
  readonly event: Event;
  readonly delivery: Delivery;
  readonly now: Date;
  /** The text of a secret. Throws when there is none of that name. */
  readonly readSecret: (name: string) => Promise<string>;
  readonly signal: AbortSignal;
};

export const SENT: SendOutcome = { kind: 'sent' };

export function failed(message: string): SendOutcome {
  return { kind: 'failed', message };
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
