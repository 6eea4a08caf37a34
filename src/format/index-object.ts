// Index objects: lists of pack directories. See README.md, "Index objects". This is the plain inside; sealing is the repository's.

import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import {
  DIRECTORY_BYTES_MAX,
  decodeDirectory,
  PACK_BYTES_MAX,
  type PackDirectory,
  type PackKind,
  packLengthOf,
  SESSION_BYTES,
} from './pack.ts';

const INDEX_VERSION = 1;
/** What an index object may hold; writers stay far below. */
export const INDEX_PACKS_MAX = 50_000;
export const INDEX_PLAIN_BYTES_MAX = 256 * 1024 * 1024;

export type IndexedPack = {
  /** 32 bytes. */
  readonly packId: Uint8Array;
  readonly kind: PackKind;
  readonly packLength: number;
  /** 10 bytes: who wrote the pack. */
  readonly session: Uint8Array;
  /** The pack's directory as the pack holds it (plain). */
  readonly directory: Uint8Array;
};

export function encodeIndexPlain(packs: readonly IndexedPack[]): Uint8Array {
  const w = new ByteWriter(64 * 1024);
  invariant(packs.length <= INDEX_PACKS_MAX, 'an index object has at most 50,000 packs');
  w.u8(INDEX_VERSION).varint(packs.length);
  for (const pack of packs) {
    w.raw(pack.packId)
      .u8(pack.kind === 'data' ? 0 : 1)
      .varint(pack.packLength)
      .raw(pack.session)
      .bytes(pack.directory);
  }
  invariant(w.length <= INDEX_PLAIN_BYTES_MAX, 'an index object has at most 256 MiB');
  return w.finish();
}

/** The packs' directories are views, not yet decoded: see `directoryOf`. */
export function decodeIndexPlain(bytes: Uint8Array, what = 'An index object'): IndexedPack[] {
  const r = new ByteReader(bytes, what);
  r.check(r.u8() === INDEX_VERSION, 'unknown version');
  const packs: IndexedPack[] = [];
  for (let n = r.count(45, INDEX_PACKS_MAX); n > 0; n--) {
    const packId = r.raw(32);
    const kind = r.u8();
    r.check(kind <= 1, 'unknown kind of pack');
    packs.push({
      packId,
      kind: kind === 0 ? 'data' : 'metadata',
      packLength: r.varint(PACK_BYTES_MAX),
      session: r.raw(SESSION_BYTES),
      directory: r.bytes(DIRECTORY_BYTES_MAX),
    });
  }
  r.end();
  return packs;
}

/** FORMAT_DAMAGED when it is not that of a pack of this length. */
export function directoryOf(pack: IndexedPack): PackDirectory {
  const what = `The directory of pack ${Buffer.from(pack.packId).toString('hex')}`;
  const directory = decodeDirectory(pack.directory, what);
  if (packLengthOf(directory, pack.directory.length) !== pack.packLength)
    throw new Fault('FORMAT_DAMAGED', `${what} is damaged: it is that of a pack of another length`);
  return directory;
}
