// What one core of this machine does in each step of a backup, and what the best possible first backup of the tree follows from it.
// Each kernel works on the same real content (the tree's files, read into memory), in the pieces in which the engine would use it.
// Ours and its alternatives run in alternation; figures are medians of MB/s (10^6 bytes of input per second of this thread's time).
//
//   bin/node bench/kernels/limits.ts [--rounds N] [--work DIRECTORY] [--json FILE]

import { createCipheriv, createHash, hash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import zlib from 'node:zlib';
import { KIB, MIB } from '../../src/base/units.ts';
import { Aead, TAG_BYTES } from '../../src/codec/aead.ts';
import { IdHasher } from '../../src/codec/chunk-id.ts';
import { Compressor, compressBound, Decompressor } from '../../src/codec/zstd.ts';
import { noise } from '../data/random.ts';
import { openSet, SET_NAMES, type SetName } from '../data/sets.ts';
import { median } from '../report.ts';

const SAMPLE_BYTES = 96 * MIB;
const BLOCK_BYTES = MIB;
const CHUNK_BYTES = 16 * KIB;
/** One measurement of one kernel lasts at least this long. */
const PASS_MS = 150;
const AAD = Buffer.alloc(0);

type Kernel = {
  readonly name: string;
  /** Works through the whole sample once. */
  readonly run: (pieces: readonly Buffer[]) => void;
  readonly pieceBytes: number;
};

/** Content of a set: its files one after the other, a part of each large one, spread evenly over the whole set. */
function sampleOf(path: string): Buffer {
  const files = statSync(path).isFile()
    ? [path]
    : readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .sort();
  const total = files.reduce((sum, file) => sum + statSync(file).size, 0);
  const sample = Buffer.alloc(Math.min(SAMPLE_BYTES, Math.floor(total / BLOCK_BYTES) * BLOCK_BYTES));
  const share = sample.length / total;
  let filled = 0;
  let due = 0;
  for (const file of files) {
    const size = statSync(file).size;
    const fd = openSync(file, 'r');
    // One block in every so many, counted across files, so that large and small files weigh what they do in the set.
    for (let offset = 0; offset < size && filled < sample.length; offset += BLOCK_BYTES) {
      const length = Math.min(BLOCK_BYTES, size - offset);
      due += length * share;
      if (due < length) continue;
      due -= length;
      filled += readSync(fd, sample, filled, Math.min(length, sample.length - filled), offset);
    }
    closeSync(fd);
  }
  return sample.subarray(0, Math.floor(filled / BLOCK_BYTES) * BLOCK_BYTES);
}

function piecesOf(sample: Buffer, pieceBytes: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at + pieceBytes <= sample.length; at += pieceBytes) pieces.push(sample.subarray(at, at + pieceBytes));
  return pieces;
}

function zstdKernels(level: number, pieceBytes: number): Kernel[] {
  const compressor = new Compressor(level);
  const target = Buffer.alloc(compressBound(pieceBytes));
  const options = { params: { [zlib.constants.ZSTD_c_compressionLevel]: level }, chunkSize: compressBound(pieceBytes) };
  const each = (work: (piece: Buffer) => void) => (pieces: readonly Buffer[]) => pieces.forEach(work);
  return [
    { name: `zstd ${level}, context used again`, pieceBytes, run: each((piece) => void compressor.compress(target, piece)) },
    { name: `zstd ${level}, node:zlib`, pieceBytes, run: each((piece) => void zlib.zstdCompressSync(piece, options)) },
  ];
}

function unzstdKernels(sample: Buffer, pieceBytes: number): Kernel[] {
  const compressor = new Compressor(1);
  const target = Buffer.alloc(compressBound(pieceBytes));
  const packed = piecesOf(sample, pieceBytes).map((piece) => Buffer.from(target.subarray(0, compressor.compress(target, piece))));
  const decompressor = new Decompressor();
  const options = { chunkSize: pieceBytes };
  return [
    {
      name: 'zstd decompress, context used again',
      pieceBytes,
      run: () => packed.forEach((one) => void decompressor.decompress(target.subarray(0, pieceBytes), one)),
    },
    {
      name: 'zstd decompress, node:zlib',
      pieceBytes,
      run: () => packed.forEach((one) => void zlib.zstdDecompressSync(one, options)),
    },
  ];
}

