// A second reader, written from src/format/README.md alone: nothing of src/ is imported. It opens a repository in a directory with a passphrase
// and gives every snapshot with its listing and the hashes of its contents. Slow and simple on purpose: if this page and the program
// disagree, one of the two is wrong.
//
//   bin/node test/format/second-reader.ts <directory> <passphrase>

import {
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  scryptSync,
  verify,
} from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { zstdDecompressSync } from 'node:zlib';
import { Blake3Hasher, blake3 } from '@napi-rs/blake-hash';

// biome-ignore lint/suspicious/noExplicitAny: what a JSON field is, is said where it is used.
type Json = Record<string, any>;
type Place = {
  pack: string;
  offset: number;
  stored: number;
  raw: number;
  codec: number;
  session: Buffer;
  counter: Buffer;
  assetId: Buffer;
  isData: boolean;
};
type Reference = { block: string; offset: number; length: number; digest: Buffer };

function must(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`Not as specified: ${what}`);
}

const unhex = (text: string): Buffer => Buffer.from(text, 'hex');
const unbase64 = (text: string): Buffer => Buffer.from(text, 'base64');
const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

function openGcm(key: Uint8Array, nonce: Uint8Array, sealed: Buffer, aad: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(aad).setAuthTag(sealed.subarray(sealed.length - 16));
  return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - 16)), decipher.final()]);
}

/** The primitives, one after the other. */
class Reader {
  at = 0;
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  raw(length: number): Buffer {
    must(this.at + length <= this.bytes.length, 'it ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u8(): number {
    return this.raw(1)[0]!;
  }

  u32(): number {
    return this.raw(4).readUInt32LE();
  }

  varint(): number {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      must((byte !== 0 || shift === 0n) && value < 2n ** 53n, 'a varint has its shortest form');
      return Number(value);
    }
  }

  zigzag(): number {
    const n = this.varint();
    return n % 2 === 0 ? n / 2 : -(n + 1) / 2;
  }

  block(): Buffer {
    return this.raw(this.varint());
  }

  latin1(): string {
    return this.block().toString('latin1');
  }

  list<T>(item: () => T): T[] {
    return Array.from({ length: this.varint() }, item);
  }

  end(): void {
    must(this.at === this.bytes.length, 'bytes are left over');
  }
}

class SecondReader {
  readonly #directory: string;
  readonly #repositoryId: Buffer;
  readonly #unitBytes: number;
  readonly #payload: Json;
  readonly #keyId: string;
  readonly #directoryKey: Buffer;
  readonly #places = new Map<string, Place[]>();
  readonly #dataKeys = new Map<string, Buffer>();
  readonly #blocks = new Map<string, Buffer>();

