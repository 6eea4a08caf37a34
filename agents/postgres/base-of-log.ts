// Whether a base backup and the stored log are of one history. A server that was set back by its disk has the system identifier and the timeline of
// before, and its log other rows at the same positions: replayed over such a base the wrong one gives rows of both, and no error. What tells is the
// checkpoint that the base's pg_control names: the log holds its very record, with its time (in seconds) and the transactions of then.

import { Fault } from '../../src/base/faults.ts';
import { incarnationOf } from '../../src/engine/cluster-facts.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';
import { storedBytes } from './stored-bytes.ts';
import { RM_XLOG, walRecords } from './wal-records.ts';

const PAGE_BYTES = 8192;
/** Of pg_control: where its newest checkpoint lies, and a copy of that. */
const CHECKPOINT_AT = 32;
const COPY_AT = 40;
/** In the copy: the next transaction, which a standby moves on beyond that of the record. */
const NEXT_XID_AT = 24;
const NEXT_XID_END = 32;
/** Of a record's body, before what is of the checkpoint: that content of such a length follows. */
const DATA_SHORT = 255;

/** PG_OTHER_CLUSTER. `view`: what is stored of the asset's log. */
export function mustBeCluster(
  view: LogView,
  asset: string,
  { address, systemId }: { readonly address: ServerAddress; readonly systemId: string },
): void {
  if (view.incarnation !== incarnationOf(systemId))
    throw new Fault(
      'PG_OTHER_CLUSTER',
      `The server at ${describeServer(address)} is the cluster ${systemId}; the log of "${asset}" is that of the cluster ${BigInt(`0x${view.incarnation}`)}`,
    );
}

export type BaseControl = {
  /** For messages. */
  readonly name: string;
  /** What to do when it is of another history. */
  readonly hint: string;
  readonly control: Buffer;
  readonly timeline: number;
  readonly segmentBytes: number;
};

/** LOG_FORKED. Where the record of that place is not stored it is not replayed either. */
export async function mustBeOfLog({ name, hint, control, timeline, segmentBytes }: BaseControl, view: LogView): Promise<void> {
  const position = Number(control.readBigUInt64LE(CHECKPOINT_AT));
  const page = position - (position % PAGE_BYTES);
  if (!view.stretches.some((one) => one.timeline === timeline && one.from <= page && one.to > position)) return;
  for await (const record of walRecords(storedBytes(view, timeline), page, segmentBytes)) {
    if (record.position < position) continue;
    if (record.position > position || record.manager !== RM_XLOG || record.body[0] !== DATA_SHORT) break;
    const checkpoint = record.body.subarray(2);
    const copy = control.subarray(COPY_AT, COPY_AT + checkpoint.length);
    const isSame = (from: number, to: number): boolean => checkpoint.subarray(from, to).equals(copy.subarray(from, to));
    if (isSame(0, NEXT_XID_AT) && isSame(NEXT_XID_END, checkpoint.length)) return;
    break;
  }
  throw new Fault(
    'LOG_FORKED',
    `${name} is of another history than the log of timeline ${timeline}: what is stored at ${formatLsn(position)} is not its checkpoint`,
    { hint: `The server was set back to an older state of its disk. ${hint}` },
  );
}
