// What is known of a channel between two attempts: who is at it, and since when its receiver takes nothing. A setting of the catalogue for each.

import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import { type Instant, instantOf, laterBy } from '../model/instant.ts';
import { readChannels } from './channel-settings.ts';

const BACKOFF_MS = 15_000;
const BACKOFF_MS_MAX = 15 * 60_000;
const HELD_MS_MAX = 5 * 60_000;

export type ChannelDown = {
  readonly since: Instant;
  readonly attempts: number;
  readonly notBefore: Instant;
  readonly error: string;
};
export type ChannelState = {
  /** Until then one process tells the channel, and no other one. */
  readonly heldUntil?: Instant;
  readonly down?: ChannelDown | undefined;
  /** Recipients that did not get what was sent last, while others did. */
  readonly refused?: string | undefined;
};

const settingOf = (name: string): string => `notify.channel.${name}`;

async function readState(tables: Pick<CatalogTables, 'settings'>, name: string): Promise<ChannelState> {
  return JSON.parse((await tables.settings.get(settingOf(name))) ?? '{}');
}

/** Ends the hold, too. */
export async function writeState(
  tables: Pick<CatalogTables, 'settings'>,
  name: string,
  { down, refused }: Omit<ChannelState, 'heldUntil'>,
): Promise<void> {
  await tables.settings.set(settingOf(name), JSON.stringify({ down, refused }));
}

/** Undefined: another process is at it, or it is too early to try it again. */
export async function holdChannel(catalog: Catalog, name: string, now: Date, holdMs: number): Promise<ChannelState | undefined> {
  if (!isFree(await readState(catalog, name), now)) return undefined;
  return catalog.transaction(async (tables) => {
    const state = await readState(tables, name);
    if (!isFree(state, now)) return undefined;
    const heldUntil = laterBy(instantOf(now), Math.min(HELD_MS_MAX, holdMs));
    await tables.settings.set(settingOf(name), JSON.stringify({ ...state, heldUntil }));
    return state;
  });
}

function isFree({ heldUntil, down }: ChannelState, now: Date): boolean {
  return !isAhead(heldUntil, HELD_MS_MAX, now) && !isAhead(down?.notBefore, BACKOFF_MS_MAX, now);
}

/** Further ahead than anything is put off is an instant of a clock that was set back since. */
function isAhead(instant: Instant | undefined, aheadMsMax: number, now: Date): boolean {
  if (instant === undefined) return false;
  const aheadMs = Date.parse(instant) - now.getTime();
  return aheadMs > 0 && aheadMs <= aheadMsMax;
}

/** One attempt more that was in vain. */
export function stillDown(before: ChannelDown | undefined, error: string, now: Date): ChannelDown {
  const at = instantOf(now);
  const attempts = (before?.attempts ?? 0) + 1;
  const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.min(attempts - 1, 30));
  return { since: before?.since ?? at, attempts, notBefore: laterBy(at, waitMs), error };
}

/** Of each channel: for how long nothing has reached its receiver. */
export async function channelSilence(
  tables: Pick<CatalogTables, 'settings'>,
  now: Date,
): Promise<{ channel: string; seconds: number }[]> {
  const channels = await readChannels(tables);
  return Promise.all(
    channels.map(async ({ name }) => {
      const { down } = await readState(tables, name);
      return { channel: name, seconds: down === undefined ? 0 : (now.getTime() - Date.parse(down.since)) / 1000 };
    }),
  );
}
