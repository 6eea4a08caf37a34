// Input that was made to hurt: the worst that each decoder can be given within its limits, and just beyond them. As a process (with a small
// heap and --expose-gc) it decodes each and prints what came of it, with the bytes by which its memory grew.

import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { compressFrame } from '../../src/codec/zstd-frame.ts';
import { ByteWriter } from '../../src/format/bytes.ts';
import { runCase } from './fuzz.ts';
import { TARGETS, type Target } from './fuzz-targets.ts';

export type Hostile = {
  readonly name: string;
  readonly target: string;
  readonly make: () => Uint8Array;
  readonly answer: 'taken' | 'refused';
};

const MIB = 1024 * 1024;
const COLUMNS = 9;
const NOTHING = new Uint8Array(0);

/** A leaf of `n` sockets whose columns are given; the others hold the least that they can. */
function leaf(n: number, columns: Readonly<Partial<Record<'paths' | 'kinds' | 'extras', Uint8Array>>>): Uint8Array {
  const bytes = (perEntry: number): Uint8Array => new Uint8Array(n * perEntry);
  const paths = columns.paths ?? NOTHING;
  const kinds = columns.kinds ?? bytes(1).fill(4);
  const all = [paths, kinds, bytes(3), NOTHING, bytes(2), bytes(8), bytes(3), columns.extras ?? NOTHING, NOTHING];
  const w = new ByteWriter(MIB).u8(1).u8(1).varint(n).varint(0);
  for (let i = 0; i < COLUMNS; i++) w.bytes(all[i]!);
  return w.finish();
}

/** Paths of `length` bytes that differ in the last two only. */
function longPaths(n: number, length: number): Uint8Array {
  const w = new ByteWriter(MIB);
  const prefix = 'p'.repeat(length - 2);
  for (let i = 0; i < n; i++) {
    const end = String.fromCharCode(64 + (i >>> 6), 64 + (i & 63));
    if (i === 0) w.varint(0).latin1(prefix + end);
    else w.varint(length - 2).latin1(end);
  }
  return w.finish();
}

function xattrs(n: number): Uint8Array {
  const w = new ByteWriter(MIB).varint(n);
  for (let i = 0; i < n; i++) w.latin1('').bytes(NOTHING);
  return w.finish();
}

function directory(blocks: number, extents: number): Uint8Array {
  const w = new ByteWriter(4 * MIB).u8(1).varint(1).raw(new Uint8Array(26)).varint(blocks);
  for (let i = 0; i < blocks; i++) {
    w.raw(new Uint8Array(16)).varint(17).varint(Math.max(1, extents)).u8(1).varint(0).raw(new Uint8Array(6)).varint(extents);
    for (let e = 0; e < extents; e++) w.varint(e).varint(1).u8(0).raw(new Uint8Array(32));
  }
  return w.finish();
}

function index(packs: number): Uint8Array {
  const w = new ByteWriter(4 * MIB).u8(1).varint(packs);
  for (let i = 0; i < packs; i++)
    w.raw(new Uint8Array(32))
      .u8(0)
      .varint(83)
      .raw(new Uint8Array(10))
      .bytes(Uint8Array.of(1, 0, 0));
  return w.finish();
}

const text = (value: string): Uint8Array => Buffer.from(value);
/** A frame of zeros that says what it holds: a few KiB for very much. */
const bomb = (bytes: number): Uint8Array => zlib.zstdCompressSync(Buffer.alloc(bytes));
/** A frame that says that it holds a TiB. */
const boast = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]);

