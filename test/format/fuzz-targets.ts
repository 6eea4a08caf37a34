// Every decoder of the format, with a maker of valid input for each. What is sealed comes twice: as it lies in the store (where any change
// must be noticed), and as the bytes inside, sealed anew after they were changed, by somebody who has the keys.
//
// A decoder may take what it is given, or refuse it with a fault of the codes of its target; nothing else. What it takes it must be able
// to write again: backups take over what they find in their parent.

import { randomBytes } from 'node:crypto';
import { isFault } from '../../src/base/faults.ts';
import { sealOnce } from '../../src/codec/aead.ts';
import { objectId } from '../../src/codec/chunk-id.ts';
import { isScryptCostBearable } from '../../src/codec/derive.ts';
import { compressFrame } from '../../src/codec/zstd-frame.ts';
import { decodeChunksNode, encodeChunksBranch, encodeChunksLeaf } from '../../src/format/chunks-node.ts';
import { decodeCondemnedList, encodeCondemnedList } from '../../src/format/condemned-list.ts';
import {
  decodeEntriesBranch,
  decodeEntriesLeaf,
  encodeEntriesBranch,
  encodeEntriesLeaf,
  referencesOfEntriesLeaf,
} from '../../src/format/entries-node.ts';
import { decodeHead, encodeHead, REGISTER_LIMITS } from '../../src/format/head.ts';
import { decodeIndexPlain, directoryOf, encodeIndexPlain } from '../../src/format/index-object.ts';
import { parseJson } from '../../src/format/json.ts';
import { decodeKeyObject, decodeKeyPayload, encodeKeyObject, encodeKeyPayload } from '../../src/format/key-object.ts';
import { decodeKeyText, encodeKeyText } from '../../src/format/key-text.ts';
import { decodeDirectory, decodeTrailer, encodeDirectory, encodeTrailer } from '../../src/format/pack.ts';
import { decodeRepositoryObject, encodeRepositoryObject } from '../../src/format/repository-object.ts';
import { decodeSnapshot, encodeSnapshot, SNAPSHOT_LIMITS } from '../../src/format/snapshot.ts';
import { decodeSnapshotRegister, encodeSnapshotRegister } from '../../src/format/snapshot-register.ts';
import { decodeUnitsBranch, decodeUnitsLeaf, encodeUnitsBranch, encodeUnitsLeaf } from '../../src/format/units-node.ts';
import { bytesEqual, NO_REFERENCES } from '../../src/model/reference.ts';
import type { StoredEntry } from '../../src/model/stored-entry.ts';
import { decodeIndexObject, encodeIndexObject } from '../../src/repository/index-objects.ts';
import { Keyring } from '../../src/repository/keyring.ts';
import { hex, unhex } from '../../src/repository/layout.ts';
import { openPackDirectory } from '../../src/repository/pack-directory.ts';
import { registerCodec } from '../../src/repository/register-codec.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { openSnapshot, sealSnapshot } from '../../src/repository/snapshots.ts';
import { BlockOpener } from '../../src/worker/block-opener.ts';
import { Material } from './material.ts';

export type Target = {
  readonly name: string;
  readonly kind: 'binary' | 'json';
  readonly valid: (m: Material) => Uint8Array;
  /** Answers whether it was taken; throws when not. */
  readonly decode: (bytes: Uint8Array) => unknown;
  /** Beginnings of the codes that it may answer. */
  readonly codes: readonly string[];
  /** Of counts and lengths, each of which is to have its turn. */
  readonly hasNumbers?: boolean;
  /** No change may be taken: it is sealed. */
  readonly isSealed?: boolean;
};

const FORMAT = ['FORMAT_'];
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const NONCE = 'ab'.repeat(16);
const [UNITS, UNIT_BYTES, LAST_UNIT_BYTES] = [100, 4096, 1000];

