// Index objects: lists of pack directories. See README.md, "Index objects". This is the plain inside; sealing is the repository's.

import { ByteReader, ByteWriter } from './bytes.ts';
import { decodeDirectory, PACK_BYTES_MAX, type PackDirectory, type PackKind, SESSION_BYTES } from './pack.ts';

const INDEX_VERSION = 1;

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
  w.u8(INDEX_VERSION).varint(packs.length);
  for (const pack of packs) {
    w.raw(pack.packId)
      .u8(pack.kind === 'data' ? 0 : 1)
      .varint(pack.packLength)
      .raw(pack.session)
      .bytes(pack.directory);
  }
  return w.finish();
}

/** The packs' directories are views, not yet decoded: see `directoryOf`. */
export function decodeIndexPlain(bytes: Uint8Array, what = 'An index object'): IndexedPack[] {
  const r = new ByteReader(bytes, what);
  r.check(r.u8() === INDEX_VERSION, 'unknown version');
  const packs: IndexedPack[] = [];
  for (let n = r.count(45); n > 0; n--) {
    const packId = r.raw(32);
    const kind = r.u8();
    r.check(kind <= 1, 'unknown kind of pack');
    packs.push({
      packId,
      kind: kind === 0 ? 'data' : 'metadata',
      packLength: r.varint(PACK_BYTES_MAX),
      session: r.raw(SESSION_BYTES),
      directory: r.bytes(),
    });
  }
  r.end();
  return packs;
}

export function directoryOf(pack: IndexedPack): PackDirectory {
  return decodeDirectory(pack.directory, `The directory of pack ${Buffer.from(pack.packId).toString('hex')}`);
}
