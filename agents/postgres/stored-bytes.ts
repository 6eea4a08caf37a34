// Stored log as the bytes that records are read from.

import type { LogView } from '../../src/engine/log-view.ts';
import type { LogBytes } from './wal-records.ts';

const WINDOW_BYTES = 1024 * 1024;

/** Reads stored log; what is not stored is not there. */
export function storedBytes(view: LogView, timeline: number): LogBytes {
  let window = { from: 0, bytes: new Uint8Array(0) };
  return async (position, length) => {
    if (position < window.from || position + length > window.from + window.bytes.length) {
      const end = Math.min(view.storedTo(timeline, position), position + WINDOW_BYTES);
      const bytes = new Uint8Array(Math.max(0, end - position));
      await view.read(timeline, position, bytes);
      window = { from: position, bytes };
    }
    return window.bytes.subarray(position - window.from, position - window.from + length);
  };
}
