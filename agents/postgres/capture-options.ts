// What a capture is told, and what it tells.

import type { ShipPolicy } from '../../src/engine/log-writer.ts';
import type { OpenedRepository } from '../../src/repository/open.ts';
import type { SessionKeyFinder } from '../../src/repository/session-keys.ts';
import type { ServerAddress } from './connection-string.ts';

export type CapturePatience = {
  /** When it ends, the store is given so long to take the rest. */
  readonly flushMs: number;
  /** A store that has taken nothing for so long is told of. */
  readonly stallMs: number;
  /** How often it is asked whether the cluster has gone on elsewhere. */
  readonly watchMs: number;
};

export type CaptureStatus = {
  readonly timeline: number;
  /** Received, stored, and what the server has. */
  readonly received: number;
  readonly durable: number;
  readonly server: number;
  /** Time of the last transaction that is stored (the server's clock, Unix microseconds); 0: none yet. */
  readonly lastTransaction: number;
  /** For so long the store has taken nothing of what waits; 0: nothing waits. */
  readonly stalledMs: number;
};

export type CaptureEvents = {
  /** Log is being received. */
  readonly onStreaming: (at: { readonly timeline: number; readonly position: number }) => void;
  readonly onProgress: (status: CaptureStatus) => void;
  readonly onGap: (gap: { readonly timeline: number; readonly from: number; readonly to: number; readonly cause: string }) => void;
  readonly onTimeline: (timeline: number, position: number) => void;
  /** A base backup that is made now holds it; older ones can be brought over it only on another host. */
  readonly onTablespace: (tablespace: { readonly oid: string; readonly location: string }) => void;
  /** Something that passes, or that somebody must look at; capture goes on trying. */
  readonly onTrouble: (error: unknown) => void;
};

/** Where a log is stored: a repository that is opened here, or the service's. */
export type LogRepository = OpenedRepository & { readonly keys: SessionKeyFinder };

export type CaptureOptions = {
  readonly address: ServerAddress;
  readonly repository: LogRepository;
  readonly asset: string;
  readonly slot: string;
  readonly host: string;
  readonly policy: ShipPolicy;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  readonly events: CaptureEvents;
  readonly patience?: CapturePatience;
};