const fixed = new Material(4711);
const PARAMETERS = fixed.parameters();
const OWNER = (() => {
  for (;;) {
    const payload = fixed.keyPayload();
    if (payload.role === 'owner') return payload;
  }
})();
const KEYRING = new Keyring('0011223344556677', OWNER, PARAMETERS);
const PLACE = { keyring: KEYRING, parameters: PARAMETERS } as unknown as Repository;
const SESSION = fixed.hex(20);
const ASSET = 'the asset';
const ASSET_ID = KEYRING.assetId(ASSET);
const REGISTERS = registerCodec(KEYRING, randomBytes);
const ZERO_NONCE = new Uint8Array(12);

function snapshotOf(m: Material) {
  return { ...m.snapshot(), id: SESSION, asset: ASSET };
}

/** A committed register around these sealed bytes. */
function openSealed(sealed: Uint8Array): unknown {
  const committed = { state: 'committed', session: SESSION, assetId: hex(ASSET_ID), indexes: [] } as const;
  const text = Buffer.from(sealed).toString('base64');
  return openSnapshot(PLACE, { ...committed, sealed: text, signature: '', keyId: 'another' });
}

function openIndexFrame(frame: Uint8Array): unknown {
  const header = Buffer.concat([Buffer.from('HFIX\x01\0\0\0', 'latin1'), new Uint8Array(16)]);
  const sealed = sealOnce(KEYRING.subkey('index', header.subarray(8)), ZERO_NONCE, frame, header);
  const bytes = Buffer.concat([header, sealed]);
  return decodeIndexObject(hex(objectId(bytes)), bytes, KEYRING);
}

function openRegisterFrame(frame: Uint8Array): unknown {
  const sealed = sealOnce(KEYRING.directoryKey, ZERO_NONCE, frame, Buffer.from('head'));
  return REGISTERS.decode('head', Buffer.concat([Buffer.from('HFRG\x01\0\0\0', 'latin1'), ZERO_NONCE, sealed]));
}

function openTail(tail: Uint8Array): unknown {
  const trailer = decodeTrailer(tail.subarray(Math.max(0, tail.length - 64)));
  // Whoever reads a pack takes as many bytes from its end as its trailer says.
  if (tail.length !== trailer.directoryLength + 64) throw new NotOpened();
  return openPackDirectory(tail, trailer, KEYRING, 'The pack');
}

const opener = new BlockOpener();
const BLOCK_KEY = fixed.bytes(32);
/** A compressed block of 50,000 bytes. */
function openBlock(frame: Uint8Array): unknown {
  const block = { id: new Uint8Array(16), rawLength: 50_000, codec: 1, sealingCounter: new Uint8Array(6), key: BLOCK_KEY };
  const aad = new Uint8Array(21);
  new DataView(aad.buffer).setUint32(16, block.rawLength, true);
  aad[20] = 1;
  const target = new Uint8Array(block.rawLength);
  if (!opener.open(target, sealOnce(BLOCK_KEY, ZERO_NONCE, frame, aad), block)) throw new NotOpened();
  return target;
}

/** BlockOpener says no without a fault; for the fuzzing that is a refusal like others. */
export class NotOpened extends Error {}

const binary = (name: string, valid: Target['valid'], decode: Target['decode']): Target => ({
  name,
  kind: 'binary',
  valid,
  decode,
  codes: FORMAT,
  hasNumbers: !/sealed|frame|session key/.test(name),
});
const ofJson = (name: string, valid: Target['valid'], decode: Target['decode']): Target => ({
  name,
  kind: 'json',
  valid,
  decode,
  codes: FORMAT,
});

