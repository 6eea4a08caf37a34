// Protects a cluster until it is interrupted.

import { BASE_OF_LOG } from '../../agents/postgres/base-source.ts';
import type { CaptureStatus } from '../../agents/postgres/capture-options.ts';
import { mustBeReady, preflight } from '../../agents/postgres/preflight.ts';
import { protectCluster } from '../../agents/postgres/protect.ts';
import { makeBatchWork } from '../base/batch-work.ts';
import { isFault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { BackupProgress } from '../engine/backup-progress.ts';
import { textOfMicros } from '../model/instant-text.ts';
import { formatLsn } from '../model/lsn.ts';
import type { Repository } from '../repository/repository.ts';
import { withRepository } from './open.ts';
import { hostOf } from './person.ts';
import { assetOfServer, backUpCluster, DEFAULT_SLOT, serverOf } from './pg-server.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';

const HOUR_MS = 3_600_000;
const SHIP_BYTES = 256 * 1024;
/** JSON lines and the status line are not written for every object, but the newest one is never kept back for longer. */
const STATUS_MS = 1000;
const STALL_TOLD_MS = 10_000;

export async function pgCapture(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const address = serverOf(invocation);
  const slot = options.text('slot') ?? DEFAULT_SLOT;
  mustBeReady(await preflight(address, slot, signal));
  // It goes on capturing without its store, and says since when that takes nothing.
  const isPatient = false;
  // As what sends to it: agents/postgres/sender-turns.ts.
  makeBatchWork(0);
  const capture = async (repository: Repository): Promise<number> => {
    const host = hostOf(options);
    const asset = assetOfServer(invocation, address, host);
    let last: CaptureStatus | undefined;
    let toldAt = Number.NEGATIVE_INFINITY;
    let telling: NodeJS.Timeout | undefined;
    const tell = (): void => {
      telling = undefined;
      toldAt = performance.now();
      output.status(statusText(last!));
      output.record('captured', statusFields(last!));
      output.flush();
    };
    const protecting = protectCluster({
      address,
      repository,
      asset,
      slot,
      host,
      policy: { bytes: SHIP_BYTES, ms: options.count('ship-every') ?? 1000 },
      now: () => new Date(),
      signal,
      baseEveryMs: (options.count('base-every') ?? 24) * HOUR_MS,
      heartbeatMs: (options.count('heartbeat') ?? 10) * 1000,
      makeBase: () =>
        backUpCluster({
          invocation,
          repository,
          address,
          asset,
          progress: new BackupProgress(),
          signal,
          ...BASE_OF_LOG,
        }),
      events: {
        onStreaming: ({ timeline, position }) => {
          output.line(`Capturing ${asset} from ${formatLsn(position)} of timeline ${timeline}`);
          output.record('streaming', { asset, timeline, position: formatLsn(position) });
          output.flush();
        },
        onProgress: (status) => {
          last = status;
          telling ??= setTimeout(tell, Math.max(0, toldAt + STATUS_MS - performance.now()));
        },
        onGap: ({ timeline, from, to, cause }) => {
          const message = `log is lost from ${formatLsn(from)} to ${formatLsn(to)} of timeline ${timeline}: ${cause}`;
          output.warning(message, { code: 'LOG_GAP', timeline, from: formatLsn(from), to: formatLsn(to), cause });
        },
        onTimeline: (timeline, position) => {
          output.line(`The server was promoted: timeline ${timeline} begins at ${formatLsn(position)}`);
          output.record('timeline', { timeline, position: formatLsn(position) });
        },
        onTablespace: ({ oid, location }) => output.notice(`The tablespace ${oid} was created at ${location}`),
        onTrouble: (error) => {
          const message = error instanceof Error ? error.message : String(error);
          output.warning(message, { code: isFault(error) ? error.code : 'INTERNAL' });
        },
        onBaseBegin: (why) => output.notice(`Making a base backup: ${why}`),
        onBase: ({ id, statistics }) => {
          output.line(
            `Base backup ${shortId(id)}: ${formatBytes(statistics.bytesRead)} read, ${formatBytes(statistics.bytesStored)} stored`,
          );
          output.record('base', { snapshot: id, bytesRead: statistics.bytesRead, bytesStored: statistics.bytesStored });
        },
      },
    });
    await protecting.finally(() => clearTimeout(telling));
    if (last !== undefined) output.line(`Stored up to ${formatLsn(last.durable)} of timeline ${last.timeline}`);
    output.summary('pg capture', { asset, ...(last === undefined ? {} : statusFields(last)) });
    return 0;
  };
  return withRepository(invocation, capture, { isPatient });
}

function statusText({ durable, server, lastTransaction, timeline, stalledMs }: CaptureStatus): string {
  const behind = Math.max(0, server - durable);
  const at = lastTransaction === 0 ? '' : `, last transaction ${textOfMicros(lastTransaction)}`;
  const stall = stalledMs < STALL_TOLD_MS ? '' : `; the store has taken nothing for ${formatDuration(stalledMs)}`;
  return `stored up to ${formatLsn(durable)} of timeline ${timeline}, ${formatBytes(behind)} behind${at}${stall}`;
}

function statusFields({ durable, received, server, timeline, lastTransaction, stalledMs }: CaptureStatus): Record<string, unknown> {
  return {
    timeline,
    durable: formatLsn(durable),
    received: formatLsn(received),
    server: formatLsn(server),
    lastTransaction: lastTransaction === 0 ? null : textOfMicros(lastTransaction),
    stalledMs: Math.round(stalledMs),
  };
}
