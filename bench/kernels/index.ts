// The local index at the size of a large repository: how long it takes to build, what it costs on disk and in memory, how fast it
// answers. Building and probing are processes of their own, so that the memory of one is not counted for the other.
//
//   bin/node bench/kernels/index.ts [--count 10000000] [--work DIRECTORY] [--json FILE]
//
// 100 million entries need about 20 GB of disk while they are built and 9 GB afterwards; the directory is removed at the end. Rates
// are per second of wall time and per second of this process's own CPU time, medians of rounds of 4,096 probes; bare reads of pages
// take their turns with them: on a shared machine only the ratio to those can be compared.
// For scale, measured once with 10 million entries on a machine of this kind: better-sqlite3 97,000 lookups a second, built in 62 s.

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MIB } from '../../src/base/units.ts';
import { TAG_BYTES } from '../../src/codec/aead.ts';
import type { IndexedPack } from '../../src/format/index-object.ts';
import { decodeDirectory, EXTENT_CHUNK, encodeDirectory, type PackDirectory, TRAILER_BYTES } from '../../src/format/pack.ts';
import { loadChecksum } from '../../src/index/checksum.ts';
import { ExternalSorter } from '../../src/index/external-sort.ts';
import { type IndexReader, openReader, PLACE_BYTES } from '../../src/index/index-reader.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import type { IndexObject } from '../../src/index/run-maker.ts';
import { newSessionMemory, newSessionPlace, SessionTable } from '../../src/index/session-table.ts';
import { newBlockPlace, newChunkPlace } from '../../src/index/tables.ts';
import { median } from '../report.ts';

const CHUNKS_PER_BLOCK = 4;
const BLOCKS_PER_PACK = 16;
const PACKS_PER_OBJECT = 1024;
const CHUNKS_PER_PACK = CHUNKS_PER_BLOCK * BLOCKS_PER_PACK;
const CHUNKS_PER_OBJECT = CHUNKS_PER_PACK * PACKS_PER_OBJECT;
const BATCH = 4096;
const PAGE_BYTES = 4096;
const ROUNDS = 150;
const WARM_ROUNDS = 10;

type Figures = Record<string, number>;
type Rate = { readonly wall: number; readonly cpu: number };

/** The id of chunk n: eight well mixed words. */
function writeChunkId(out: Uint32Array, at: number, n: number): void {
  let h = Math.imul(n + 1, 0x9e3779b1) ^ Math.floor(n / 2 ** 32);
  for (let word = 0; word < 8; word++) {
    h = Math.imul(h ^ (h >>> 16), 0x21f0aaad) + word;
    h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
    h ^= h >>> 15;
    out[at + word] = h;
    h = (h + Math.imul(n + word, 0x85ebca6b)) | 0;
  }
}

/** The id of block n: a session has a hundred thousand blocks. */
function writeBlockId(out: Uint8Array, at: number, n: number): void {
  const session = Math.floor(n / 100_000) + 1;
  for (let i = 0; i < 10; i++) out[at + i] = Math.imul(session + i, 0x9e3779b1) >>> 24;
  const counter = n % 100_000;
  out.set([0, 0, counter >>> 24, counter >>> 16, counter >>> 8, counter], at + 10);
}

/** Packs whose directories are one template with other ids in it. */
class PackMaker {
  readonly #bytes: Uint8Array;
  readonly #packLength: number;
  readonly #blockAt: number[] = [];
  readonly #chunkAt: number[] = [];
  readonly #id = new Uint8Array(32);
  readonly #idWords = new Uint32Array(this.#id.buffer);

