// What the simulation stores: packs of blocks, index objects and snapshots as JSON, with no more in them than the protocol cares for. A
// block holds one chunk; a snapshot needs blocks. Backups, prunes and readers of the simulation differ from the real ones in nothing else.

import { createHash } from 'node:crypto';
import type { IndexRef } from '../../src/format/head.ts';
import type { CommittedRegister, SealedSnapshot } from '../../src/format/snapshot-register.ts';
import { indexKey, packKey, unhex } from '../../src/repository/layout.ts';
import type { RegisterCodec } from '../../src/repository/register-codec.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';

export type Block = { readonly id: string; readonly chunk: string };
export type Pack = { readonly session: string; readonly blocks: readonly Block[] };
export type PackEntry = Pack & { readonly id: string };
export type Index = { readonly session: string; readonly packs: readonly PackEntry[] };

const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const decode = <T>(bytes: Uint8Array): T => JSON.parse(Buffer.from(bytes).toString()) as T;
const idOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const jsonCodec: RegisterCodec = { encode: (_, value) => encode(value), decode: (_, bytes) => decode(bytes) };

export function packBytes(
  pack: Pack,
  salt: string,
): { readonly entry: PackEntry; readonly key: string; readonly bytes: Uint8Array } {
  const bytes = encode({ ...pack, salt });
  const id = idOf(bytes);
  return { entry: { id, ...pack }, key: packKey(unhex(id)), bytes };
}

export function indexBytes(
  index: Index,
  salt: string,
): { readonly ref: IndexRef; readonly key: string; readonly bytes: Uint8Array } {
  const bytes = encode({ ...index, salt });
  const id = idOf(bytes);
  return { ref: { id, bytes: bytes.length, packs: index.packs.length }, key: indexKey(id), bytes };
}

export const decodePack = (bytes: Uint8Array): Pack => decode<Pack>(bytes);
export const decodeIndex = (bytes: Uint8Array): Index => decode<Index>(bytes);

export async function readPack(store: ObjectStore, id: string): Promise<PackEntry> {
  return { id, ...decodePack(await store.get(packKey(unhex(id)))) };
}

export async function readIndexes(store: ObjectStore, refs: readonly IndexRef[]): Promise<ReadonlyMap<string, Index>> {
  const indexes = new Map<string, Index>();
  for (const { id } of refs) indexes.set(id, decodeIndex(await store.get(indexKey(id))));
  return indexes;
}

export function sealBlocks(blocks: readonly string[]): SealedSnapshot {
  return { sealed: Buffer.from(JSON.stringify(blocks)).toString('base64'), signature: '', keyId: 'simulated' };
}

export function blocksOf(register: CommittedRegister): readonly string[] {
  return decode<string[]>(Buffer.from(register.sealed, 'base64'));
}
