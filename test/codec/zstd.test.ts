import zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { cLibrary } from '../../src/base/ffi.ts';
import { Compressor, compressBound, Decompressor, type ZstdDriver } from '../../src/codec/zstd.ts';
import { announcedLength, compressFrame, decompressFrame, isPlausible } from '../../src/codec/zstd-frame.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const MIB = 1024 * 1024;
const DRIVERS: readonly { readonly name: string; readonly driver: ZstdDriver }[] = [
  { name: 'libzstd called directly', driver: undefined },
  { name: 'the twin in zlib', driver: 'plain' },
];

/** Bytes that compress a little, much, or not at all. */
function material(seed: number): Uint8Array {
  const random = seededRandom(seed);
  const bytes = seededBytes(Math.floor(random() ** 4 * 300_000), seed);
  const kind = Math.floor(random() * 3);
  if (kind === 0) return bytes;
  return bytes.map((byte, i) => (kind === 1 ? byte & 15 : i % 100 === 0 ? byte : 0));
}

function compressed(plain: Uint8Array, driver: ZstdDriver, level = 3): Uint8Array {
  const compressor = new Compressor(level, driver);
  const target = new Uint8Array(compressBound(plain.length));
  const length = compressor.compress(target, plain);
  compressor.close();
  return target.slice(0, length);
}

test('on this platform libzstd is called directly, so both drivers are under test', () => {
  expect(cLibrary?.bind('size_t ZSTD_compress2(void*, void*, size_t, void*, size_t)')).toBeDefined();
});

describe.each(DRIVERS)('$name', ({ driver }) => {
  test('what it compresses, both decompress to the same bytes', () => {
    const readers = [new Decompressor(), new Decompressor('plain')];
    for (let seed = 1; seed <= 60; seed++) {
      const plain = material(seed);
      const frame = compressed(plain, driver, [-5, 1, 3, 9][seed % 4]);
      for (const reader of readers) {
        const target = new Uint8Array(plain.length);
        expect(reader.decompress(target, frame)).toBe(true);
        expect(Buffer.compare(target, plain)).toBe(0);
      }
    }
    for (const reader of readers) reader.close();
  });

  test('on another thread it compresses to the same bytes, one after the other, while this thread does something else', async () => {
    const compressor = new Compressor(3, driver);
    for (let seed = 1; seed <= 20; seed++) {
      const plain = material(seed);
      const target = new Uint8Array(compressBound(plain.length));
      const aside = compressor.compressAside(target, plain);
      const here = compressed(plain, driver);
      expect(Buffer.compare(target.subarray(0, await aside), here)).toBe(0);
    }
    compressor.close();
    await expect(new Compressor(3, driver).compressAside(new Uint8Array(1), seededBytes(100, 1))).rejects.toThrow();
  });

  test('one context compresses many blocks, each as a frame of its own', () => {
    const compressor = new Compressor(1, driver);
    const decompressor = new Decompressor(driver);
    const target = new Uint8Array(compressBound(300_000));
    for (let seed = 1; seed <= 20; seed++) {
      const plain = material(seed);
      const length = compressor.compress(target, plain);
      const back = new Uint8Array(plain.length);
      expect(decompressor.decompress(back, target.subarray(0, length))).toBe(true);
      expect(Buffer.compare(back, plain)).toBe(0);
    }
    compressor.close();
    decompressor.close();
  });

  test('refuses a target that is one byte too short or too long', () => {
    const plain = material(3);
    const frame = compressed(plain, driver);
    const decompressor = new Decompressor(driver);
    expect(decompressor.decompress(new Uint8Array(plain.length - 1), frame)).toBe(false);
    expect(decompressor.decompress(new Uint8Array(plain.length + 1), frame)).toBe(false);
    expect(decompressor.decompress(new Uint8Array(plain.length), frame)).toBe(true);
    decompressor.close();
  });

  test('whatever the frame, it answers and writes nothing outside of the target', () => {
    const random = seededRandom(17);
    const decompressor = new Decompressor(driver);
    for (let i = 0; i < 600; i++) {
      const plain = material(1 + (i % 20)).subarray(0, 5000);
      const frame = compressed(plain, undefined);
      for (let n = 1 + Math.floor(random() * 3); n > 0; n--) frame[Math.floor(random() * frame.length)] = random() * 256;
      const cut = random() < 0.3 ? frame.subarray(0, Math.floor(random() * frame.length)) : frame;
      const buffer = new Uint8Array(plain.length + 64).fill(0xa5);
      decompressor.decompress(buffer.subarray(32, 32 + plain.length), cut);
      expect(buffer.subarray(0, 32).every((byte) => byte === 0xa5) && buffer.subarray(-32).every((byte) => byte === 0xa5)).toBe(
        true,
      );
    }
    decompressor.close();
  });

  test('refuses a frame that is cut off anywhere, or with something behind it', () => {
    const decompressor = new Decompressor(driver);
    for (const plain of [material(3).subarray(0, 700), new Uint8Array(3000)]) {
      const frame = compressed(plain, undefined);
      for (let length = 0; length < frame.length; length++)
        expect(decompressor.decompress(new Uint8Array(plain.length), frame.subarray(0, length))).toBe(false);
      for (const rest of [Buffer.from([0]), Buffer.from('more than a frame'), frame])
        expect(decompressor.decompress(new Uint8Array(plain.length), Buffer.concat([frame, rest]))).toBe(false);
    }
    decompressor.close();
  });

  test('is not used after it was closed', () => {
    const compressor = new Compressor(1, driver);
    const decompressor = new Decompressor(driver);
    compressor.close();
    decompressor.close();
    if (driver === 'plain') return;
    expect(() => compressor.compress(new Uint8Array(2000), new Uint8Array(10))).toThrow('closed');
    expect(() => decompressor.decompress(new Uint8Array(10), new Uint8Array(10))).toThrow('closed');
  });
});