  constructor(directory: string, passphrase: string) {
    this.#directory = directory;
    const object = this.#object('repository');
    const repository = JSON.parse(object.toString()) as Json;
    must(repository.holdfast === 1 && repository.suite === 'aes-256-gcm+blake3', 'format and suite are known');
    this.#repositoryId = unhex(repository.id);
    this.#unitBytes = repository.chunking.paged.unitBytes;
    [this.#keyId, this.#payload] = this.#openKey(passphrase);
    must(blake3(object).equals(unbase64(this.#payload.repositoryDigest)), 'the key was made for this repository');
    this.#directoryKey = this.#hkdf(unbase64(this.#payload.idKey), 'directory');
  }

  #object(key: string): Buffer {
    return readFileSync(join(this.#directory, key));
  }

  #register(key: string): Json {
    const [incarnation] = readdirSync(join(this.#directory, `${key}~`));
    const files = readdirSync(join(this.#directory, `${key}~`, incarnation!)).sort();
    const r = new Reader(this.#object(join(`${key}~`, incarnation!, files.at(-1)!)));
    must(r.raw(5).equals(ascii('HFRV\x01')), 'a register file begins with HFRV');
    const ids = r.u8();
    r.raw(10);
    const first = r.raw(ids * 16).subarray(0, 16);
    const value = r.bytes.subarray(r.at);
    must(createHash('sha256').update(value).digest().subarray(0, 16).equals(first), 'the first id is that of the value');
    const v = new Reader(value);
    must(v.raw(8).equals(ascii('HFRG\x01\0\0\0')), 'a register begins with HFRG');
    const nonce = v.raw(12);
    return JSON.parse(zstdDecompressSync(openGcm(this.#directoryKey, nonce, value.subarray(v.at), ascii(key))).toString()) as Json;
  }

  #hkdf(key: Uint8Array, ...info: readonly (string | Uint8Array)[]): Buffer {
    const joined = Buffer.concat(info.map((part) => (typeof part === 'string' ? ascii(part) : part)));
    return Buffer.from(hkdfSync('sha256', key, this.#repositoryId, joined, 32));
  }

  #b3(...parts: readonly Uint8Array[]): Buffer {
    const hasher = Blake3Hasher.newKeyed(unbase64(this.#payload.idKey));
    for (const part of parts) hasher.update(part);
    return hasher.digestBuffer();
  }

  #openKey(passphrase: string): [id: string, payload: Json] {
    for (const id of readdirSync(join(this.#directory, 'keys'))) {
      const key = JSON.parse(this.#object(`keys/${id}`).toString()) as Json;
      const { n, r, p, salt } = key.kdf as Json;
      const kek = scryptSync(passphrase, unbase64(salt), 32, { N: n, r, p, maxmem: 2 ** 31 });
      const aad = ascii(`holdfast key 1\n${this.#repositoryId.toString('hex')}\n${id}\n${key.role}`);
      try {
        return [id, JSON.parse(openGcm(kek, unbase64(key.nonce), unbase64(key.sealed), aad).toString()) as Json];
      } catch {
        // Another passphrase's.
      }
    }
    throw new Error('no key opens with this passphrase');
  }

  /** Every session that has a snapshot, those that are only pinned too. */
  sessions(): { listed: string[]; pinned: string[] } {
    const head = this.#register('head');
    const indexes = [
      ...head.indexes,
      ...head.condemned.filter((entry: Json) => entry.awaits.length > 0).flatMap((entry: Json) => entry.indexes),
    ];
    for (const { id } of indexes as Json[]) this.#readIndex(id);
    const listed = (head.snapshots as Json[]).map(({ session }) => session as string);
    const pinned = (head.pins as Json[]).map(({ session }) => session as string).filter((session) => !listed.includes(session));
    return { listed, pinned };
  }

  #readIndex(id: string): void {
    const object = this.#object(`index/${id}`);
    must(blake3(object).toString('hex') === id, 'an index object is named by its bytes');
    must(object.subarray(0, 8).equals(ascii('HFIX\x01\0\0\0')), 'an index object begins with HFIX');
    const salt = object.subarray(8, 24);
    const frame = openGcm(
      this.#hkdf(this.#directoryKey, 'index', salt),
      Buffer.alloc(12),
      object.subarray(24),
      object.subarray(0, 24),
    );
    const r = new Reader(zstdDecompressSync(frame));
    must(r.u8() === 1, 'an index object has version 1');
    r.list(() => {
      const pack = r.raw(32).toString('hex');
      const isData = r.u8() === 0;
      const packLength = r.varint();
      const session = r.raw(10);
      this.#readDirectory(r.block(), pack, isData, packLength, session);
    });
    r.end();
  }

  #readDirectory(plain: Buffer, pack: string, isData: boolean, packLength: number, writer: Buffer): void {
    this.#checkPack(plain, pack, isData, packLength, writer);
    const r = new Reader(plain);
    must(r.u8() === 1, 'a directory has version 1');
    const sessions = r.list(() => ({ session: r.raw(10), assetId: r.raw(16) }));
    let offset = 0;
    r.list(() => {
      const id = r.raw(16).toString('hex');
      const [stored, raw, codec] = [r.varint(), r.varint(), r.u8()];
      const sealing = sessions[r.varint()]!;
      const place = { pack, offset, stored, raw, codec, ...sealing, counter: r.raw(6), isData };
      offset += stored;
      r.list(() => [r.varint(), r.varint(), r.u8(), r.raw(32)]);
      this.#places.set(id, [...(this.#places.get(id) ?? []), place]);
    });
    r.end();
    must(offset + plain.length + 16 + 64 === packLength, 'blocks, directory and trailer fill the pack');
  }

  /** A pack says by itself what the index says of it. */
  #checkPack(plain: Buffer, pack: string, isData: boolean, packLength: number, writer: Buffer): void {
    const object = this.#object(`packs/${pack.slice(0, 2)}/${pack}`);
    must(blake3(object).toString('hex') === pack && object.length === packLength, 'a pack is named by its bytes');
    const trailer = object.subarray(object.length - 64);
    const r = new Reader(trailer);
    must(
      r.raw(5).equals(ascii('HFPK\x01')) && (r.u8() === 0) === isData && r.raw(2).readUInt16LE() === 0,
      'a trailer begins with HFPK',
    );
    const length = r.u32();
    r.u32();
    must(r.raw(10).equals(writer) && r.raw(6).equals(Buffer.alloc(6)), 'a trailer names the session');
    const key = this.#hkdf(this.#directoryKey, 'pack', r.raw(16));
    const sealed = object.subarray(object.length - 64 - length, object.length - 64);
    must(openGcm(key, Buffer.alloc(12), sealed, trailer).equals(plain), "an index object holds the pack's directory");
  }

  #metadataKey(assetId: Buffer, session: Uint8Array): Buffer {
    const { role, metadataKey, assetKey } = this.#payload;
    const key = role === 'owner' ? this.#hkdf(unbase64(metadataKey), 'asset', assetId) : unbase64(assetKey);
    return this.#hkdf(key, 'session', session);
  }

  #dataKey(session: Buffer): Buffer {
    const name = session.toString('hex');
    let key = this.#dataKeys.get(name);
    if (key === undefined) {
      key = this.#openDataKey(name, session);
      this.#dataKeys.set(name, key);
    }
    return key;
  }

  #openDataKey(name: string, session: Buffer): Buffer {
    for (const { id, publicKey, privateKey } of this.#payload.pairs as Json[]) {
      let object: Buffer;
      try {
        object = this.#object(`session-keys/${id}/${name}`);
      } catch {
        continue;
      }
      must(object.subarray(0, 5).equals(ascii('HFSK\x01')), 'a session key begins with HFSK');
      const ephemeral = object.subarray(5, 37);
      const own = Buffer.concat([unhex('302e020100300506032b656e04220420'), unbase64(privateKey)]);
      const other = Buffer.concat([unhex('302a300506032b656e032100'), ephemeral]);
      const shared = diffieHellman({
        privateKey: createPrivateKey({ key: own, type: 'pkcs8', format: 'der' }),
        publicKey: createPublicKey({ key: other, type: 'spki', format: 'der' }),
      });
      const k = this.#hkdf(shared, 'session', ephemeral, unbase64(publicKey));
      return openGcm(k, Buffer.alloc(12), object.subarray(37), session);
    }
    throw new Error(`no key of session ${name}`);
  }

  #openBlock(id: string, place: Place): Buffer {
    const name = `${id} ${place.pack}`;
    const known = this.#blocks.get(name);
    if (known !== undefined) return known;
    const pack = this.#object(`packs/${place.pack.slice(0, 2)}/${place.pack}`);
    const key = place.isData ? this.#dataKey(place.session) : this.#metadataKey(place.assetId, place.session);
    const aad = Buffer.alloc(21);
    unhex(id).copy(aad);
    aad.writeUInt32LE(place.raw, 16);
    aad[20] = place.codec;
    const nonce = Buffer.concat([Buffer.alloc(6), place.counter]);
    const payload = openGcm(key, nonce, pack.subarray(place.offset, place.offset + place.stored), aad);
    const block = place.codec === 0 ? payload : zstdDecompressSync(payload);
    must(block.length === place.raw, 'a block has its raw length');
    this.#blocks.set(name, block);
    return block;
  }

  /** What a reference refers to. */
  #read({ block, offset, length, digest }: Reference): Buffer {
    for (const place of this.#places.get(block) ?? []) {
      const bytes = this.#openBlock(block, place).subarray(offset, offset + length);
      if (bytes.length === length && this.#b3(bytes).subarray(0, 16).equals(digest)) return bytes;
    }
    throw new Error(`nothing in block ${block} has the digest of its reference`);
  }

  #node(reference: Reference, ...kinds: readonly number[]): { kind: number; r: Reader } {
    const r = new Reader(this.#read(reference));
    const kind = r.u8();
    must(kinds.includes(kind) && r.u8() === 1, 'a node begins with its kind and version 1');
    return { kind, r };
  }

  #blockTable(r: Reader): string[] {
    return r.list(() => r.raw(16).toString('hex'));
  }

  #reference(r: Reader, table: readonly string[]): Reference {
    return { block: table[r.varint()]!, offset: r.varint(), length: r.varint(), digest: r.raw(16) };
  }

  #chunksMap(root: Reference): Reference[] {
    const { kind, r } = this.#node(root, 5, 6);
    const table = this.#blockTable(r);
    const children = r.list(() => ({ reference: this.#reference(r, table), bytes: kind === 6 ? r.varint() : 0 }));
    r.end();
    if (kind === 5) return children.map(({ reference }) => reference);
    return children.flatMap(({ reference, bytes }) => {
      const chunks = this.#chunksMap(reference);
      must(chunks.reduce((sum, { length }) => sum + length, 0) === bytes, 'a branch knows its content bytes');
      return chunks;
    });
  }

  /** Writes the units from `first` on, of which there are `units`, of a content of `target.length` bytes. */
  #unitsMap(root: Reference | undefined, target: Buffer, first: number, units: number): void {
    if (root === undefined) return;
    let span = 1;
    while (span * 256 < units) span *= 256;
    const { kind, r } = this.#node(root, units <= 256 ? 3 : 4);
    const n = r.varint();
    must(n === (kind === 3 ? units : Math.ceil(units / span)), 'a node covers its units');
    const bitmap = r.raw(Math.ceil(n / 8));
    const set = Array.from({ length: n }, (_, i) => i).filter((i) => ((bitmap[i >> 3]! >> (i & 7)) & 1) === 1);
    const table = this.#blockTable(r);
    if (kind === 4) {
      for (const i of set) this.#unitsMap(this.#reference(r, table), target, first + i * span, Math.min(span, units - i * span));
      r.end();
      return;
    }
    const lengthOf = (i: number): number => Math.min(this.#unitBytes, target.length - (first + i) * this.#unitBytes);
    const places: { block: string; offset: number }[] = [];
    r.list(() => {
      const [count, block] = [r.varint(), table[r.varint()]!];
      let offset = r.varint();
      for (let k = 0; k < count; k++) {
        places.push({ block, offset });
        offset += lengthOf(set[places.length - 1]!);
      }
    });
    must(places.length === set.length, 'the runs cover the set units');
    set.forEach((i, k) => {
      const reference = { ...places[k]!, length: lengthOf(i), digest: r.raw(16) };
      this.#read(reference).copy(target, (first + i) * this.#unitBytes);
    });
    r.end();
  }

  #units(root: Reference | undefined, sizeBytes: number): Buffer {
    const target = Buffer.alloc(sizeBytes);
    this.#unitsMap(root, target, 0, Math.ceil(sizeBytes / this.#unitBytes));
    return target;
  }

  #chunks(references: readonly Reference[], sizeBytes: number): Buffer {
    const content = Buffer.concat(references.map((reference) => this.#read(reference)));
    must(content.length === sizeBytes, 'chunks add up to the size');
    return content;
  }

  #entriesMap(root: Reference): Json[] {
    const { kind, r } = this.#node(root, 1, 2);
    if (kind === 1) return this.#entriesLeaf(r);
    const table = this.#blockTable(r);
    const children = r.list(() => ({
      firstPath: r.latin1(),
      reference: this.#reference(r, table),
      entries: r.varint(),
      bytes: r.varint(),
    }));
    r.end();
    return children.flatMap(({ firstPath, reference, entries, bytes }) => {
      const below = this.#entriesMap(reference);
      must(below.length === entries && below[0]!.path === firstPath, 'a branch knows its entries');
      must(below.reduce((sum, { sizeBytes = 0 }) => sum + (sizeBytes as number), 0) === bytes, 'a branch knows its content bytes');
      return below;
    });
  }

  #entriesLeaf(r: Reader): Json[] {
    const n = r.varint();
    const table = this.#blockTable(r);
    const columns = Array.from({ length: 9 }, () => new Reader(r.block()));
    const [paths, kinds, owners, sizes, seconds, nanoseconds, inodes, extras, contents] = columns as [
      Reader,
      Reader,
      Reader,
      Reader,
      Reader,
      Reader,
      Reader,
      Reader,
      Reader,
    ];
    r.end();
    let [path, mtime] = ['', 0];
    const entries = Array.from({ length: n }, () => {
      const common = paths.varint();
      path = path.slice(0, common) + paths.latin1();
      const flags = kinds.u8();
      const kind = ['directory', 'file', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'][flags & 0x0f]!;
      const [mode, uid, gid] = [owners.varint(), owners.varint(), owners.varint()];
      const sizeBytes = kind === 'file' ? sizes.varint() : 0;
      mtime += seconds.zigzag();
      seconds.zigzag();
      const nanos = nanoseconds.u32();
      nanoseconds.u32();
      inodes.zigzag();
      inodes.zigzag();
      inodes.varint();
      const linkTarget = kind === 'symlink' ? extras.latin1() : undefined;
      const rdev = kind.endsWith('-device') ? [extras.varint(), extras.varint()] : undefined;
      const hardLinkTo = (flags & 0x20) !== 0 ? extras.latin1() : undefined;
      const xattrs = (flags & 0x10) !== 0 ? extras.list(() => [extras.latin1(), extras.block().toString('base64')]) : undefined;
      return {
        path,
        kind,
        mode,
        ...(uid === 0 ? {} : { uid }),
        ...(gid === 0 ? {} : { gid }),
        ...(sizeBytes === 0 ? {} : { sizeBytes }),
        mtime: String(BigInt(mtime) * 1_000_000_000n + BigInt(nanos)),
        ...(linkTarget === undefined ? {} : { linkTarget }),
        ...(rdev === undefined ? {} : { rdev }),
        ...(xattrs === undefined ? {} : { xattrs: Object.fromEntries(xattrs) }),
        ...(hardLinkTo === undefined ? {} : { hardLinkTo }),
        ...(kind === 'file' ? { bytes: this.#contentOf(contents, table, sizeBytes) } : {}),
      };
    });
    for (const column of columns) column.end();
    return entries;
  }

  /** Undefined when this key opens no content, or of a hard link. */
  #contentOf(r: Reader, table: readonly string[], sizeBytes: number): Buffer | undefined {
    const kind = r.u8();
    const references = kind === 0 ? [] : r.list(() => this.#reference(r, table));
    if (this.#payload.role !== 'owner' || (kind === 0 && sizeBytes > 0)) return undefined;
    if (kind === 3) return this.#units(references[0], sizeBytes);
    return this.#chunks(kind === 2 ? this.#chunksMap(references[0]!) : references, sizeBytes);
  }

  #rootOf(text: string): Reference | undefined {
    const bytes = unbase64(text);
    if (bytes.length === 0) return undefined;
    const block = bytes.subarray(0, 16).toString('hex');
    return { block, digest: bytes.subarray(16, 32), offset: bytes.readUInt32LE(32), length: bytes.readUInt32LE(36) };
  }

  /** Undefined when it is another asset's than this key's. */
  snapshot(name: string): Json | undefined {
    const register = this.#register(`snapshots/${name}`);
    must(register.state === 'committed' && register.session === name, 'a snapshot is committed');
    const ownAsset = this.#payload.role === 'owner' ? register.assetId : this.#assetId(this.#payload.asset).toString('hex');
    if (register.assetId !== ownAsset) return undefined;
    const sealed = unbase64(register.sealed);
    const session = unhex(name);
    const key = this.#metadataKey(unhex(register.assetId), session);
    const frame = openGcm(key, sealed.subarray(0, 12), sealed.subarray(12), Buffer.concat([ascii('snapshot'), session]));
    const snapshot = JSON.parse(zstdDecompressSync(frame).toString()) as Json;
    must(
      this.#assetId(snapshot.asset).toString('hex') === register.assetId && snapshot.id === name,
      'a snapshot is of its asset and session',
    );
    if (register.keyId === this.#keyId) this.#checkSignature(sealed, unbase64(register.signature));
    const { id, asset, type, parent, tags, root } = snapshot;
    return {
      id,
      asset,
      type,
      ...(parent === undefined ? {} : { parent }),
      tags,
      contentBytes: root.contentBytes,
      ...this.#whatIsIn(root),
    };
  }

  #assetId(asset: string): Buffer {
    return this.#b3(ascii('asset\0'), Buffer.from(asset, 'utf8')).subarray(0, 16);
  }

  #checkSignature(sealed: Buffer, signature: Buffer): void {
    const spki = Buffer.concat([unhex('302a300506032b6570032100'), unbase64(this.#payload.verifyKey)]);
    const signed = Buffer.concat([ascii(`holdfast snapshot 1\n${this.#repositoryId.toString('hex')}\n`), sealed]);
    must(verify(null, signed, createPublicKey({ key: spki, type: 'spki', format: 'der' }), signature), 'a snapshot is signed');
  }

  #whatIsIn({ kind, reference, contentBytes, entries }: Json): Json {
    const root = this.#rootOf(reference);
    const isReadable = this.#payload.role === 'owner';
    const hash = (bytes: Buffer): Json => (isReadable ? { content: blake3(bytes).toString('hex') } : {});
    if (kind === 'units') return isReadable ? hash(this.#units(root, contentBytes)) : {};
    if (kind === 'chunks')
      return isReadable ? hash(this.#chunks(root === undefined ? [] : this.#chunksMap(root), contentBytes)) : {};
    const all = root === undefined ? [] : this.#entriesMap(root);
    must(all.length === entries, 'a snapshot knows its entries');
    const byPath = new Map(all.map((entry) => [entry.path as string, entry]));
    return {
      entries: all.map(({ bytes, ...entry }) => {
        const content = entry.hardLinkTo === undefined ? bytes : byPath.get(entry.hardLinkTo)!.bytes;
        return content === undefined || entry.kind !== 'file' ? entry : { ...entry, ...hash(content) };
      }),
    };
  }
}

/** Every snapshot that the passphrase's key opens, those that are only pinned too, and contents when it opens them. */
export function readRepository(directory: string, passphrase: string): { snapshots: Json[]; pinned: string[] } {
  const reader = new SecondReader(directory, passphrase);
  const { listed, pinned } = reader.sessions();
  const snapshots = [...listed, ...pinned].map((session) => reader.snapshot(session)).filter((snapshot) => snapshot !== undefined);
  return { snapshots, pinned };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [directory, passphrase] = process.argv.slice(2) as [string, string];
  process.stdout.write(`${JSON.stringify(readRepository(directory, passphrase), null, 1)}\n`);
}
