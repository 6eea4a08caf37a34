// global/pg_control, as much of it as a backup needs. Its first fields have their places in every version since 11. Its checksum, over all
// that comes before it, is the last field: at another place in each version, so that it is looked for.

import { crc32c } from './crc32c.ts';

export const CONTROL = 'global/pg_control';
const IN_PRODUCTION = 6;
/** The fields lie within a sector, so that they are written whole or not at all; the rest is zeros. */
const FIELDS_BYTES_MAX = 512;
const FIELDS_BYTES_MIN = 48;

export type ControlFile = {
  /** Decimal. */
  readonly systemId: string;
  readonly isInProduction: boolean;
  /** Where replay begins from the newest checkpoint. */
  readonly redo: number;
};

/** Undefined: it was read while it was written. */
export function parseControlFile(bytes: Buffer): ControlFile | undefined {
  if (!isWhole(bytes)) return undefined;
  return {
    systemId: bytes.readBigUInt64LE(0).toString(),
    isInProduction: bytes.readUInt32LE(16) === IN_PRODUCTION,
    redo: Number(bytes.readBigUInt64LE(40)),
  };
}

function isWhole(bytes: Buffer): boolean {
  for (let at = FIELDS_BYTES_MIN; at + 4 <= Math.min(bytes.length, FIELDS_BYTES_MAX); at += 4)
    if (crc32c(bytes.subarray(0, at)) === bytes.readUInt32LE(at)) return true;
  return false;
}
