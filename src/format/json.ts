// Reading JSON that anybody may have written. JSON.parse makes of two bytes ("{}") sixty, so its input is looked over first: how long it
// is, how many values it has, how deeply they are nested.

import { Fault } from '../base/faults.ts';

export type JsonLimits = {
  readonly bytesMax: number;
  /** Commas, colons and opening brackets: what memory grows with. */
  readonly itemsMax: number;
};

const DEPTH_MAX = 16;
const [QUOTE, BACKSLASH, COMMA, COLON, OPEN_LIST, CLOSE_LIST, OPEN_RECORD, CLOSE_RECORD] = Buffer.from('"\\,:[]{}');

/** FORMAT_DAMAGED, naming `what`, when it is not JSON within the limits. */
export function parseJson(bytes: Uint8Array, what: string, limits: JsonLimits): unknown {
  if (!isWithin(bytes, limits)) throw new Fault('FORMAT_DAMAGED', `${what} is damaged: it is larger than such a record can be`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new Fault('FORMAT_DAMAGED', `${what} is damaged: it is not JSON`, { cause });
  }
}

/** Whether a reader would take it. */
export function isWithin(bytes: Uint8Array, { bytesMax, itemsMax }: JsonLimits): boolean {
  if (bytes.length > bytesMax) return false;
  let items = 0;
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    } else if (byte === COMMA || byte === COLON) items++;
    else if (byte === OPEN_LIST || byte === OPEN_RECORD) {
      items++;
      if (++depth > DEPTH_MAX) return false;
    } else if (byte === CLOSE_LIST || byte === CLOSE_RECORD) depth--;
  }
  return items <= itemsMax;
}
