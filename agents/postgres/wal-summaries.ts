// Which pages of a cluster may have changed since an earlier base backup of it began, as the server's own summaries of its log say (17 and
// newer, summarize_wal). A page that no record since then names is as that backup has it: what was written or torn while it was read is named
// by a record behind its start. From the new start on the log mends everything, as always.
//
// Not believed, and read whole:
// - all forks but the main one: free space maps are not logged, and a bit of a visibility map is cleared by records of other pages;
// - what has no parent of the same cluster, timeline and checksums: switching those on or off writes every page and logs none;
// - when summaries are missing between the two starts, or none has its bound exactly where the earlier backup began. Every backup begins with
//   a checkpoint and every checkpoint is a bound, so that is its mark in the history: a server whose disk was put back to an older state
//   writes the same positions anew, and has no such bound.

import { setTimeout as sleep } from 'node:timers/promises';
import { type ChangedRange, joinRanges } from '../../src/engine/changed-ranges.ts';
import type { BaseFacts } from '../../src/engine/cluster-facts.ts';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import type { PgConnection } from './connection.ts';
import { literal } from './replication-client.ts';
import type { ServerFacts } from './server-facts.ts';

const VERSION_MIN = 17;
const POLL_MS = 50;
/** For the summarizer to come to the checkpoint with which the backup began; it gives up when that stands still. */
const STILL_MS = 10_000;
/** More are not asked for: reading everything is quicker then, and the answer has to be held in memory. */
const BLOCKS_MAX = 4_000_000;
const DEFAULT_TABLESPACE = '1663';
const GLOBAL_TABLESPACE = '1664';
const MAIN_FORK = /^(?:(global)|base\/(\d+)|PG_[^/]+\/(\d+))\/(\d+)(?:\.(\d+))?$/;

/** An earlier base backup whose pages may be kept. */
export type Since = { readonly start: number; readonly timeline: string };

/** Why everything is read. */
export type ReadWhole = { readonly reason: string };

/** Whether the parent is one that pages can be kept of. Undefined: there is none at all, or the server makes no summaries. */
export function sinceParent(
  parent: Partial<BaseFacts> | undefined,
  systemId: string,
  server: ServerFacts,
  version: number,
): Since | ReadWhole | undefined {
  if (parent?.kind !== 'postgres-base' || version < VERSION_MIN) return undefined;
  if (parent.systemId !== systemId) return { reason: 'the base backup before is of another cluster' };
  if (parent.hasCorruptPages === 'true') return { reason: 'the base backup before may hold corrupt pages' };
  const before = JSON.parse(parent.server ?? '{}') as Partial<ServerFacts>;
  if (before.checksums !== server.checksums) return { reason: 'page checksums were switched on or off since' };
  return { start: mustParseLsn(parent.startPosition ?? ''), timeline: parent.timeline ?? '' };
}

export class ChangedPages {
  readonly #relations: ReadonlyMap<string, ChangedRelation>;
  readonly #pageBytes: number;
  readonly #segmentPages: number;

  constructor(relations: ReadonlyMap<string, ChangedRelation>, pageBytes: number, segmentPages: number) {
    this.#relations = relations;
    this.#pageBytes = pageBytes;
    this.#segmentPages = segmentPages;
  }

