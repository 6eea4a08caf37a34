// Snapshots as they are kept: sealed with their session's metadata key, signed by the key that made them.

import { Fault, isFault } from '../base/faults.ts';
import { openOnce, sealOnce } from '../codec/aead.ts';
import { isSignedBy, signBytes } from '../codec/signature.ts';
import { compressFrame, decompressFrame } from '../codec/zstd-frame.ts';
import type { Head, RegisteredSnapshot } from '../format/head.ts';
import { parseJson } from '../format/json.ts';
import { decodeSnapshot, encodeSnapshot, SNAPSHOT_LIMITS } from '../format/snapshot.ts';
import type { CommittedRegister, SealedSnapshot } from '../format/snapshot-register.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { CallOptions } from '../store/object-store.ts';
import { hex, unhex } from './layout.ts';
import type { OpenedRepository } from './open.ts';
import { readRegistered } from './registry.ts';
import type { Repository } from './repository.ts';

const NONCE_BYTES = 12;
const READS_PARALLEL = 8;

/** What opens and seals snapshots. */
export type SnapshotKeys = Pick<OpenedRepository, 'keyring' | 'parameters'>;

export function sealSnapshot(
  { keyring, parameters }: SnapshotKeys,
  snapshot: Snapshot,
  assetId: Uint8Array,
  nonce: Uint8Array,
): SealedSnapshot {
  const session = unhex(snapshot.id);
  const key = keyring.metadataKeyOf(session, assetId);
  const plain = compressFrame(Buffer.from(JSON.stringify(encodeSnapshot(snapshot))));
  const sealed = Buffer.concat([nonce, sealOnce(key, nonce, plain, snapshotAad(session))]);
  const signature = signBytes(keyring.payload.signingKey, signedBytes(parameters.id, sealed));
  return { sealed: sealed.toString('base64'), signature: Buffer.from(signature).toString('base64'), keyId: keyring.keyId };
}

export function openSnapshot(repository: SnapshotKeys, register: CommittedRegister): Snapshot {
  const what = `The snapshot ${register.session}`;
  const session = unhex(register.session);
  const sealed = Buffer.from(register.sealed, 'base64');
  const key = repository.keyring.metadataKeyOf(session, unhex(register.assetId));
  const frame = openOnce(key, sealed.subarray(0, NONCE_BYTES), sealed.subarray(NONCE_BYTES), snapshotAad(session));
  if (frame === undefined) throw new Fault('FORMAT_DAMAGED', `${what} does not open: it was changed`);
  const { keyring, parameters } = repository;
  if (
    register.keyId === keyring.keyId &&
    !isSignedBy(keyring.payload.verifyKey, signedBytes(parameters.id, sealed), Buffer.from(register.signature, 'base64'))
  ) {
    throw new Fault('FORMAT_DAMAGED', `${what} does not carry the signature of the key that it names`);
  }
  const json = decompressFrame(frame, SNAPSHOT_LIMITS.bytesMax);
  if (json === undefined) throw new Fault('FORMAT_DAMAGED', `${what} is damaged: it does not decompress`);
  const snapshot = decodeSnapshot(parseJson(json, what, SNAPSHOT_LIMITS), what);
  // Who writes one asset must not be able to speak for another one, or in the name of another session.
  if (snapshot.id !== register.session || hex(keyring.assetId(snapshot.asset)) !== register.assetId)
    throw new Fault('FORMAT_DAMAGED', `${what} says that it is ${snapshot.id} of the asset "${snapshot.asset}", which it is not`);
  return snapshot;
}

function snapshotAad(session: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('snapshot'), session]);
}

function signedBytes(repositoryId: Uint8Array, sealed: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`holdfast snapshot 1\n${hex(repositoryId)}\n`), sealed]);
}

/** SNAPSHOT_NOT_FOUND, SNAPSHOT_DAMAGED. */
export async function readSnapshot(repository: Repository, session: string, options?: CallOptions): Promise<Snapshot> {
  try {
    return openSnapshot(repository, await readRegistered(repository.heads, session, options));
  } catch (error) {
    if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
    throw new Fault('SNAPSHOT_DAMAGED', `The snapshot ${session} cannot be read: ${error.message}`, { cause: error });
  }
}

export type DamagedSnapshot = { readonly session: string; readonly fault: Fault };

/** All snapshots that this key can read, oldest first. What has been forgotten meanwhile is left out. SNAPSHOT_DAMAGED, unless damaged ones
 *  are told to `onDamaged` and left out, too: only for who does nothing because of their absence. */
export async function listSnapshots(
  repository: Repository,
  head: Head,
  options?: CallOptions,
  assetId?: Uint8Array,
  onDamaged?: (damaged: DamagedSnapshot) => void,
): Promise<Snapshot[]> {
  const wanted = assetId === undefined ? head.snapshots : head.snapshots.filter((one) => one.assetId === hex(assetId));
  const snapshots: Snapshot[] = [];
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < wanted.length) {
      const { session } = wanted[next++] as RegisteredSnapshot;
      try {
        snapshots.push(await readSnapshot(repository, session, options));
      } catch (error) {
        if (onDamaged !== undefined && isFault(error, 'SNAPSHOT_DAMAGED')) onDamaged({ session, fault: error });
        else if (!isFault(error, 'SNAPSHOT_NOT_FOUND', 'KEY_CANNOT_READ')) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: READS_PARALLEL }, reader));
  return snapshots.sort((a, b) => (a.startedAt < b.startedAt ? -1 : a.startedAt > b.startedAt ? 1 : a.id < b.id ? -1 : 1));
}

/** By id, or by the beginning of one. SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS. */
export async function resolveSnapshot(repository: Repository, name: string, options?: CallOptions): Promise<Snapshot> {
  return readSnapshot(repository, sessionNamed(repository, await repository.heads.read(options), name), options);
}

/** Of a snapshot that is named by its id, or the beginning of it. */
export function sessionNamed(repository: Repository, head: Head, name: string): string {
  const matches = head.snapshots.filter(({ session }) => session.startsWith(name.toLowerCase()));
  if (matches.length > 1)
    throw new Fault(
      'SNAPSHOT_AMBIGUOUS',
      `"${name}" is the beginning of ${matches.length} snapshots: ${matches
        .slice(0, 5)
        .map(({ session }) => session)
        .join(', ')}`,
    );
  const match = name === '' ? undefined : matches[0];
  if (match === undefined)
    throw new Fault('SNAPSHOT_NOT_FOUND', `There is no snapshot "${name}" in the repository at ${repository.store.location}`);
  return match.session;
}
