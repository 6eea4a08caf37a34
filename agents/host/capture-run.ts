// The capture of a database's log through the service: a run that ends only when it is told to, when the lease is lost, or by a fault that does
// not pass. Where it went on is in the log itself, so whoever has the next run of the asset begins there.

import { hostname } from 'node:os';
import { makeBatchWork } from '../../src/base/batch-work.ts';
import { isFault } from '../../src/base/faults.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { LogNoteMessage } from '../../src/protocol/log-messages.ts';
import { RemoteLog } from '../../src/remote/remote-log.ts';
import { captureLog } from '../postgres/capture.ts';
import type { CaptureEvents, CaptureStatus } from '../postgres/capture-options.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import { mustBeReady, type Preflight, preflight } from '../postgres/preflight.ts';
import { ReplicationSlot } from '../postgres/replication-slot.ts';
import { watchServer } from '../postgres/server-watch.ts';
import { openDataPath } from './data-path.ts';
import { DEFAULT_SLOT, postgresSourceOf, serverAddressOf } from './postgres-source.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';
import { outcomeOfError } from './run-outcome.ts';

const SHIP = { bytes: 256 * 1024, ms: 1000 };
const HEARTBEAT_MS = 10_000;
/** The same trouble is told again after so long. */
const TROUBLE_EVERY_MS = 10 * 60_000;

export async function captureRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, signal, now, home } = context;
  const { run, asset } = claimed;
  const source = postgresSourceOf(asset);
  const address = serverAddressOf(source, home.secrets);
  const slot = source.slot ?? DEFAULT_SLOT;
  if (run.parameters['release'] === true) return releaseSlot(address, slot, signal);
  const data = openDataPath(context);
  // As what sends to it: agents/postgres/sender-turns.ts.
  makeBatchWork(0);
  // What was received is stored after the order to stop: only the run's end ends this.
  const over = new AbortController();
  try {
    const log = await RemoteLog.open({ ...data, runId: run.id, fence: run.fence, signal: over.signal });
    const notes = new Notes(log, signal, now);
    const found = await preflight(address, slot, signal);
    notes.tell(preflightNote(found));
    try {
      mustBeReady(found);
    } catch (error) {
      await notes.told();
      throw error;
    }
    let last: CaptureStatus | undefined;
    context.watch(() => gaugeOf(last, data.store.bytesStored));
    const events: CaptureEvents = {
      onStreaming: ({ timeline, position }) => notes.tell({ kind: 'streaming', timeline, position: formatLsn(position) }),
      onProgress: (status) => {
        last = status;
      },
      onGap: ({ timeline, from, to, cause }) =>
        notes.tell({ kind: 'gap', timeline, from: formatLsn(from), to: formatLsn(to), cause: cause.slice(0, 2000) }),
      onTimeline: (timeline, position) => notes.tell({ kind: 'timeline', timeline, position: formatLsn(position) }),
      onTablespace: ({ oid }) => notes.tell({ kind: 'base-needed', why: `the tablespace ${oid} was created` }),
      onTrouble: (error) => notes.trouble(error),
    };
    const watching = watchServer({ address, heartbeatMs: HEARTBEAT_MS, slot, events }, signal);
    await captureLog({
      address,
      repository: log,
      asset: asset!.name,
      slot,
      host: hostname(),
      policy: SHIP,
      now,
      signal,
      events,
    });
    await watching;
    return outcomeOf(last, signal);
  } finally {
    over.abort();
    data.store.close();
  }
}

/** The asset is retired. */
async function releaseSlot(address: ServerAddress, slot: string, signal: AbortSignal): Promise<RunOutcome> {
  try {
    return { state: 'succeeded', result: { slot, dropped: await new ReplicationSlot(address, slot, signal).drop() } };
  } catch (error) {
    const { code, message, hint } = outcomeOfError(error, signal).fault ?? { code: 'INTERNAL', message: String(error), hint: '' };
    const byHand = `Until it is dropped the server keeps its log: SELECT pg_drop_replication_slot('${slot}');`;
    return {
      state: 'failed',
      fault: { code, message: `The replication slot "${slot}" could not be dropped: ${message}`, hint: `${byHand} ${hint}` },
    };
  }
}

/** Told in order, beside the capture, which waits for none of them. */
class Notes {
  readonly #log: RemoteLog;
  readonly #signal: AbortSignal;
  readonly #now: () => Date;
  readonly #troubles = new Map<string, number>();
  #turn: Promise<void> = Promise.resolve();

  constructor(log: RemoteLog, signal: AbortSignal, now: () => Date) {
    this.#log = log;
    this.#signal = signal;
    this.#now = now;
  }

  tell(note: LogNoteMessage): void {
    this.#turn = this.#turn.then(() => this.#log.note(note, this.#signal)).catch(() => {});
  }

  trouble(error: unknown): void {
    if (this.#signal.aborted) return;
    const message = (error instanceof Error ? error.message : String(error)).slice(0, 2000);
    const code = isFault(error) ? error.code : 'INTERNAL';
    const at = this.#now().getTime();
    if (at - (this.#troubles.get(code) ?? Number.NEGATIVE_INFINITY) < TROUBLE_EVERY_MS) return;
    this.#troubles.set(code, at);
    this.tell({ kind: 'trouble', code, message, hint: isFault(error) ? error.hint.slice(0, 1000) : '' });
  }

  told(): Promise<void> {
    return this.#turn;
  }
}

function preflightNote({ checks }: Preflight): LogNoteMessage {
  const lacking = checks.flatMap(({ name, state, found, why, remedy }) =>
    state === 'ok' ? [] : [{ name, state, found: found.slice(0, 500), why: why.slice(0, 1000), remedy: remedy.slice(0, 1000) }],
  );
  return { kind: 'preflight', checks: lacking.slice(0, 50) };
}

function gaugeOf(status: CaptureStatus | undefined, bytesStored: number): ReturnType<Parameters<RunContext['watch']>[0]> {
  if (status === undefined) return { phase: 'connecting', bytesDone: 0, bytesStored };
  const { durable, server, timeline } = status;
  const behind = Math.max(0, server - durable);
  return {
    phase: 'capturing',
    bytesDone: 0,
    bytesStored,
    current: `stored up to ${formatLsn(durable)} of timeline ${timeline}, ${behind} bytes behind`,
  };
}

/** Being stopped is how it ends; the next one goes on. */
function outcomeOf(last: CaptureStatus | undefined, signal: AbortSignal): RunOutcome {
  const reason: unknown = signal.reason;
  const result =
    last === undefined
      ? {}
      : { result: { timeline: last.timeline, durable: formatLsn(last.durable), received: formatLsn(last.received) } };
  return { state: isFault(reason, 'RUN_CANCELED') ? 'canceled' : 'succeeded', ...result };
}