  /** Of a file, `path` below the data directory or below a tablespace. Undefined: it may differ anywhere. */
  rangesOf(path: string, tablespace: string | undefined): readonly ChangedRange[] | undefined {
    const match = MAIN_FORK.exec(path);
    if (match === null) return undefined;
    const [, global, inDefault, inTablespace, node, segment = '0'] = match;
    const space = tablespace ?? (global === undefined ? DEFAULT_TABLESPACE : GLOBAL_TABLESPACE);
    const database = inDefault ?? inTablespace ?? '0';
    // Node 0: the database was copied file by file.
    if (this.#relations.has(`${space}/${database}/0`)) return undefined;
    const relation = this.#relations.get(`${space}/${database}/${node}`);
    if (relation === undefined) return [];
    const [first, pageBytes] = [Number(segment) * this.#segmentPages, this.#pageBytes];
    const end = first + this.#segmentPages;
    const ranges = relation.blocks
      .filter((block) => block >= first && block < end)
      .map((block) => ({ offset: (block - first) * pageBytes, length: pageBytes }));
    // It was made, or cut to that length: what lies behind was written since.
    const from = Math.max(first, relation.limit);
    if (from < end) ranges.push({ offset: (from - first) * pageBytes, length: (end - from) * pageBytes });
    return joinRanges(ranges);
  }
}

type ChangedRelation = { readonly blocks: readonly number[]; readonly limit: number };

/** Between the starts of two base backups; `timeline` and `start`: of the one that has begun just now. */
export async function changedSince(
  sql: PgConnection,
  since: Since,
  { start, timeline, pageBytes, segmentPages }: { start: number; timeline: string; pageBytes: number; segmentPages: number },
  signal: AbortSignal,
): Promise<ChangedPages | ReadWhole> {
  if (since.timeline !== timeline) return { reason: `the base backup before is of timeline ${since.timeline}` };
  if (since.start >= start) return { reason: 'the base backup before began later' };
  if ((await sql.value("SELECT current_setting('summarize_wal')")) !== 'on') return { reason: 'summarize_wal is off' };
  const gap = await summarized(sql, since, start, signal);
  if (gap !== undefined) return gap;
  const contents = `FROM pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) c
    WHERE s.tli = ${literal(timeline)} AND s.end_lsn > ${literal(formatLsn(since.start))} AND s.start_lsn < ${literal(formatLsn(start))}
      AND c.relforknumber = 0`;
  if (Number(await sql.value(`SELECT count(*) ${contents}`)) > BLOCKS_MAX)
    return { reason: `more than ${BLOCKS_MAX} pages have changed` };
  const { rows } =
    await sql.query(`SELECT reltablespace, reldatabase, relfilenode, min(relblocknumber) FILTER (WHERE is_limit_block),
    string_agg(DISTINCT relblocknumber::text, ',') FILTER (WHERE NOT is_limit_block) ${contents} GROUP BY 1, 2, 3`);
  const relations = new Map(
    rows.map(([space, database, node, limit, blocks]) => [
      `${space}/${database}/${node}`,
      {
        limit: limit === null ? Number.POSITIVE_INFINITY : Number(limit),
        blocks: (blocks ?? '').split(',').filter(Boolean).map(Number),
      },
    ]),
  );
  // One may have been removed while they were read.
  return (await summarized(sql, since, start, signal)) ?? new ChangedPages(relations, pageBytes, segmentPages);
}

/** Waits until there are summaries from the one start to the other; answers why there will be none. */
async function summarized(sql: PgConnection, since: Since, to: number, signal: AbortSignal): Promise<ReadWhole | undefined> {
  const listing = `SELECT start_lsn, end_lsn FROM pg_available_wal_summaries()
    WHERE tli = ${literal(since.timeline)} AND end_lsn >= ${literal(formatLsn(since.start))} ORDER BY start_lsn, end_lsn`;
  let [reached, at] = ['', performance.now()];
  for (;;) {
    const { rows } = await sql.query(listing);
    const summaries = rows.map(([from, until]) => ({ from: mustParseLsn(from), to: mustParseLsn(until) }));
    const isMarked = summaries.some((one) => one.from === since.start || one.to === since.start);
    if (summaries.length > 0 && !isMarked) return { reason: `no summary has its bound at ${formatLsn(since.start)}` };
    let end = since.start;
    for (const one of summaries) if (one.from <= end && one.to > end) end = one.to;
    if (isMarked && end >= to) return undefined;
    const behind = (await sql.value('SELECT pending_lsn FROM pg_get_wal_summarizer_state()')) ?? '';
    if (behind !== reached) [reached, at] = [behind, performance.now()];
    if (performance.now() - at > STILL_MS)
      return { reason: `the server has no summaries of its log from ${formatLsn(since.start)} to ${formatLsn(to)}` };
    await sleep(POLL_MS, undefined, { signal });
  }
}
