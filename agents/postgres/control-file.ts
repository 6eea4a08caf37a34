// global/pg_control, as much of it as a backup needs. Its first fields have their places in every version since 11. Its checksum, over all
// that comes before it, is the last field: at another place in each version, so that it is looked for.

import { crc32c } from './crc32c.ts';

export const CONTROL = 'global/pg_control';
const SHUT_DOWN = 1;
const IN_PRODUCTION = 6;
/** The fields lie within a sector, so that they are written whole or not at all; the rest is zeros. */
const FIELDS_BYTES_MAX = 512;
const FIELDS_BYTES_MIN = 52;

export type ControlFile = {
  /** Decimal. */
  readonly systemId: string;
  readonly isInProduction: boolean;
  /** In order, as a primary: the record of its last checkpoint ends its log. */
  readonly isShutDown: boolean;
  /** The record of the newest checkpoint, and where replay begins from it. */
  readonly checkpoint: number;
  readonly redo: number;
  readonly timeline: number;
};

/** Undefined: it was read while it was written. */
export function parseControlFile(bytes: Buffer): ControlFile | undefined {
  if (!isWhole(bytes)) return undefined;
  return {
    systemId: bytes.readBigUInt64LE(0).toString(),
    isInProduction: bytes.readUInt32LE(16) === IN_PRODUCTION,
    isShutDown: bytes.readUInt32LE(16) === SHUT_DOWN,
    checkpoint: Number(bytes.readBigUInt64LE(32)),
    redo: Number(bytes.readBigUInt64LE(40)),
    timeline: bytes.readUInt32LE(48),
  };
}

function isWhole(bytes: Buffer): boolean {
  for (let at = FIELDS_BYTES_MIN; at + 4 <= Math.min(bytes.length, FIELDS_BYTES_MAX); at += 4)
    if (crc32c(bytes.subarray(0, at)) === bytes.readUInt32LE(at)) return true;
  return false;
}
