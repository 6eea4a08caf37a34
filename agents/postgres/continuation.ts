// Whether a server goes on with the very log that is stored. System identifier and timeline do not tell: a server that was set back by its disk (a
// snapshot of a virtual machine) has both, and other rows at the same positions. So the server is asked for the last of what is stored, and that is
// compared: byte for byte where it can be read, by the digests of its objects where the key only writes.

import { Fault, isFault } from '../../src/base/faults.ts';
import { sectionOf } from '../../src/engine/log-objects.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { bytesEqual } from '../../src/model/reference.ts';
import type { Keyring } from '../../src/repository/keyring.ts';
import { PgConnection } from './connection.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';
import { identifySystem, LogStream, type SystemFacts } from './replication-client.ts';
import { knownFrom } from './resume-point.ts';

const WINDOW_BYTES = 16 * 1024 * 1024;

type Comparison = {
  readonly address: ServerAddress;
  readonly view: LogView;
  readonly keyring: Pick<Keyring, 'role' | 'ids'>;
  readonly timeline: number;
  readonly segmentBytes: number;
  /** What to do when they differ; undefined: what is said of all such. */
  readonly hint?: string;
  readonly signal: AbortSignal;
};

/** `digest`: of a stored object that this key does not open. */
type Piece = { readonly from: number; readonly to: number; readonly digest?: Uint8Array };

/** Of a capture, which begins at `position`, where `stored` is the end of what is stored. What it is sent once more it compares as that comes; where
 *  that would be nothing, or only the end of the last stored object, the log before is compared here. LOG_FORKED. */
export async function mustContinue(capture: Comparison & { readonly position: number; readonly stored: number }): Promise<void> {
  if (!(await isComparedAnyway(capture))) await compareBefore(capture.stored, Number.POSITIVE_INFINITY, capture);
}

/** Of a base backup, before it is begun; `view` was opened before the server said where it is. LOG_FORKED. */
export async function mustHaveLog(base: Comparison & { readonly system: SystemFacts; readonly isStandby: boolean }): Promise<void> {
  const { view, system, isStandby, timeline } = base;
  const ends = view.epochs.filter(({ reader }) => reader.epoch.timeline === timeline).map(({ recordsEnd }) => recordsEnd);
  const stored = Math.max(0, ...ends);
  if (stored > system.position && !isStandby)
    throw forked(
      base,
      `is at ${formatLsn(system.position)} of timeline ${timeline}, and log up to ${formatLsn(stored)} is stored: it was set back`,
    );
  await compareBefore(Math.min(stored, system.position), system.position, base);
}

async function isComparedAnyway({ view, timeline, position, stored }: Parameters<typeof mustContinue>[0]): Promise<boolean> {
  if (position >= stored) return false;
  for (const { reader } of view.epochs) {
    if (reader.epoch.timeline !== timeline || reader.end < stored || reader.from >= stored) continue;
    for await (const { from, to } of reader.indexes(position)) if (to >= stored) return from >= position;
  }
  return false;
}

/** `end`: of what the server has, where it is not to be waited for. A server that has removed that log already cannot be asked. */
async function compareBefore(place: number, end: number, comparison: Comparison): Promise<void> {
  const { address, view, keyring, timeline, signal } = comparison;
  const pieces = keyring.role === 'owner' ? readPieces(place, comparison) : await sealedPieces(place, end, comparison);
  const [first] = pieces;
  if (first === undefined) return;
  const connection = await PgConnection.open({ address, replication: 'true', signal });
  try {
    // A standby of PostgreSQL 14 and before sends nothing to who has not asked for this.
    await identifySystem(connection);
    const server = new ServerLog(await LogStream.start(connection, undefined, first.from, timeline), first.from);
    for (const { from, to, digest } of pieces) {
      const theirs = await server.read(from, to);
      if (theirs === undefined) return;
      const ours = Buffer.alloc(digest === undefined ? theirs.length : 0);
      if (digest === undefined) await view.read(timeline, from, ours, { signal });
      const isSame = digest === undefined ? ours.equals(theirs) : bytesEqual(keyring.ids.id(theirs), digest);
      if (!isSame)
        throw forked(
          comparison,
          `has other log of timeline ${timeline} before ${formatLsn(to)} than what is stored up to ${formatLsn(place)}`,
        );
    }
  } catch (error) {
    if (!isFault(error, 'PG_LOG_REMOVED')) throw error;
  } finally {
    connection.close();
  }
}

function forked({ address, hint }: Comparison, what: string): Fault {
  return new Fault('LOG_FORKED', `The server at ${describeServer(address)} ${what}`, hint === undefined ? {} : { hint });
}

function segmentOf(position: number, segmentBytes: number): number {
  return Math.floor(position / segmentBytes) * segmentBytes;
}

/** Of the segment before a place. */
function readPieces(place: number, { view, timeline, segmentBytes }: Comparison): Piece[] {
  const segment = segmentOf(place - 1, segmentBytes);
  const last = view.stretches.filter((one) => one.timeline === timeline && one.from < place && one.to >= place);
  const pieces: Piece[] = [];
  for (let from = Math.max(segment, Math.min(place, ...last.map((one) => one.from))); from < place; from += WINDOW_BYTES)
    pieces.push({ from, to: Math.min(from + WINDOW_BYTES, place) });
  return pieces;
}

/** As much, of whole objects: their digests are of those. */
async function sealedPieces(place: number, end: number, { view, timeline, segmentBytes }: Comparison): Promise<Piece[]> {
  // No object lies in two sections.
  const known = await knownFrom(view, timeline, Math.min(segmentOf(place - 1, segmentBytes), sectionOf(place - 1)));
  return known.filter(({ from, to }) => from < place && to <= end);
}

/** A server's log, read forward. */
class ServerLog {
  readonly #stream: LogStream;
  #at: number;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(stream: LogStream, at: number) {
    this.#stream = stream;
    this.#at = at;
  }

  /** Undefined when its timeline ends before. */
  async read(from: number, to: number): Promise<Buffer | undefined> {
    const piece = Buffer.alloc(to - from);
    for (;;) {
      const begin = Math.max(from, this.#at);
      const wanted = this.#bytes.subarray(begin - this.#at, Math.max(begin, to) - this.#at);
      if (wanted.length > 0) piece.set(wanted, begin - from);
      if (this.#at + this.#bytes.length >= to) return piece;
      this.#at += this.#bytes.length;
      this.#bytes = Buffer.alloc(0);
      const event = await this.#stream.next();
      if (event.kind === 'ended') return undefined;
      if (event.kind === 'data') this.#bytes = event.bytes;
    }
  }
}