function hashKernels(pieceBytes: number): Kernel[] {
  const hasher = new IdHasher(Buffer.alloc(32, 7));
  return [
    { name: 'BLAKE3 keyed, hasher used again', pieceBytes, run: (pieces) => pieces.forEach((piece) => void hasher.id(piece)) },
    { name: 'SHA-256, crypto.hash', pieceBytes, run: (pieces) => pieces.forEach((piece) => void hash('sha256', piece, 'buffer')) },
    {
      name: 'SHA-256, createHash',
      pieceBytes,
      run: (pieces) => pieces.forEach((piece) => void createHash('sha256').update(piece).digest()),
    },
  ];
}

function cipherKernels(pieceBytes: number): Kernel[] {
  const key = Buffer.alloc(32, 3);
  const aead = new Aead(key);
  const place = Buffer.alloc(pieceBytes + TAG_BYTES);
  let count = 0;
  const nonce = Buffer.alloc(12);
  const fresh = () => {
    nonce.writeUInt32LE(count++ >>> 0);
    return nonce;
  };
  const inPlace = place.subarray(0, pieceBytes);
  return [
    {
      name: 'AES-256-GCM, OpenSSL in place',
      pieceBytes,
      run: (pieces) => pieces.forEach(() => void aead.seal(place, inPlace, fresh(), AAD)),
    },
    {
      name: 'AES-256-GCM, node:crypto',
      pieceBytes,
      run: (pieces) =>
        pieces.forEach((piece) => {
          const cipher = createCipheriv('aes-256-gcm', key, fresh());
          cipher.update(piece);
          cipher.final();
          cipher.getAuthTag();
        }),
    },
  ];
}

function copyKernel(pieceBytes: number): Kernel {
  const place = Buffer.alloc(SAMPLE_BYTES);
  return {
    name: 'memory copy',
    pieceBytes,
    run: (pieces) => pieces.forEach((piece, at) => void piece.copy(place, at * pieceBytes)),
  };
}

/** Seconds of CPU that this thread has used. */
function cpuSeconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}

function rateOf(kernel: Kernel, pieces: readonly Buffer[], bytes: number): number {
  const begin = performance.now();
  const cpu = cpuSeconds();
  let passes = 0;
  do {
    kernel.run(pieces);
    passes++;
  } while (performance.now() - begin < PASS_MS);
  return (passes * bytes) / 1e6 / (cpuSeconds() - cpu);
}

type Figure = { readonly name: string; readonly pieceBytes: number; readonly megabytesPerSecond: number };

function measureKernels(kernels: readonly Kernel[], sample: Buffer, rounds: number): Figure[] {
  const pieces = kernels.map((kernel) => piecesOf(sample, kernel.pieceBytes));
  const rates = kernels.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [at, kernel] of kernels.entries()) {
      const rate = rateOf(kernel, pieces[at]!, sample.length);
      if (round >= 0) rates[at]!.push(rate); // the first round warms up
    }
  }
  return kernels.map((kernel, at) => ({
    name: kernel.name,
    pieceBytes: kernel.pieceBytes,
    megabytesPerSecond: median(rates[at]!),
  }));
}

function ratioOf(sample: Buffer, level: number): number {
  const compressor = new Compressor(level);
  const target = Buffer.alloc(compressBound(BLOCK_BYTES));
  const packed = piecesOf(sample, BLOCK_BYTES).reduce((sum, piece) => sum + compressor.compress(target, piece), 0);
  return sample.length / packed;
}

