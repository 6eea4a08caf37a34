// The line that tells a person how far a run is: looked up from counters a few times a second, never in the way of the work.

import { formatBytes, formatDuration } from '../base/units.ts';
import type { Output } from './output.ts';

const REDRAW_MS = 200;
/** Without a terminal, with --verbose. */
const REPORT_MS = 10_000;
/** The rate is that of about so long. */
const RATE_MS = 5_000;
const ETA_AFTER_MS = 3_000;

export type Gauge = {
  readonly bytesDone: number;
  /** Undefined while it is not known. */
  readonly bytesTotal: number | undefined;
  /** What the verb adds: dedup figures, files. */
  readonly notes: readonly string[];
  /** For --json --verbose. */
  readonly fields: Readonly<Record<string, unknown>>;
};

/** Draws until the answered function is called. */
export function watch(output: Output, read: () => Gauge): () => void {
  const { json, quiet, verbose, progress } = output.options;
  if (!progress || (quiet && !verbose)) return () => {};
  const draws = output.isTerminal && !json;
  if (!draws && !verbose) return () => {};
  const rate = new Rate(performance.now());
  const tick = (): void => {
    const gauge = read();
    if (json) {
      output.record('progress', { bytesDone: gauge.bytesDone, bytesTotal: gauge.bytesTotal ?? null, ...gauge.fields });
      output.flush();
      return;
    }
    const text = lineOf(gauge, rate, performance.now());
    if (draws) output.status(text);
    else output.detail(text);
  };
  const timer = setInterval(tick, draws ? REDRAW_MS : REPORT_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    output.status('');
  };
}

/** "12.3 GiB / 50.0 GiB  24%  512 MiB/s  ETA 1m12s  new 1.1 GiB  stored 512 MiB" */
export function lineOf({ bytesDone, bytesTotal, notes }: Gauge, rate: Rate, nowMs: number): string {
  const bytesPerSecond = rate.add(bytesDone, nowMs);
  const parts = [bytesTotal === undefined ? formatBytes(bytesDone) : `${formatBytes(bytesDone)} / ${formatBytes(bytesTotal)}`];
  if (bytesTotal !== undefined && bytesTotal > 0) parts.push(`${Math.min(100, Math.floor((bytesDone / bytesTotal) * 100))}%`);
  parts.push(`${formatBytes(Math.round(bytesPerSecond))}/s`);
  if (bytesTotal !== undefined && bytesPerSecond > 0 && rate.elapsedMs(nowMs) >= ETA_AFTER_MS && bytesDone < bytesTotal) {
    parts.push(`ETA ${formatDuration(Math.max(1000, ((bytesTotal - bytesDone) / bytesPerSecond) * 1000))}`);
  }
  return [...parts, ...notes].join('  ');
}

/** Bytes a second over the last seconds. */
export class Rate {
  readonly #startMs: number;
  readonly #samples: { readonly atMs: number; readonly bytes: number }[];

  constructor(startMs: number) {
    this.#startMs = startMs;
    this.#samples = [{ atMs: startMs, bytes: 0 }];
  }

  add(bytes: number, nowMs: number): number {
    this.#samples.push({ atMs: nowMs, bytes });
    while (this.#samples.length > 2 && nowMs - this.#samples[0]!.atMs > RATE_MS) this.#samples.shift();
    const first = this.#samples[0]!;
    return nowMs > first.atMs ? ((bytes - first.bytes) / (nowMs - first.atMs)) * 1000 : 0;
  }

  elapsedMs(nowMs: number): number {
    return nowMs - this.#startMs;
  }
}
