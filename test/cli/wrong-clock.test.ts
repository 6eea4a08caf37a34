// Backups that were made under a wrong clock: no rule drops a true one for them, and "latest" is what was stored last.

import { describe, expect, it } from 'vitest';
import { canMoveClock, MovedClock } from '../support/moved-clock.ts';
import { type Holdfast, initialised, type Line } from './holdfast.ts';

const DAY_SECONDS = 86_400;
const YEARS_SECONDS = 4 * 365 * DAY_SECONDS;

function scene(): { readonly holdfast: Holdfast; readonly backUp: (aheadSeconds: number) => Line[]; readonly clock: MovedClock } {
  const holdfast = initialised();
  const clock = new MovedClock(holdfast.directory);
  let files = 0;
  const backUp = (aheadSeconds: number): Line[] => {
    holdfast.file(`tree/${files++}`, `${files}`);
    clock.move(aheadSeconds);
    return holdfast.lines(['backup', holdfast.path('tree'), '--asset', 'tree'], { variables: clock.environment });
  };
  return { holdfast, backUp, clock };
}

const idOf = (lines: readonly Line[]): unknown => lines.at(-1)!.snapshot;
const warnings = (lines: readonly Line[]): Line[] => lines.filter(({ kind }) => kind === 'warning');

describe.skipIf(!canMoveClock())('a wrong clock', () => {
  it('that was ahead for a while costs no later backup its place among the kept ones', () => {
    const { holdfast, backUp } = scene();
    backUp(-2 * DAY_SECONDS);
    const ahead = [idOf(backUp(YEARS_SECONDS)), idOf(backUp(YEARS_SECONDS))];
    const lines = backUp(0);
    expect(warnings(lines)).toMatchObject([{ snapshotBefore: ahead[1] }]);
    const newest = idOf(lines);
    for (const rule of ['--keep-last=1', '--keep-daily=1', '--keep-within=30h']) {
      const forget = holdfast.lines(['forget', rule, '--dry-run']);
      const kept = forget.filter(({ kind }) => kind === 'kept').map(({ id }) => id);
      expect([rule, kept.toSorted()]).toEqual([rule, [newest, ...ahead].toSorted()]);
    }
    expect(holdfast.fault(['forget', '--keep-tag', 'none'])).toMatchObject({ code: 'RETENTION_DROPS_ALL' });
    // A time of its own does not keep it for ever.
    holdfast.ok(['forget', ...(ahead as string[])]);
    expect(holdfast.summary(['forget', '--keep-last', '1'])).toMatchObject({ forgotten: 1, kept: 1 });
  });

  it('here or there: "latest" is what was stored last, and says so', () => {
    const { holdfast, backUp, clock } = scene();
    backUp(0);
    const ahead = idOf(backUp(YEARS_SECONDS));
    const newest = idOf(backUp(0));
    const lines = holdfast.lines(['ls', 'latest']);
    expect(warnings(lines)).toMatchObject([{ snapshot: newest, ahead }]);
    expect(lines.filter(({ kind }) => kind === 'entry')).toHaveLength(4);
    expect(holdfast.lines(['ls', 'latest~1']).filter(({ kind }) => kind === 'entry')).toHaveLength(3);
    // All of them are ahead of a clock that is behind: their times are as good as any, and so is their order.
    holdfast.ok(['forget', ahead as string]);
    clock.move(-YEARS_SECONDS);
    const behind = holdfast.lines(['ls', 'latest'], { variables: clock.environment });
    expect(warnings(behind)).toEqual([]);
    expect(behind.filter(({ kind }) => kind === 'entry')).toHaveLength(4);
    // And nothing is forgotten by it.
    expect(holdfast.summary(['forget', '--keep-last', '1'], { variables: clock.environment })).toMatchObject({ forgotten: 0 });
  });

  it('of a prune gives up a backup too early, never what it has committed', () => {
    const { holdfast, backUp, clock } = scene();
    const first = idOf(backUp(0)) as string;
    const second = idOf(backUp(-YEARS_SECONDS)) as string;
    for (const seconds of [YEARS_SECONDS, -YEARS_SECONDS]) {
      clock.move(seconds);
      holdfast.ok(['prune', '--max-unused', '0'], { variables: clock.environment });
    }
    holdfast.ok(['verify', '--full']);
    for (const id of [first, second]) holdfast.ok(['restore', id, '--target', holdfast.path(id)]);
  });
});