export const HOSTILES: readonly Hostile[] = [
  { name: 'paths of 16 KiB', target: 'entries leaf', make: () => leaf(1024, { paths: longPaths(1024, 16_384) }), answer: 'taken' },
  {
    name: 'paths of 17 KiB',
    target: 'entries leaf',
    make: () => leaf(1024, { paths: longPaths(1024, 17_000) }),
    answer: 'refused',
  },
  {
    name: 'paths of 4 MiB',
    target: 'entries leaf',
    make: () => leaf(1024, { paths: longPaths(1024, 4 * MIB) }),
    answer: 'refused',
  },
  {
    name: 'as many attributes as there may be',
    target: 'entries leaf',
    make: () => leaf(1, { paths: longPaths(1, 9), kinds: Uint8Array.of(0x14), extras: xattrs(65_536) }),
    answer: 'taken',
  },
  {
    name: 'more attributes than there may be',
    target: 'entries leaf',
    make: () => leaf(1, { paths: longPaths(1, 9), kinds: Uint8Array.of(0x14), extras: xattrs(3_000_000) }),
    answer: 'refused',
  },
  {
    name: 'a block table of 8 MiB',
    target: 'chunks leaf',
    make: () => {
      const w = new ByteWriter(9 * MIB)
        .u8(5)
        .u8(1)
        .varint(524_288)
        .raw(new Uint8Array(8 * MIB))
        .varint(1);
      return w.varint(524_287).varint(0).varint(1).raw(new Uint8Array(16)).finish();
    },
    answer: 'taken',
  },
  { name: 'as many blocks as there may be', target: 'pack directory', make: () => directory(65_536, 0), answer: 'taken' },
  { name: 'more blocks than there may be', target: 'pack directory', make: () => directory(65_537, 0), answer: 'refused' },
  { name: 'extents of 4 MiB', target: 'pack directory', make: () => directory(1, 110_000), answer: 'taken' },
  { name: 'a directory of 5 MiB', target: 'pack directory', make: () => directory(1, 140_000), answer: 'refused' },
  { name: 'as many packs as there may be', target: 'index plain', make: () => index(50_000), answer: 'taken' },
  { name: 'more packs than there may be', target: 'index plain', make: () => index(200_000), answer: 'refused' },
  { name: 'a frame of 64 MiB of zeros', target: 'index object, the frame inside', make: () => bomb(64 * MIB), answer: 'refused' },
  { name: 'a frame of 60 MiB of zeros', target: 'register, the frame inside', make: () => bomb(60 * MIB), answer: 'refused' },
  { name: 'a frame of 15 MiB of zeros', target: 'snapshot, the frame inside', make: () => bomb(15 * MIB), answer: 'refused' },
  {
    name: 'a frame of 64 MiB of zeros in a block',
    target: 'block, the frame inside',
    make: () => bomb(64 * MIB),
    answer: 'refused',
  },
  { name: 'a frame that says it has a TiB', target: 'index object, the frame inside', make: () => boast, answer: 'refused' },
  { name: 'a frame in a block that says it has a TiB', target: 'block, the frame inside', make: () => boast, answer: 'refused' },
  { name: 'a list in a list, two million times', target: 'head', make: () => text('['.repeat(2 * MIB)), answer: 'refused' },
  { name: 'a million empty records', target: 'head', make: () => text(`[${'{},'.repeat(1_000_000)}0]`), answer: 'refused' },
  { name: 'five million numbers', target: 'head', make: () => text(`[${'1,'.repeat(5_000_000)}0]`), answer: 'refused' },
  { name: 'a text of 60 MiB', target: 'head', make: () => text(`"${'a'.repeat(60 * MIB)}"`), answer: 'refused' },
  {
    name: 'a million lists in a small frame, JSON all the same',
    target: 'register, the frame inside',
    make: () => compressFrame(text(`[${'[],'.repeat(1_300_000)}0]`)),
    answer: 'taken',
  },
  {
    name: 'very many fields',
    target: 'snapshot register',
    make: () => text(`{${Array.from({ length: 500_000 }, (_, i) => `"k${i}":0`).join(',')}}`),
    answer: 'refused',
  },
  {
    name: 'more than a key has',
    target: 'key object',
    make: () => text(`{"holdfast":1,"label":"${'a'.repeat(2 * MIB)}"}`),
    answer: 'refused',
  },
  {
    name: 'a great many pairs',
    target: 'key payload',
    make: () => text(`{"pairs":[${'{},'.repeat(100_000)}{}]}`),
    answer: 'refused',
  },
  {
    name: 'more than a repository says',
    target: 'repository object',
    make: () => text(`{"holdfast":1,"x":"${'a'.repeat(MIB)}"}`),
    answer: 'refused',
  },
  {
    name: 'a line of blanks',
    target: 'key text',
    make: () => text(`-----BEGIN HOLDFAST KEY-----\n01 A${' '.repeat(60_000)}x\n-----END HOLDFAST KEY-----\n`),
    answer: 'refused',
  },
  { name: 'half an id', target: 'condemned list', make: () => new Uint8Array(8 * MIB + 1), answer: 'refused' },
];

export type HostileAnswer = { readonly name: string; readonly answer: string; readonly grownBytes: number };

function main(): void {
  const answers = HOSTILES.map(({ name, target: targetName, make }): HostileAnswer => {
    const target = TARGETS.find((one) => one.name === targetName)!;
    const bytes = make();
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    return { name, answer: answerOf(target, bytes), grownBytes: process.memoryUsage().rss - before };
  });
  process.stdout.write(JSON.stringify(answers));
}

function answerOf(target: Target, bytes: Uint8Array): string {
  const outcome = runCase(target, { bytes, originals: [bytes] });
  return outcome.kind === 'failed' ? outcome.error : outcome.kind;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
