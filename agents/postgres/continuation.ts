// Whether a server goes on with the very log that is stored. System identifier and timeline do not tell: a server that was set back by its disk (a
// snapshot of a virtual machine) has both, and other rows at the same positions. What the capture is sent once more is compared as it comes; where
// that would be nothing, or only the end of the last stored object, the segment before is asked for and compared here.

import { Fault, isFault } from '../../src/base/faults.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { PgConnection } from './connection.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';
import { LogStream } from './replication-client.ts';

const WINDOW_BYTES = 16 * 1024 * 1024;

type Continuation = {
  readonly address: ServerAddress;
  readonly view: LogView;
  readonly timeline: number;
  /** Where the capture is going to begin, and the end of what is stored. */
  readonly position: number;
  readonly stored: number;
  readonly segmentBytes: number;
  readonly signal: AbortSignal;
};

/** LOG_FORKED. A server that has removed that log already cannot be asked. */
export async function mustContinue(continuation: Continuation): Promise<void> {
  const { address, view, timeline, stored, segmentBytes, signal } = continuation;
  if (await isComparedAnyway(continuation)) return;
  const segment = Math.floor((stored - 1) / segmentBytes) * segmentBytes;
  const last = view.stretches.filter((one) => one.timeline === timeline && one.from < stored && one.to >= stored);
  if (last.length === 0) return;
  let at = Math.max(segment, Math.min(...last.map(({ from }) => from)));
  const connection = await PgConnection.open({ address, replication: 'true', signal });
  try {
    const stream = await LogStream.start(connection, undefined, at, timeline);
    let ours = Buffer.alloc(0);
    for (let oursFrom = at; at < stored; ) {
      const event = await stream.next();
      if (event.kind === 'ended') return;
      if (event.kind !== 'data') continue;
      for (let theirs = event.bytes.subarray(0, stored - at); theirs.length > 0; ) {
        if (at === oursFrom + ours.length) {
          [oursFrom, ours] = [at, Buffer.alloc(Math.min(WINDOW_BYTES, stored - at))];
          await view.read(timeline, at, ours, { signal });
        }
        const held = ours.subarray(at - oursFrom, at - oursFrom + theirs.length);
        if (!held.equals(theirs.subarray(0, held.length)))
          throw new Fault(
            'LOG_FORKED',
            `The server at ${describeServer(address)} has other log of timeline ${timeline} before ${formatLsn(at + held.length)} than what is stored up to ${formatLsn(stored)}`,
          );
        at += held.length;
        theirs = theirs.subarray(held.length);
      }
    }
  } catch (error) {
    if (!isFault(error, 'PG_LOG_REMOVED')) throw error;
  } finally {
    connection.close();
  }
}

async function isComparedAnyway({ view, timeline, position, stored }: Continuation): Promise<boolean> {
  if (position >= stored) return false;
  for (const { reader } of view.epochs) {
    if (reader.epoch.timeline !== timeline || reader.end < stored || reader.from >= stored) continue;
    for await (const { from, to } of reader.indexes(position)) if (to >= stored) return from >= position;
  }
  return false;
}
