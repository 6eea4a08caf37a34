// PostgreSQL's history files: where a timeline comes from. Lines "timeline <tab> position <tab> reason", oldest first.

import { Fault } from '../../src/base/faults.ts';
import { parseLsn } from '../../src/model/lsn.ts';
import type { PgConnection } from './connection.ts';
import { readTimelineHistory } from './replication-client.ts';

export type Ancestor = { readonly timeline: number; readonly until: number };

export function parseHistory(text: string, timeline: number): Ancestor[] {
  const ancestors = text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('#'))
    .map((line): Ancestor => {
      const [number, position] = line.trim().split(/\s+/);
      const until = parseLsn(position ?? '');
      if (!/^\d+$/.test(number ?? '') || until === undefined)
        throw new Fault('PG_PROTOCOL', `The history of timeline ${timeline} has a line that is none: "${line}"`);
      return { timeline: Number(number), until };
    });
  const isRising = ancestors.every(
    (one, i) => i === 0 || (one.timeline > ancestors[i - 1]!.timeline && one.until >= ancestors[i - 1]!.until),
  );
  if (!isRising || ancestors.some((one) => one.timeline >= timeline))
    throw new Fault('PG_PROTOCOL', `The history of timeline ${timeline} is out of order`);
  return ancestors;
}

export function historyName(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
}

export type TimelineHistory = { readonly timeline: number; readonly ancestors: readonly Ancestor[]; readonly file: Buffer };

/** The history of `timeline` and of all its ancestors that the server still has, newest first. */
export async function readHistories(connection: PgConnection, timeline: number): Promise<TimelineHistory[]> {
  if (timeline === 1) return [];
  const { text } = await readTimelineHistory(connection, timeline);
  const ancestors = parseHistory(text, timeline);
  const histories: TimelineHistory[] = [{ timeline, ancestors, file: Buffer.from(text) }];
  for (const ancestor of [...ancestors].reverse()) {
    if (ancestor.timeline === 1) continue;
    try {
      const older = await readTimelineHistory(connection, ancestor.timeline);
      histories.push({
        timeline: ancestor.timeline,
        ancestors: parseHistory(older.text, ancestor.timeline),
        file: Buffer.from(older.text),
      });
    } catch (error) {
      // A server that was restored need not have the files of all its ancestors; its own names them.
      if (!(error instanceof Fault) || error.code !== 'PG_REFUSED') throw error;
    }
  }
  return histories;
}
