// The object `condemned/<id>`: packs that a prune has condemned, in ascending order. In the clear: names of packs tell nothing, and the
// sealed head vouches for the bytes by their hash.
//
// `HFCL`, u8 1, three zero bytes, session that wrote it (10), salt (6), then the pack ids (32 each).

import { ByteReader, ByteWriter } from './bytes.ts';
import { SESSION_BYTES } from './pack.ts';

const MAGIC = 0x4c434648;
const VERSION = 1;
const HEADER_BYTES = 24;
const ID_BYTES = 32;
export const CONDEMNED_SALT_BYTES = 6;

export type CondemnedList = {
  /** 20 hex digits. */
  readonly session: string;
  /** 6 random bytes: a list that was given up and deleted never shares its name with a later one. */
  readonly salt: Uint8Array;
  /** 64 hex digits each. */
  readonly packs: readonly string[];
};

export function encodeCondemnedList({ session, salt, packs }: CondemnedList): Uint8Array {
  const w = new ByteWriter(HEADER_BYTES + packs.length * ID_BYTES);
  w.u32(MAGIC).u32(VERSION).raw(Buffer.from(session, 'hex')).raw(salt);
  for (const pack of [...packs].sort()) w.raw(Buffer.from(pack, 'hex'));
  return w.finish();
}

export function decodeCondemnedList(bytes: Uint8Array, what = 'A condemned list'): CondemnedList {
  const r = new ByteReader(bytes, what);
  r.check(r.u32() === MAGIC && r.u32() === VERSION, 'it is not a condemned list of this version');
  const session = hex(r.raw(SESSION_BYTES));
  const salt = r.raw(CONDEMNED_SALT_BYTES);
  r.check(r.left % ID_BYTES === 0, 'it ends within an id');
  const packs: string[] = [];
  while (r.left > 0) {
    const pack = hex(r.raw(ID_BYTES));
    r.check(packs.length === 0 || packs[packs.length - 1]! < pack, 'its ids are not in order');
    packs.push(pack);
  }
  return { session, salt, packs };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
