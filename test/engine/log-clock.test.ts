// The clock of a database may be set back, and on again: the first later mark is the first in the order of the log, wherever it is looked for.

import { expect, it } from 'vitest';
import { LogView } from '../../src/engine/log-view.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { ASSET, logBytes, newLogWriter, RECORD, SECTION } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

const SECOND = 1_000_000;
const BEGAN = 1_700_000_000 * SECOND;
const STEP_MAX = 40 * SECOND;

/** One a record; now and then the clock was set. */
function marksOf(records: number, random: () => number): LogMark[] {
  let time = BEGAN;
  return Array.from({ length: records }, (_, n) => {
    time += random() < 0.2 ? Math.round((random() - 0.5) * 2 * STEP_MAX) : Math.round(random() * SECOND);
    return { kind: 'commit', position: n * RECORD, end: (n + 1) * RECORD, time, id: n + 1, text: '' };
  });
}

it('a log of a server whose clock was set back is searched in its own order', async () => {
  const repository = await newRepository(scratchDirectory());
  const random = seededRandom(18);
  const end = 4 * SECTION + 5 * RECORD;
  const marks = marksOf(end / RECORD, random);
  // A second epoch begins in the middle of what the first one has.
  for (const [from, to] of [
    [0, SECTION + 7 * RECORD],
    [SECTION, end],
  ] as const) {
    const writer = newLogWriter(repository, { from });
    while (writer.end < to) {
      await writer.ready();
      const [begin, stop] = [writer.end, Math.min(writer.end + writer.room, to)];
      writer.append(
        logBytes(begin, stop),
        marks.filter((mark) => mark.position >= begin && mark.position < stop),
        stop,
      );
    }
    await writer.flush();
  }
  const view = (await LogView.open(repository, repository.keyring.assetId(ASSET)))!;
  let found = 0;
  for (let n = 0; n < 400; n++) {
    const from = Math.floor(random() * (end / RECORD)) * RECORD;
    const to = from + Math.floor(random() * (end - from + 1));
    const time = BEGAN + Math.round((random() - 0.4) * 2 * STEP_MAX);
    const inside = marks.filter((mark) => mark.end > from && mark.end <= to);
    const first = inside.find((mark) => mark.time > time);
    expect((await view.firstLater(1, from, to, time))?.id, `from ${from} to ${to} at ${time}`).toBe(first?.id);
    expect((await view.last(1, from, to))?.id).toBe(inside.at(-1)?.id);
    if (first !== undefined) found++;
  }
  expect(found).toBeGreaterThan(50);
  expect(found).toBeLessThan(350);
});
