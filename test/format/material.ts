// Seeded records of every kind, valid and various: what the round trips compare and the fuzzing damages. Without vitest: child processes
// use it too.

import type { CondemnedList } from '../../src/format/condemned-list.ts';
import type { EntriesBranchChild } from '../../src/format/entries-node.ts';
import type { Head, IndexRef, ProcessFacts } from '../../src/format/head.ts';
import type { IndexedPack } from '../../src/format/index-object.ts';
import type { KeyObject, KeyPayload } from '../../src/format/key-object.ts';
import {
  type Extent,
  encodeDirectory,
  type PackBlock,
  type PackDirectory,
  type PackTrailer,
  packLengthOf,
} from '../../src/format/pack.ts';
import type { RepositoryParameters } from '../../src/format/repository-object.ts';
import type { SnapshotRegister } from '../../src/format/snapshot-register.ts';
import type { EntryKind, Xattr } from '../../src/model/entry.ts';
import { comparePaths } from '../../src/model/entry-path.ts';
import { contentLength, NO_REFERENCES, packReference, type References } from '../../src/model/reference.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { type Content, NO_CONTENT, type StoredEntry } from '../../src/model/stored-entry.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const KINDS: readonly EntryKind[] = ['directory', 'file', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'];
const AT = '2030-01-02T03:04:05.678Z';

export class Material {
  readonly #random: () => number;
  #next: number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#next = seed * 1000;
  }

  /** A whole number from 0 to `n` - 1; small ones are as likely as all the large ones together. */
  below(n: number): number {
    return Math.floor(this.#random() * (this.#random() < 0.5 ? Math.min(n, 8) : n));
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)]!;
  }

  bytes(length: number): Uint8Array {
    return seededBytes(length, this.#next++).slice();
  }

  hex(digits: number): string {
    return Buffer.from(this.bytes(digits / 2)).toString('hex');
  }

  /** Text of any bytes but NUL and "/", one char each. */
  name(max = 30): string {
    return Array.from({ length: 1 + this.below(max) }, () => {
      const code = 1 + this.below(255);
      return code === 47 ? '_' : String.fromCharCode(code);
    }).join('');
  }

  reference(length = 1 + this.below(1_000_000)): References {
    return packReference(this.#block(), this.bytes(16), this.below(1_000_000), length);
  }

  references(n: number): References {
    return new Uint8Array(Buffer.concat(Array.from({ length: n }, () => this.reference())));
  }

  // Few blocks, so that nodes refer to one several times.
  #block(): Uint8Array {
    return seededBytes(16, 1 + this.below(6)).slice();
  }

  entries(n: number): StoredEntry[] {
    const paths = new Set<string>(this.chance(0.3) ? [''] : []);
    while (paths.size < n) {
      const parent = this.chance(0.6) ? this.pick([...paths, '']) : '';
      paths.add(parent === '' ? this.name() : `${parent}/${this.name()}`);
    }
    return [...paths].sort(comparePaths).map((path) => this.#entry(path));
  }

  #entry(path: string): StoredEntry {
    const kind = this.chance(0.6) ? 'file' : this.pick(KINDS);
    const hardLinkTo = kind !== 'directory' && this.chance(0.1) ? this.name() : '';
    const content: Content = kind === 'file' && hardLinkTo === '' ? this.#content() : NO_CONTENT;
    const isDevice = kind === 'character-device' || kind === 'block-device';
    return {
      path,
      kind,
      mode: this.below(0o10000),
      uid: this.below(2 ** 32),
      gid: this.below(2 ** 32),
      sizeBytes: this.#size(kind, content, hardLinkTo),
      mtimeSec: this.#seconds(),
      mtimeNsec: this.below(1e9),
      ctimeSec: this.#seconds(),
      ctimeNsec: this.below(1e9),
      inode: this.below(2 ** 52),
      device: this.below(2 ** 32),
      links: 1 + this.below(2 ** 32 - 1),
      rdevMajor: isDevice ? this.below(2 ** 32) : 0,
      rdevMinor: isDevice ? this.below(2 ** 32) : 0,
      linkTarget: kind === 'symlink' ? this.name(300) : '',
      content,
      xattrs: this.chance(0.2) ? this.#xattrs() : [],
      hardLinkTo,
    };
  }

  #size(kind: EntryKind, content: Content, hardLinkTo: string): number {
    if (kind !== 'file') return 0;
    if (content.kind === 'chunks') return contentLength(content.references);
    return content.kind === 'none' && hardLinkTo === '' ? 0 : 1 + this.below(Number.MAX_SAFE_INTEGER);
  }

  #seconds(): number {
    const seconds = this.below(this.chance(0.1) ? 2 ** 50 : 2 ** 33);
    return this.chance(0.2) ? 0 - seconds : seconds;
  }

  #content(): Content {
    const kind = this.pick(['none', 'chunks', 'chunks', 'chunks-map', 'units-map'] as const);
    if (kind === 'none') return NO_CONTENT;
    if (kind === 'chunks') return { kind, references: this.references(1 + this.below(16)) };
    if (kind === 'chunks-map') return { kind, root: this.reference() };
    return { kind, root: this.chance(0.2) ? NO_REFERENCES : this.reference() };
  }

  #xattrs(): Xattr[] {
    const names = new Set(Array.from({ length: 1 + this.below(4) }, () => `user.${this.name()}`));
    return [...names].sort().map((name) => ({ name, value: this.bytes(this.below(200)) }));
  }

  entriesChildren(n: number): EntriesBranchChild[] {
    const paths = new Set<string>();
    while (paths.size < n) paths.add(this.chance(0.5) ? this.name(200) : `${this.name()}/${this.name()}`);
    return [...paths].sort(comparePaths).map((firstPath) => ({
      firstPath,
      reference: this.reference(),
      entries: 1 + this.below(1e6),
      contentBytes: this.below(Number.MAX_SAFE_INTEGER),
    }));
  }

  chunksChildren(n: number): { reference: References; contentBytes: number }[] {
    return Array.from({ length: n }, () => ({ reference: this.reference(), contentBytes: 1 + this.below(1e12) }));
  }

  /** Units of a leaf: which are set, and their references; neighbours often follow each other in a block. */
  units(n: number, unitBytes: number, lastUnitBytes: number): { set: Uint8Array; references: References } {
    const set = Uint8Array.from({ length: n }, () => (this.chance(0.7) ? 1 : 0));
    const parts: References[] = [];
    let block = this.#block();
    let offset = 0;
    set.forEach((bit, i) => {
      if (bit === 0) return;
      if (this.chance(0.3)) [block, offset] = [this.#block(), this.below(1_000_000)];
      const length = i === n - 1 ? lastUnitBytes : unitBytes;
      parts.push(packReference(block, this.bytes(16), offset, length));
      offset += length;
    });
    return { set, references: new Uint8Array(Buffer.concat(parts)) };
  }

  unitsChildren(n: number): References[] {
    return Array.from({ length: n }, () => (this.chance(0.3) ? NO_REFERENCES : this.reference()));
  }

  directory(blocksMax: number): PackDirectory {
    const sessions = Array.from({ length: 1 + this.below(3) }, () => ({ session: this.bytes(10), assetId: this.bytes(16) }));
    const blocks: PackBlock[] = [];
    let offset = 0;
    for (let n = this.below(blocksMax + 1); n > 0; n--) {
      const extents = this.#extents();
      const last = extents.at(-1);
      const rawLength = (last === undefined ? 1 : last.offset + last.length) + this.below(100);
      const codec = this.below(2);
      const storedLength = codec === 0 ? rawLength + 16 : 17 + this.below(rawLength);
      const [id, sealingCounter, sealedBy] = [this.bytes(16), this.bytes(6), this.below(sessions.length)];
      blocks.push({ id, offset, storedLength, rawLength, codec, sealedBy, sealingCounter, extents });
      offset += storedLength;
    }
    return { sessions, blocks };
  }

  #extents(): Extent[] {
    let end = 0;
    return Array.from({ length: this.below(20) }, () => {
      const offset = end + this.below(50);
      const length = 1 + this.below(200_000);
      end = offset + length;
      return { offset, length, kind: this.below(3), id: this.bytes(32) };
    });
  }

  trailer(): PackTrailer {
    const kind = this.chance(0.5) ? 'data' : 'metadata';
    return {
      kind,
      directoryLength: this.below(1e6),
      blockCount: this.below(2 ** 32),
      session: this.bytes(10),
      salt: this.bytes(16),
    };
  }

  indexedPacks(n: number): IndexedPack[] {
    return Array.from({ length: n }, () => {
      const plain = this.directory(5);
      const directory = encodeDirectory(plain);
      const kind = this.chance(0.5) ? 'data' : 'metadata';
      const packLength = packLengthOf(plain, directory.length);
      return { packId: this.bytes(32), kind, packLength, session: this.bytes(10), directory };
    });
  }

  condemned(): CondemnedList {
    const packs = Array.from({ length: this.below(20) }, () => this.hex(64)).sort();
    return { session: this.hex(20), salt: this.bytes(6), packs };
  }

  parameters(): RepositoryParameters {
    const blockBytes = 1024 * 1024;
    return {
      id: this.bytes(16),
      createdAt: AT,
      packBytes: 1024 * 1024 + this.below(100 * 1024 * 1024),
      blockBytes,
      content: { minBytes: 1024 + this.below(1024), averageBytes: 4096 + this.below(1e5), maxBytes: 200_000 + this.below(800_000) },
      paged: {
        unitBytes: 4096 << this.below(3),
        groupUnits: 1 + this.below(16),
        fileBytesMin: 1 + this.below(1e6),
        pageBytes: 512 << this.below(4),
      },
    };
  }

  keyObject(): KeyObject {
    return {
      role: this.chance(0.5) ? 'owner' : 'writer',
      label: this.name(),
      createdAt: AT,
      cost: { n: 32768, r: 8, p: 1 },
      salt: this.bytes(16),
      nonce: this.bytes(12),
      sealed: this.bytes(this.below(1000)),
    };
  }

  keyPayload(): KeyPayload {
    const [repositoryDigest, idKey, signingKey, verifyKey] = [this.bytes(32), this.bytes(32), this.bytes(32), this.bytes(32)];
    const common = { repositoryDigest, idKey, signingKey, verifyKey };
    const pair = () => ({ id: this.hex(16), publicKey: this.bytes(32), privateKey: this.bytes(32) });
    if (this.chance(0.5))
      return { role: 'owner', ...common, metadataKey: this.bytes(32), pairs: Array.from({ length: 1 + this.below(4) }, pair) };
    const { id, publicKey } = pair();
    return { role: 'writer', ...common, asset: this.name(), assetKey: this.bytes(32), sealTo: { id, publicKey } };
  }

  head(): Head {
    const list = <T>(make: () => T, max = 6): T[] => Array.from({ length: this.below(max) }, make);
    const generation = 10 + this.below(1000);
    const condemned = list(() => {
      const packs = this.below(5);
      const id = packs === 0 ? null : this.hex(64);
      return { id, packs, indexes: list(() => this.#indexRef()), awaits: list(() => this.hex(20)) };
    });
    return {
      sequence: this.below(1e9),
      generation,
      writers: list(() => {
        const kind = this.chance(0.7) ? 'backup' : 'maintenance';
        return {
          session: this.hex(20),
          kind,
          generation: this.below(generation),
          step: this.below(100),
          assetId: kind === 'backup' ? this.hex(32) : null,
          startedAt: AT,
          seenAt: AT,
          ...this.#process(),
        };
      }),
      snapshots: list(() => ({ session: this.hex(20), assetId: this.hex(32) }), 30),
      indexes: list(() => this.#indexRef(), 10),
      condemned: condemned.map((entry, n) => ({ generation: n + 1, ...entry })),
      pins: list(() => ({ holder: this.hex(20), session: this.hex(20), at: AT, ...this.#process() })),
      retired: list(() => this.hex(20)),
    };
  }

  snapshotRegister(): SnapshotRegister {
    const session = this.hex(20);
    const state = this.pick(['open', 'revoked', 'committed'] as const);
    if (state === 'revoked') return { state, session, by: this.name(), at: AT };
    const assetId = this.hex(32);
    if (state === 'open') return { state, session, assetId };
    const indexes = Array.from({ length: this.below(4) }, () => this.#indexRef());
    const [sealed, signature] = [this.bytes(200), this.bytes(64)].map((bytes) => Buffer.from(bytes).toString('base64')) as [
      string,
      string,
    ];
    return { state, session, assetId, indexes, sealed, signature, keyId: this.hex(16) };
  }

  snapshot(): Snapshot {
    const type = this.pick(['files', 'volume', 'stream'] as const);
    const kind = ({ files: 'entries', volume: 'units', stream: 'chunks' } as const)[type];
    const count = () => this.below(1e12);
    const statistics = {
      files: count(),
      directories: count(),
      others: count(),
      bytesScanned: count(),
      bytesRead: count(),
      bytesNew: count(),
      bytesStored: count(),
      filesUnchanged: count(),
      chunks: count(),
      chunksNew: count(),
      durationMs: count(),
    };
    return {
      id: this.hex(20),
      asset: this.name(),
      type,
      host: this.name(),
      user: this.name(),
      paths: Array.from({ length: this.below(4) }, () => `/${this.name()}`),
      tags: Array.from({ length: this.below(4) }, () => this.name()),
      startedAt: AT,
      endedAt: AT,
      parent: this.chance(0.5) ? this.hex(20) : undefined,
      root: { kind, reference: this.chance(0.2) ? NO_REFERENCES : this.reference(), contentBytes: count(), entries: count() },
      statistics,
      problems: count(),
      ...(type === 'volume' && this.chance(0.7) ? { volume: this.#volume() } : {}),
      program: this.name(),
    };
  }

  #volume(): NonNullable<Snapshot['volume']> {
    const [mtimeSec, ctimeSec, mtimeNsec, ctimeNsec] = [this.#seconds(), this.#seconds(), this.below(1e9), this.below(1e9)];
    return { mtimeSec, mtimeNsec, ctimeSec, ctimeNsec, inode: `${this.below(9)}:${this.below(1e9)}` };
  }

  #indexRef(): IndexRef {
    return { id: this.hex(64), bytes: this.below(1e9), packs: this.below(1e5) };
  }

  #process(): ProcessFacts {
    return { host: this.name(), processId: this.below(1e6), bootId: this.hex(32) };
  }
}