function line(figure: Figure, base: Figure | undefined): string {
  const size = figure.pieceBytes >= MIB ? `${figure.pieceBytes / MIB} MiB` : `${figure.pieceBytes / KIB} KiB`;
  const ratio =
    base === undefined || base === figure
      ? ''
      : `  ${(figure.megabytesPerSecond / base.megabytesPerSecond).toFixed(2)}x of the first`;
  return `  ${figure.name.padEnd(38)} ${size.padStart(7)} ${Math.round(figure.megabytesPerSecond).toString().padStart(7)} MB/s${ratio}`;
}

/** CPU seconds that nothing can avoid in a first backup of `bytes`: compress and name all of it, seal what is left. */
function floorOf(
  bytes: number,
  ratio: number,
  rate: (name: string) => number,
): { readonly parts: [string, number][]; readonly seconds: number } {
  const parts: [string, number][] = [
    ['zstd 1', bytes / 1e6 / rate('zstd 1, context used again')],
    ['BLAKE3', bytes / 1e6 / rate('BLAKE3 keyed, hasher used again')],
    ['AES-256-GCM', bytes / ratio / 1e6 / rate('AES-256-GCM, OpenSSL in place')],
    ['one copy in, one out', (bytes + bytes / ratio) / 1e6 / rate('memory copy')],
  ];
  return { parts, seconds: parts.reduce((sum, [, seconds]) => sum + seconds, 0) };
}

function measureSet(name: SetName, work: string, rounds: number): { name: SetName; ratio: number; figures: Figure[] } {
  const set = openSet(name, work, false, (text) => process.stderr.write(`${text}\n`));
  const sample = name === 'random' ? noise('kernels')(SAMPLE_BYTES) : sampleOf(set.path);
  set.close();
  const groups = [
    zstdKernels(1, BLOCK_BYTES),
    zstdKernels(1, 64 * KIB),
    zstdKernels(3, BLOCK_BYTES),
    unzstdKernels(sample, BLOCK_BYTES),
    hashKernels(CHUNK_BYTES),
    hashKernels(BLOCK_BYTES),
    cipherKernels(CHUNK_BYTES),
    cipherKernels(BLOCK_BYTES),
    [copyKernel(BLOCK_BYTES)],
  ];
  const ratio = ratioOf(sample, 1);
  process.stdout.write(`\n${name}: ${sample.length / MIB} MiB sampled, zstd 1 makes it ${ratio.toFixed(2)} times smaller\n`);
  const figures: Figure[] = [];
  for (const group of groups) {
    const measured = measureKernels(group, sample, rounds);
    for (const figure of measured) process.stdout.write(`${line(figure, measured[0])}\n`);
    figures.push(...measured);
  }
  const rate = (wanted: string) => figures.findLast((figure) => figure.name === wanted)!.megabytesPerSecond;
  const zstdRate = figures.find((figure) => figure.name === 'zstd 1, context used again')!.megabytesPerSecond;
  const bytes = name === 'image' ? set.extent.allocatedBytes : set.extent.bytes;
  const floor = floorOf(bytes, ratio, (wanted) => (wanted.startsWith('zstd 1') ? zstdRate : rate(wanted)));
  const cores = availableParallelism();
  const parts = floor.parts.map(([part, seconds]) => `${part} ${seconds.toFixed(2)}`).join(', ');
  process.stdout.write(
    `  limit of a first backup: ${floor.seconds.toFixed(2)} CPU s (${parts}), on ${cores} cores ${(floor.seconds / cores).toFixed(2)} s`,
  );
  process.stdout.write(` = ${Math.round(bytes / MIB / (floor.seconds / cores))} MiB/s, before a file is opened\n`);
  return { name, ratio, figures };
}

function main(): void {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      sets: { type: 'string', default: SET_NAMES.join(',') },
      work: { type: 'string', default: '/dev/shm/holdfast-bench' },
      json: { type: 'string' },
    },
  });
  process.stdout.write(
    `${cpus()[0]!.model.trim()}, Node ${process.versions.node}, zstd ${process.versions.zstd}, OpenSSL ${process.versions.openssl}\n`,
  );
  const results = values.sets.split(',').map((name) => measureSet(name as SetName, values.work, Number(values.rounds)));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 1)}\n`);
}

main();