  constructor() {
    const blocks = Array.from({ length: BLOCKS_PER_PACK }, (_, n) => ({
      id: new Uint8Array(16),
      offset: 0,
      storedLength: 500_000 + n,
      rawLength: 1_000_000,
      codec: 1,
      sealedBy: 0,
      sealingCounter: new Uint8Array(6),
      extents: Array.from({ length: CHUNKS_PER_BLOCK }, (_, m) => ({
        offset: m * 250_000,
        length: 250_000,
        kind: EXTENT_CHUNK,
        id: new Uint8Array(32),
      })),
    }));
    this.#bytes = encodeDirectory({ sessions: [{ session: new Uint8Array(10), assetId: new Uint8Array(16) }], blocks });
    const decoded: PackDirectory = decodeDirectory(this.#bytes);
    const last = decoded.blocks.at(-1)!;
    this.#packLength = last.offset + last.storedLength + this.#bytes.length + TAG_BYTES + TRAILER_BYTES;
    for (const block of decoded.blocks) {
      this.#blockAt.push(block.id.byteOffset);
      for (const extent of block.extents) this.#chunkAt.push(extent.id.byteOffset);
    }
  }

  make(pack: number): IndexedPack {
    for (const [n, at] of this.#blockAt.entries()) writeBlockId(this.#bytes, at, pack * BLOCKS_PER_PACK + n);
    for (const [n, at] of this.#chunkAt.entries()) {
      writeChunkId(this.#idWords, 0, pack * CHUNKS_PER_PACK + n);
      this.#bytes.set(this.#id, at);
    }
    const packId = new Uint8Array(32);
    new DataView(packId.buffer).setFloat64(0, pack);
    return { packId, kind: 'data', packLength: this.#packLength, session: new Uint8Array(10), directory: this.#bytes };
  }
}

function objectId(n: number): string {
  return n.toString(16).padStart(64, '0');
}

function* makeObjects(from: number, to: number): Generator<IndexObject> {
  const maker = new PackMaker();
  for (let n = from; n < to; n++) {
    const packs = function* () {
      for (let pack = n * PACKS_PER_OBJECT; pack < (n + 1) * PACKS_PER_OBJECT; pack++) yield maker.make(pack);
    };
    yield { id: objectId(n), packs: packs() };
  }
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Works `units`, and tells how many a second. */
async function rate(units: number, work: () => void | Promise<void>): Promise<Rate> {
  const [wall, cpu] = [performance.now(), cpuSeconds()];
  await work();
  return { wall: units / ((performance.now() - wall) / 1000), cpu: units / (cpuSeconds() - cpu) };
}

/** Nine tenths of the objects at once, then two smaller helpings: the runs that a repository in use has. */
async function build(directory: string, objects: number): Promise<Figures> {
  const index = await LocalIndex.open({ directory });
  index.retain(Array.from({ length: objects }, (_, n) => objectId(n)));
  const first = Math.ceil(objects * 0.9);
  const second = Math.max(first, Math.ceil(objects * 0.98));
  const bulk = await rate(first * CHUNKS_PER_OBJECT, async () => void (await index.add(makeObjects(0, first))));
  const [wall, cpu] = [performance.now(), cpuSeconds()];
  await index.add(makeObjects(first, second));
  await index.add(makeObjects(second, objects));
  await index.settled();
  const tail = { tailSeconds: (performance.now() - wall) / 1000, tailCpuSeconds: cpuSeconds() - cpu };
  const { chunks, blocks, runs } = index.records;
  await index.close();
  const bytes = readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  const bulkSeconds = {
    bulkSeconds: (first * CHUNKS_PER_OBJECT) / bulk.wall,
    bulkCpuSeconds: (first * CHUNKS_PER_OBJECT) / bulk.cpu,
  };
  return { chunks, blocks, runs, ...bulkSeconds, ...tail, diskBytes: bytes, peakBytes: process.resourceUsage().maxRSS * 1024 };
}

/** Fills `ids` with chunk ids: of chunks that are there, or of others. */
function sampleIds(ids: Uint32Array, count: number, chunks: number, present: boolean, round: number): void {
  for (let n = 0; n < count; n++) {
    const random = (Math.imul(n + round * count + 1, 0x9e3779b1) >>> 0) / 2 ** 32;
    writeChunkId(ids, n * 8, Math.floor(random * chunks) + (present ? 0 : chunks + 1e6));
  }
}

/** Does BATCH units of something; `round` chooses others each time. */
type Task = { readonly name: string; readonly prepare: (round: number) => void; readonly work: () => void };

function chunkTasks(reader: IndexReader, chunks: number): Task[] {
  const words = new Uint32Array(BATCH * 8);
  const ids = new Uint8Array(words.buffer);
  const found = new Uint8Array(BATCH);
  const places = new Uint8Array(BATCH * PLACE_BYTES);
  const out = newChunkPlace();
  const batch = () => reader.chunkBatch(ids, BATCH, found, places);
  const single = () => {
    let hits = 0;
    for (let n = 0; n < BATCH; n++) if (reader.chunk(ids.subarray(n * 32, n * 32 + 32), out)) hits++;
    return hits;
  };
  const task = (name: string, present: boolean, probeAll: () => number, salt: number): Task => ({
    name,
    prepare: (round) => sampleIds(words, BATCH, chunks, present, 4 * round + salt),
    work: () => {
      const hits = probeAll();
      if (hits !== (present ? BATCH : 0)) throw new Error(`${name}: ${hits} of ${BATCH} were found`);
    },
  });
  return [
    task('hitsSingle', true, single, 0),
    task('hitsBatch', true, batch, 1),
    task('missesSingle', false, single, 2),
    task('missesBatch', false, batch, 3),
  ];
}

/** As a restore asks: the blocks of a session one after the other; and at random. */
function blockTasks(reader: IndexReader, blocks: number): Task[] {
  const ids = new Uint8Array(16 * BATCH);
  const out = newBlockPlace();
  const work = () => {
    for (let n = 0; n < BATCH; n++)
      if (!reader.block(ids.subarray(n * 16, n * 16 + 16), out)) throw new Error('a block is not there');
  };
  const task = (name: string, blockOf: (n: number) => number): Task => ({
    name,
    prepare: (round) => {
      for (let n = 0; n < BATCH; n++) writeBlockId(ids, n * 16, blockOf(round * BATCH + n));
    },
    work,
  });
  return [
    task('blocksInOrder', (n) => n % blocks),
    task('blocksAtRandom', (n) => Math.floor(((Math.imul(n + 1, 0x9e3779b1) >>> 0) / 2 ** 32) * blocks)),
  ];
}

/** Reads single pages at random: what any index on disk that reads a page a probe is limited by, here and now. */
function bareTask(directory: string): Task & { readonly close: () => void } {
  const path = runPaths(directory).at(-1)!;
  const fd = openSync(path, 'r');
  const pages = Math.floor(statSync(path).size / PAGE_BYTES);
  const page = Buffer.alloc(PAGE_BYTES);
  let from = 0;
  const prepare = (round: number) => {
    from = round * BATCH;
  };
  const work = () => {
    for (let n = 1; n <= BATCH; n++)
      readSync(fd, page, 0, PAGE_BYTES, ((Math.imul(from + n, 0x9e3779b1) >>> 0) % pages) * PAGE_BYTES);
  };
  return { name: 'bareReads', prepare, work, close: () => closeSync(fd) };
}

/** All tasks in alternation; medians over the rounds. */
function measure(tasks: readonly Task[]): Figures {
  const rates = tasks.map(() => ({ wall: [] as number[], cpu: [] as number[] }));
  for (let round = 0; round < ROUNDS + WARM_ROUNDS; round++) {
    for (const [n, task] of tasks.entries()) {
      task.prepare(round);
      const [wall, cpu] = [performance.now(), cpuSeconds()];
      task.work();
      if (round < WARM_ROUNDS) continue;
      rates[n]!.wall.push(BATCH / ((performance.now() - wall) / 1000));
      rates[n]!.cpu.push(BATCH / (cpuSeconds() - cpu));
    }
  }
  const figures = tasks.flatMap(({ name }, n) => [
    [`${name}PerSecond`, median(rates[n]!.wall)],
    [`${name}PerCpuSecond`, median(rates[n]!.cpu)],
  ]);
  return Object.fromEntries(figures) as Figures;
}

/** From the smallest to the largest. */
function runPaths(directory: string): string[] {
  const files = readdirSync(directory).filter((name) => name.endsWith('.run'));
  return files.map((name) => join(directory, name)).sort((a, b) => statSync(a).size - statSync(b).size);
}

/** Reads everything once, so that the page cache holds what it can. */
function warm(directory: string): Figures {
  const buffer = Buffer.alloc(MIB);
  let bytes = 0;
  for (const path of runPaths(directory)) {
    const fd = openSync(path, 'r');
    for (let n = 1; n > 0; bytes += n) n = readSync(fd, buffer, 0, MIB, null);
    closeSync(fd);
  }
  return { bytes, availableMemoryBytes: process.availableMemory() };
}

async function probe(directory: string, objects: number, filterBytesMax: number): Promise<Figures> {
  const rssStart = process.memoryUsage.rss();
  const started = performance.now();
  const index = await LocalIndex.open({ directory, filterBytesMax });
  if (index.retain(Array.from({ length: objects }, (_, n) => objectId(n))).length > 0) throw new Error('the index is not whole');
  const { source, release } = index.acquire();
  const reader = await openReader(source);
  const openMs = performance.now() - started;
  const rssOpen = process.memoryUsage.rss();
  const chunks = objects * CHUNKS_PER_OBJECT;
  const bare = bareTask(directory);
  const figures = measure([bare, ...chunkTasks(reader, chunks), ...blockTasks(reader, chunks / CHUNKS_PER_BLOCK)]);
  bare.close();
  const memory = { rssStart, rssOpen, rssEnd: process.memoryUsage.rss(), peakBytes: process.resourceUsage().maxRSS * 1024 };
  release();
  await index.close();
  return { openMs, ...figures, ...memory };
}

/** The two helpers beside the index: the session's table, and the sort of garbage collection's marks (24 bytes each). */
async function helpers(directory: string, count: number): Promise<Figures> {
  const table = new SessionTable(newSessionMemory(2 ** 20));
  const ids = new Uint32Array(600_000 * 8);
  for (let n = 0; n < 600_000; n++) writeChunkId(ids, n * 8, n);
  const bytes = new Uint8Array(ids.buffer);
  const out = newSessionPlace();
  const pass = () => {
    for (let n = 0; n < 600_000; n++) table.findOrInsert(bytes.subarray(n * 32, n * 32 + 32), n, 1, 2, out);
  };
  const inserts = await rate(600_000, pass);
  const finds = await rate(600_000, pass);
  const sorter = new ExternalSorter({ recordBytes: 24, keyBytes: 24, equal: 'first', directory, checksum: await loadChecksum() });
  const marks = new Uint8Array(24 * 1000);
  const sorted = await rate(count, () => {
    for (let n = 0; n < count; n += 1000) {
      for (let m = 0; m < 1000; m++) {
        const mark = Math.imul(n + m, 0x9e3779b1) >>> 0;
        writeBlockId(marks, m * 24, mark % (count / 4));
        marks.set([0, mark & 15, 0, 0, 0, 0, 64, 0], m * 24 + 16);
      }
      sorter.push(marks);
    }
    for (const batch of sorter.sorted()) if (batch.length % 24 !== 0) throw new Error('half a record');
  });
  const tableFigures = { sessionInsertsPerCpuSecond: inserts.cpu, sessionFindsPerCpuSecond: finds.cpu };
  return {
    ...tableFigures,
    marksSortedPerSecond: sorted.wall,
    marksSortedPerCpuSecond: sorted.cpu,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
}

function stage(name: string, directory: string, ...parameters: number[]): Figures {
  const argv = [fileURLToPath(import.meta.url), '--stage', name, '--work', directory, ...parameters.map(String)];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })) as Figures;
}

function print(title: string, figures: Figures): void {
  process.stdout.write(`\n${title}\n`);
  for (const [name, value] of Object.entries(figures)) {
    const isMemory = name.startsWith('rss') || name.toLowerCase().endsWith('bytes');
    const text = isMemory
      ? `${(value / MIB).toFixed(1)} MiB`
      : value.toLocaleString('en', { maximumFractionDigits: value < 1000 ? 1 : 0 });
    process.stdout.write(`  ${name.padEnd(28)} ${text}\n`);
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      count: { type: 'string', default: '10000000' },
      work: { type: 'string', default: '/tmp/holdfast-bench-index' },
      json: { type: 'string' },
      stage: { type: 'string' },
    },
  });
  const directory = values.work;
  const [objects, filterBytes] = positionals.map(Number) as [number, number];
  if (values.stage === 'build') process.stdout.write(JSON.stringify(await build(directory, objects)));
  else if (values.stage === 'warm') process.stdout.write(JSON.stringify(warm(directory)));
  else if (values.stage === 'probe') process.stdout.write(JSON.stringify(await probe(directory, objects, filterBytes)));
  else if (values.stage === 'helpers') process.stdout.write(JSON.stringify(await helpers(directory, objects)));
  else {
    const wanted = Math.max(1, Math.round(Number(values.count) / CHUNKS_PER_OBJECT));
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    const report: Record<string, Figures> = {};
    try {
      const run = (title: string, name: string, ...parameters: number[]) =>
        print(title, (report[title] = stage(name, directory, ...parameters)));
      run(`build of ${(wanted * CHUNKS_PER_OBJECT).toLocaleString('en')} chunk entries`, 'build', wanted);
      run('page cache', 'warm');
      run('probe, 24 MiB of filters (the default)', 'probe', wanted, 24 * MIB);
      run('probe, no filters', 'probe', wanted, 0);
      run('helpers', 'helpers', 10_000_000);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  }
}

await main();
