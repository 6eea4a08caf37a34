// Which channels hear of an event.

import { type Event, SEVERITIES } from '../model/event.ts';
import type { Channel } from './channel.ts';

/** Of a channel that is not reached, or not by some event: it is not told so by itself. */
export const GIVEN_UP = 'delivery.given-up';
export const FAILING = 'delivery.failing';
/** This it is told: why it was told nothing. */
export const RESUMED = 'delivery.resumed';

export function isWantedBy(channel: Channel, event: Event): boolean {
  const { severityMin = 'info', tenants, kinds, isPaused = false } = channel;
  if (isPaused) return false;
  if ((event.kind === GIVEN_UP || event.kind === FAILING) && event.details?.channel === channel.name) return false;
  if (SEVERITIES.indexOf(event.severity) < SEVERITIES.indexOf(severityMin)) return false;
  if (tenants !== undefined && (event.tenantId === undefined || !tenants.includes(event.tenantId))) return false;
  return kinds === undefined || kinds.some((kind) => matches(kind, event.kind));
}

function matches(pattern: string, kind: string): boolean {
  return pattern.endsWith('*') ? kind.startsWith(pattern.slice(0, -1)) : kind === pattern;
}
