import type { FileOwner } from '../postgres/log-server.ts';

export type WatchdogOptions = {
  /** Directory of the server's programs. */
  readonly programs: string;
  readonly dataDirectory: string;
  readonly tokenFile: string;
  /** More words for the server's command line. */
  readonly args: readonly string[];
  readonly owner: FileOwner | undefined;
  /** From an immediate shutdown until what is left is killed. Part of the margin of the lease. */
  readonly graceMs: number;
};

export type ToWatchdog =
  | { readonly kind: 'start'; readonly options: WatchdogOptions; readonly untilMs: number | null }
  /** By the clock of the host; null: for as long as nobody says otherwise (a standby). */
  | { readonly kind: 'until'; readonly number: number; readonly untilMs: number | null }
  | { readonly kind: 'stop'; readonly how: 'fast' | 'immediate' };

export type FromWatchdog =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'armed'; readonly number: number }
  /** Nobody works in the data directory any more. */
  | { readonly kind: 'stopped'; readonly why: string };