/** Who follows references only sees all of them, and refuses the same leaves. */
function mustBeLikeItsReferences(bytes: Uint8Array): void {
  const answerOf = (read: () => Uint8Array): Uint8Array | string => {
    try {
      return read();
    } catch (error) {
      if (!isFault(error)) throw error;
      return error.message;
    }
  };
  const rootOf = ({ content }: StoredEntry) => ('root' in content ? content.root : NO_REFERENCES);
  const chunksOf = ({ content }: StoredEntry) => (content.kind === 'chunks' ? content.references : NO_REFERENCES);
  const entries = answerOf(() => {
    const all = decodeEntriesLeaf(bytes);
    return Buffer.concat([...all.map(chunksOf), ...all.map(rootOf)]);
  });
  const references = answerOf(() => {
    const { chunks, maps } = referencesOfEntriesLeaf(bytes);
    return Buffer.concat([chunks, ...maps.map(({ root }) => root)]);
  });
  const isSame =
    typeof entries === 'string' ? entries === references : typeof references !== 'string' && bytesEqual(entries, references);
  if (!isSame) throw new Error('the entries of a leaf and its references are not the same');
}

export const TARGETS: readonly Target[] = [
  binary(
    'entries leaf',
    (m) => encodeEntriesLeaf(m.entries(1 + m.below(20))),
    (bytes) => {
      mustBeLikeItsReferences(bytes);
      encodeEntriesLeaf(decodeEntriesLeaf(bytes));
    },
  ),
  binary(
    'entries branch',
    (m) => encodeEntriesBranch(m.entriesChildren(1 + m.below(10))),
    (bytes) => encodeEntriesBranch(decodeEntriesBranch(bytes)),
  ),
  binary(
    'units leaf',
    (m) => {
      const { set, references } = m.units(UNITS, UNIT_BYTES, LAST_UNIT_BYTES);
      return encodeUnitsLeaf(set, references, UNIT_BYTES);
    },
    (bytes) => {
      const { set, references } = decodeUnitsLeaf(bytes, UNITS, UNIT_BYTES, LAST_UNIT_BYTES);
      return encodeUnitsLeaf(set, references, UNIT_BYTES);
    },
  ),
  binary(
    'units branch',
    (m) => encodeUnitsBranch(m.unitsChildren(1 + m.below(20))),
    (bytes) => encodeUnitsBranch(decodeUnitsBranch(bytes)),
  ),
  binary(
    'chunks leaf',
    (m) => encodeChunksLeaf(m.references(1 + m.below(20))),
    (bytes) => decodeChunksNode(bytes),
  ),
  binary(
    'chunks branch',
    (m) => encodeChunksBranch(m.chunksChildren(1 + m.below(20))),
    (bytes) => {
      const node = decodeChunksNode(bytes);
      return node.kind === 'leaf' ? encodeChunksLeaf(node.references) : encodeChunksBranch(node.children);
    },
  ),
  binary(
    'pack directory',
    (m) => encodeDirectory(m.directory(8)),
    (bytes) => encodeDirectory(decodeDirectory(bytes)),
  ),
  binary(
    'trailer',
    (m) => encodeTrailer(m.trailer()),
    (bytes) => encodeTrailer(decodeTrailer(bytes)),
  ),
  binary(
    'index plain',
    (m) => encodeIndexPlain(m.indexedPacks(m.below(5))),
    (bytes) => decodeIndexPlain(bytes).map(directoryOf),
  ),
  binary(
    'condemned list',
    (m) => encodeCondemnedList(m.condemned()),
    (bytes) => encodeCondemnedList(decodeCondemnedList(bytes)),
  ),
  {
    name: 'key text',
    kind: 'binary',
    valid: (m) => Buffer.from(encodeKeyText({ kind: 'KEY', bytes: m.bytes(1 + m.below(500)) })),
    decode: (bytes) => decodeKeyText(Buffer.from(bytes).toString('latin1')),
    codes: ['KEY_TEXT_DAMAGED'],
  },
  ofJson(
    'repository object',
    (m) => encodeRepositoryObject(m.parameters()),
    (bytes) => encodeRepositoryObject(decodeRepositoryObject(bytes, 'here')),
  ),
  ofJson(
    'key object',
    (m) => encodeKeyObject(m.keyObject()),
    (bytes) => {
      const key = decodeKeyObject(bytes, 'The key');
      isScryptCostBearable(key.cost);
      return encodeKeyObject(key);
    },
  ),
  ofJson(
    'key payload',
    (m) => encodeKeyPayload(m.keyPayload()),
    (bytes) => encodeKeyPayload(decodeKeyPayload(bytes, 'The key')),
  ),
  ofJson(
    'head',
    (m) => json(encodeHead(m.head(), NONCE)),
    (bytes) => encodeHead(decodeHead(parseJson(bytes, 'The head', REGISTER_LIMITS)), NONCE),
  ),
  ofJson(
    'snapshot register',
    (m) => json(encodeSnapshotRegister({ ...m.snapshotRegister(), session: SESSION }, NONCE)),
    (bytes) => {
      const register = decodeSnapshotRegister(parseJson(bytes, 'The register', REGISTER_LIMITS), SESSION);
      return encodeSnapshotRegister(register, NONCE);
    },
  ),
  ofJson(
    'snapshot',
    (m) => json(encodeSnapshot(m.snapshot())),
    (bytes) => encodeSnapshot(decodeSnapshot(parseJson(bytes, 'The snapshot', SNAPSHOT_LIMITS), 'The snapshot')),
  ),
  {
    ...binary(
      'register, sealed',
      (m) => REGISTERS.encode('head', encodeHead(m.head(), NONCE)),
      (bytes) => REGISTERS.decode('head', bytes),
    ),
    isSealed: true,
  },
  binary(
    'register, the frame inside',
    (m) => compressFrame(json(encodeHead(m.head(), NONCE))),
    (frame) => openRegisterFrame(frame),
  ),
  {
    ...binary(
      'index object, sealed',
      (m) => encodeIndexObject(m.indexedPacks(3), KEYRING, randomBytes).bytes,
      (bytes) => decodeIndexObject(hex(objectId(bytes)), bytes, KEYRING),
    ),
    isSealed: true,
  },
  binary(
    'index object, the frame inside',
    (m) => compressFrame(encodeIndexPlain(m.indexedPacks(m.below(5)))),
    (frame) => openIndexFrame(frame),
  ),
  {
    ...binary(
      'snapshot, sealed',
      (m) => Buffer.from(sealSnapshot(PLACE, snapshotOf(m), ASSET_ID, m.bytes(12)).sealed, 'base64'),
      (bytes) => openSealed(bytes),
    ),
    isSealed: true,
  },
  binary(
    'snapshot, the frame inside',
    (m) => compressFrame(json(encodeSnapshot(snapshotOf(m)))),
    (frame) => {
      const key = KEYRING.metadataKeyOf(unhex(SESSION), ASSET_ID);
      const aad = Buffer.concat([Buffer.from('snapshot'), unhex(SESSION)]);
      return openSealed(Buffer.concat([ZERO_NONCE, sealOnce(key, ZERO_NONCE, frame, aad)]));
    },
  ),
  {
    ...binary(
      'pack tail, sealed',
      (m) => {
        const directory = m.directory(5);
        const plain = encodeDirectory(directory);
        const salt = m.bytes(16);
        const [directoryLength, blockCount] = [plain.length + 16, directory.blocks.length];
        const trailer = encodeTrailer({ kind: 'data', directoryLength, blockCount, session: m.bytes(10), salt });
        return Buffer.concat([sealOnce(KEYRING.subkey('pack', salt), ZERO_NONCE, plain, trailer), trailer]);
      },
      (bytes) => openTail(bytes),
    ),
    isSealed: true,
  },
  {
    ...binary(
      'session key object',
      (m) => KEYRING.sealSessionKey(OWNER.pairs.at(-1)!.publicKey, unhex(SESSION), m.bytes(32)),
      (bytes) => KEYRING.openSessionKey(OWNER.pairs.at(-1)!.id, unhex(SESSION), bytes),
    ),
    isSealed: true,
  },
  binary(
    'block, the frame inside',
    (m) => compressFrame(m.bytes(50_000).map((byte) => byte & 3)),
    (frame) => openBlock(frame),
  ),
];
