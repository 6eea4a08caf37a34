// Notices that the clock was put back, for all schedulers of a catalogue together.
//
// The greatest time that any of them saw lies in a setting, with an epoch. A scheduler whose clock is far behind that time begins a new epoch
// with its own time: due times may come again then, and their runs get keys of the new epoch. A clock that goes forward needs nothing: what was
// missed is caught up once.
//
// Two hosts whose clocks differ by more than the tolerance would each put the other's time back for ever: so a process begins a new epoch at
// most once in a long while, by a clock that cannot be set.

import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import { type Instant, instantOf } from '../model/instant.ts';

const CLOCK_SETTING = 'scheduler.clock';
/** Hosts may differ by so much. */
export const CLOCK_TOLERANCE_MS = 3_600_000;
const EPOCH_MS_MIN = 6 * 3_600_000;
/** The setting is written when it is older than this. */
const STEP_MS = 5 * 60_000;

export type ClockState = { readonly seenUntil: Instant; readonly epoch: number };

export type ClockWatchOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  /** Milliseconds that nobody can set, as of performance.now(). */
  readonly monotonic: () => number;
};

export class ClockWatch {
  readonly #options: ClockWatchOptions;
  #lastEpochAt: number | undefined;

  constructor(options: ClockWatchOptions) {
    this.#options = options;
  }

  async look(): Promise<ClockState> {
    const { catalog, now, monotonic } = this.#options;
    const at = now();
    const known = await readClock(catalog);
    const ahead = at.getTime() - Date.parse(known?.seenUntil ?? '1970-01-01T00:00:00.000Z');
    const isBack = ahead < -CLOCK_TOLERANCE_MS;
    if (known !== undefined && !isBack && ahead < STEP_MS) return known;
    if (known !== undefined && isBack && this.#lastEpochAt !== undefined && monotonic() - this.#lastEpochAt < EPOCH_MS_MIN)
      return known;
    const state = await catalog.transaction((tables) => moveClock(tables, at));
    if (known !== undefined && state.epoch > known.epoch) this.#lastEpochAt = monotonic();
    return state;
  }
}

async function moveClock(tables: CatalogTables, at: Date): Promise<ClockState> {
  const known = await readClock(tables);
  const seenMs = known === undefined ? at.getTime() : Date.parse(known.seenUntil);
  const isBack = at.getTime() < seenMs - CLOCK_TOLERANCE_MS;
  const state: ClockState = {
    seenUntil: instantOf(isBack ? at : new Date(Math.max(seenMs, at.getTime()))),
    epoch: (known?.epoch ?? 0) + (isBack ? 1 : 0),
  };
  await tables.settings.set(CLOCK_SETTING, JSON.stringify(state));
  if (isBack && known !== undefined) {
    await tables.events.add(
      {
        kind: 'clock.put-back',
        severity: 'critical',
        message: `The clock of the service was put back: it says ${instantOf(at)} after ${known.seenUntil}`,
        cause: 'The clock was wrong before or is wrong now, or two control planes have different clocks',
        action: 'Look after the time service (NTP) of the host. Schedules go on from now; some runs may come a second time.',
        details: { before: known.seenUntil, now: instantOf(at) },
      },
      instantOf(at),
    );
  }
  return state;
}

export async function readClock(tables: Pick<CatalogTables, 'settings'>): Promise<ClockState | undefined> {
  const text = await tables.settings.get(CLOCK_SETTING);
  return text === undefined ? undefined : (JSON.parse(text) as ClockState);
}