describe('a frame', () => {
  test.each([undefined, 'plain'] as const)('comes back and says how long it is (driver %s)', (driver) => {
    for (let seed = 1; seed <= 40; seed++) {
      const plain = material(seed);
      const frame = compressFrame(plain);
      expect(announcedLength(frame)).toBe(plain.length);
      const back = decompressFrame(frame, plain.length, driver);
      expect(back !== undefined && Buffer.compare(back, plain) === 0).toBe(true);
      if (plain.length > 0) expect(decompressFrame(frame, plain.length - 1, driver)).toBeUndefined();
    }
  });

  test('of each size class of the header says how long it is', () => {
    for (const length of [0, 1, 255, 256, 257, 65_791, 65_792, 70_000, 4 * MIB])
      expect(announcedLength(compressFrame(new Uint8Array(length)))).toBe(length);
  });

  test('that does not say how long it is, is refused', async () => {
    const stream = zlib.createZstdCompress();
    const pieces: Buffer[] = [];
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.write(Buffer.alloc(1000, 'a'));
    stream.end(Buffer.alloc(1000, 'b'));
    await new Promise((resolve) => stream.on('end', resolve));
    const frame = Buffer.concat(pieces);
    expect(zlib.zstdDecompressSync(frame).length).toBe(2000);
    expect(announcedLength(frame)).toBeUndefined();
    expect(decompressFrame(frame, MIB)).toBeUndefined();
  });

  test('of a few bytes that unpacks to very many is refused before anything is allocated', () => {
    const bomb = compressFrame(new Uint8Array(4 * MIB));
    expect(decompressFrame(bomb, 1024 * MIB)?.length).toBe(4 * MIB);
    const plain = Buffer.alloc(64 * MIB);
    const large = zlib.zstdCompressSync(plain);
    expect(large.length).toBeLessThan(10_000);
    expect(announcedLength(large)).toBe(plain.length);
    expect(isPlausible(plain.length, large.length)).toBe(false);
    const before = process.memoryUsage().arrayBuffers;
    expect(decompressFrame(large, 1024 * MIB)).toBeUndefined();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MIB);
    expect(() => compressFrame(plain)).toThrow('a reader takes');
  });

  test('that lies about its length is refused', () => {
    const frame = compressFrame(material(5).subarray(0, 3000));
    expect(frame[4]! >>> 6).toBe(1);
    for (const [at, add] of [
      [5, 1],
      [5, -1],
      [6, 1],
    ] as const) {
      const liar = Uint8Array.from(frame);
      liar[at]! += add;
      expect(decompressFrame(liar, MIB)).toBeUndefined();
      expect(decompressFrame(liar, MIB, 'plain')).toBeUndefined();
    }
  });
});
