import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as letOthersWork } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { openReader, PLACE_BYTES } from '../../src/index/index-reader.ts';
import { LocalIndex, type LocalIndexOptions } from '../../src/index/local-index.ts';
import type { IndexObject } from '../../src/index/run-maker.ts';
import { newBlockPlace, newChunkPlace } from '../../src/index/tables.ts';
import { bytesOf, hex, type MadePack, makeObject, makePack, Seeded } from './material.ts';
import type { ReaderAnswer, ReaderTask } from './reader-worker.ts';
import { temporaryDirectory } from './temporary.ts';

const SMALL = { sortMemoryBytes: 1 << 20 };

/** What the index must say: the packs of the live index objects, in the order in which they were added. */
class Model {
  readonly objects = new Map<string, MadePack[]>();
  readonly order: string[] = [];

  make(random: Seeded, packs: number, again: readonly string[] = []): IndexObject {
    const made = makeObject(random, packs, again);
    this.objects.set(made.id, made.packs);
    return this.object(made.id);
  }

  object(id: string): IndexObject {
    return { id, packs: this.objects.get(id)!.map(({ pack }) => pack) };
  }

  added(ids: readonly string[]): void {
    for (const id of ids) {
      if (this.order.includes(id)) this.order.splice(this.order.indexOf(id), 1);
      this.order.push(id);
    }
  }

  packs(): MadePack[] {
    return this.order.filter((id) => this.objects.has(id)).flatMap((id) => this.objects.get(id)!);
  }
}

async function openIndex(directory: string, options: Partial<LocalIndexOptions> = {}): Promise<LocalIndex> {
  const index = await LocalIndex.open({ ...SMALL, ...options, directory });
  onTestFinished(() => index.close());
  return index;
}

/** Asks for everything that was ever made, singly and in a batch. `newest` also wants the newest place of a block that lies twice. */
async function expectRight(index: LocalIndex, model: Model, dead: readonly MadePack[] = [], newest = false): Promise<void> {
  const { source, release } = index.acquire();
  const reader = await openReader(source);
  const chunk = newChunkPlace();
  const block = newBlockPlace();
  const blocks = new Map<string, string[]>();
  const chunks = new Map<string, string[]>();
  const note = (map: Map<string, string[]>, id: string, place: unknown) =>
    map.set(id, [...(map.get(id) ?? []), JSON.stringify(place)]);
  for (const pack of model.packs()) {
    for (const { id, ...place } of pack.blocks) note(blocks, id, place);
    for (const { id, ...place } of pack.chunks) note(chunks, id, place);
  }
  for (const [id, places] of blocks) {
    expect(reader.block(bytesOf(id), block)).toBe(true);
    const { pack, session, assetId, sealingCounter, ...numbers } = block;
    const hexes = { pack: hex(pack), session: hex(session), assetId: hex(assetId), sealingCounter: hex(sealingCounter) };
    const { kind, offset, storedLength, rawLength, codec } = numbers;
    const said = JSON.stringify({ ...hexes, kind, offset, storedLength, rawLength, codec });
    expect(newest ? places.at(-1) : places.find((place) => place === said)).toBe(said);
  }
  for (const [id, places] of chunks) {
    expect(reader.chunk(bytesOf(id), chunk)).toBe(true);
    expect(places).toContain(JSON.stringify({ block: hex(chunk.block), offset: chunk.offset, length: chunk.length }));
  }
  for (const pack of dead) {
    for (const { id } of pack.blocks) expect(reader.block(bytesOf(id), block)).toBe(blocks.has(id));
    for (const { id } of pack.chunks) expect(reader.chunk(bytesOf(id), chunk)).toBe(chunks.has(id));
  }
  for (const pack of model.packs()) for (const id of pack.nodes) expect(reader.chunk(bytesOf(id), chunk)).toBe(false);
  expectBatchRight(reader, chunks, dead);
  release();
}

function expectBatchRight(
  reader: Awaited<ReturnType<typeof openReader>>,
  chunks: Map<string, string[]>,
  dead: readonly MadePack[],
): void {
  const ids = [...chunks.keys(), ...dead.flatMap((pack) => pack.chunks.map(({ id }) => id)), '00'.repeat(32), 'ff'.repeat(32)];
  const found = new Uint8Array(ids.length).fill(7);
  const places = Buffer.alloc(ids.length * PLACE_BYTES);
  const hits = reader.chunkBatch(new Uint8Array(Buffer.from(ids.join(''), 'hex')), ids.length, found, places);
  expect(hits).toBe(ids.filter((id) => chunks.has(id)).length);
  for (const [i, id] of ids.entries()) {
    expect(found[i]).toBe(chunks.has(id) ? 1 : 0);
    if (found[i] === 0) continue;
    const at = i * PLACE_BYTES;
    const place = {
      block: hex(places.subarray(at, at + 16)),
      offset: places.readUInt32LE(at + 16),
      length: places.readUInt32LE(at + 20),
    };
    expect(chunks.get(id)).toContain(JSON.stringify(place));
  }
}

function runFiles(directory: string): string[] {
  return readdirSync(directory).filter((name) => !name.startsWith('manifest-'));
}

describe('the local index', () => {
  test('answers as a Map of all live packs would, through adds, retains, merges and new processes', async () => {
    let runsMost = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const directory = temporaryDirectory();
      const random = new Seeded(seed);
      const model = new Model();
      const dead: MadePack[] = [];
      // With small runs merged only when newer ones grow, there are several at a time.
      const options = { filterBytesMax: seed % 2 === 0 ? 0 : 1 << 20, smallRunRecords: seed % 3 === 0 ? 1000 : 0 };
      let index = await openIndex(directory, options);
      index.retain([]);
      for (let step = 0; step < 20; step++) {
        const known = model.packs().flatMap((pack) => pack.blocks.map(({ id }) => id));
        const again = random.below(4) === 0 && known.length > 0 ? [known[random.below(known.length)]!] : [];
        if (random.below(5) > 0) {
          const objects = Array.from({ length: 1 + random.below(3) }, () =>
            model.make(random, random.below(6 ** random.below(3)), again),
          );
          // What a new index object lists may be listed by an older one too.
          const listed = model.packs();
          if (listed.length > 0) model.objects.get(objects[0]!.id)!.push(listed[random.below(listed.length)]!);
          expect(await index.add(objects.map(({ id }) => model.object(id)))).toEqual([]);
          model.added(objects.map(({ id }) => id));
        } else {
          const gone = [...model.objects.keys()][random.below(model.objects.size || 1)];
          if (gone !== undefined) {
            dead.push(...model.objects.get(gone)!);
            model.objects.delete(gone);
          }
          if (random.below(2)) {
            await index.close();
            index = await openIndex(directory, options);
          }
          const missing = index.retain(model.objects.keys());
          await index.add(missing.map((id) => model.object(id)));
          model.added(missing);
        }
        await expectRight(index, model, dead);
        if (random.below(2)) await index.settled();
        runsMost = Math.max(runsMost, index.records.runs);
      }
      await index.settled();
      await expectRight(index, model, dead);
      expect(index.records.runs).toBeLessThanOrEqual(8);
      expect(runFiles(directory).length).toBe(2 * index.records.runs);
      await index.close();
    }
    expect(runsMost).toBeGreaterThan(2);
  });

  test('answers the place of the newest run for a block that was packed anew, before and after a merge', async () => {
    const directory = temporaryDirectory();
    const random = new Seeded(21);
    const model = new Model();
    const index = await openIndex(directory);
    index.retain([]);
    const first = model.make(random, 5);
    await index.add([first]);
    model.added([first.id]);
    const ids = model.packs().flatMap((pack) => pack.blocks.map(({ id }) => id));
    for (let n = 0; n < 12; n++) {
      const next = [model.make(random, 1, ids), model.make(random, 1, ids)];
      await index.add(next);
      model.added(next.map(({ id }) => id));
      await expectRight(index, model, [], true);
    }
    await index.settled();
    expect(index.records.runs).toBe(1);
    await expectRight(index, model, [], true);
  });

  test('forgets the entries of an index object that is no longer live, and names the live ones that went with it', async () => {
    const directory = temporaryDirectory();
    const random = new Seeded(22);
    const model = new Model();
    const index = await openIndex(directory);
    const objects = Array.from({ length: 6 }, () => model.make(random, 3));
    expect(index.retain(objects.map(({ id }) => id))).toEqual(objects.map(({ id }) => id));
    expect(await index.add(objects.slice(0, 4))).toEqual(objects.slice(4).map(({ id }) => id));
    await index.add(objects.slice(4));
    await index.settled();
    const gone = objects[1]!.id;
    const dead = model.objects.get(gone)!;
    const live = objects.map(({ id }) => id).filter((id) => id !== gone);
    const missing = index.retain(live);
    expect(missing).toEqual(live);
    model.objects.delete(gone);
    await expectRight(index, new Model(), dead);
    await index.add(missing.map((id) => model.object(id)));
    model.added(missing);
    await expectRight(index, model, dead);
  });

  test('does not answer from what another process has added, unless it knows that to be live', async () => {
    const directory = temporaryDirectory();
    const random = new Seeded(26);
    const model = new Model();
    const [mine, later] = [model.make(random, 3), model.make(random, 3)];
    const [one, other] = [await openIndex(directory, { smallRunRecords: 0 }), await openIndex(directory, { smallRunRecords: 0 })];
    one.retain([mine.id]);
    other.retain([mine.id, later.id]);
    await other.add([later]);
    await one.add([mine]);
    const strange = model.objects.get(later.id)!;
    model.objects.delete(later.id);
    model.added([mine.id]);
    await expectRight(one, model, strange);
    // The other one's work is not lost by that.
    expect(other.retain([mine.id, later.id])).toEqual([]);
  });

  test('does not add an index object that was declared dead while it was added', async () => {
    const directory = temporaryDirectory();
    const random = new Seeded(27);
    const model = new Model();
    const [dying, living] = [model.make(random, 3), model.make(random, 3)];
    const index = await openIndex(directory);
    index.retain([dying.id, living.id]);
    const objects = async function* () {
      yield dying;
      yield living;
      index.retain([living.id]);
    };
    expect(await index.add(objects())).toEqual([living.id]);
    expect(runFiles(directory)).toEqual([]);
    await expectRight(index, new Model(), model.objects.get(dying.id));
    expect(await index.add([living])).toEqual([]);
  });

  test('is refused with a name when its directory cannot be one', async () => {
    const path = join(temporaryDirectory(), 'file');
    writeFileSync(path, '');
    await expect(LocalIndex.open({ directory: join(path, 'index') })).rejects.toMatchObject({ code: 'INDEX_CACHE_DENIED' });
  });

  test('removes what dead processes have left unfinished, and nothing of living ones', async () => {
    const directory = temporaryDirectory();
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    const leftovers = (owner: number) => [
      `chunks-${owner}-${'0'.repeat(16)}.run.part`,
      `blocks-${owner}-${'0'.repeat(16)}.run`,
      `draft-${owner}-${'0'.repeat(16)}`,
    ];
    for (const name of [...leftovers(child.pid!), ...leftovers(process.pid)]) writeFileSync(join(directory, name), '');
    await openIndex(directory);
    expect(readdirSync(directory).sort()).toEqual(leftovers(process.pid).sort());
  });

  test('adds nothing of an index object that does not decode', async () => {
    const directory = temporaryDirectory();
    const random = new Seeded(23);
    const model = new Model();
    const index = await openIndex(directory);
    index.retain([]);
    const good = model.make(random, 3);
    const torn = { ...makePack(random).pack, directory: new Uint8Array([1, 200]) };
    await expect(index.add([good, { id: 'ab', packs: [torn] }])).rejects.toMatchObject({ code: 'FORMAT_DAMAGED' });
    expect(runFiles(directory)).toEqual([]);
    expect(index.records).toEqual({ chunks: 0, blocks: 0, runs: 0 });
    await expectRight(index, new Model(), model.objects.get(good.id));
  });

  test('serves readers in other threads from one acquired source, even after its runs were merged away and the index was closed', async () => {
    const directory = temporaryDirectory();
    const random = new Seeded(24);
    const model = new Model();
    const index = await openIndex(directory);
    index.retain([]);
    for (let n = 0; n < 2; n++) {
      const object = model.make(random, 40);
      await index.add([object]);
      model.added([object.id]);
      await index.settled();
    }
    const chunks = model.packs().flatMap((pack) => pack.chunks);
    const { source, release } = index.acquire();
    for (let n = 0; n < 3; n++) await index.add([model.make(random, 2)]);
    await index.settled();
    await index.close();
    const task: ReaderTask = { source, ids: chunks.map(({ id }) => id) };
    const answers = await Promise.all([ask(task), ask(task)]);
    release();
    for (const { places } of answers) {
      expect(places).toEqual(chunks.map(({ block, offset, length }) => ({ block, offset, length })));
    }
  });

  test('abandons a merge when it is closed, and leaves only what the manifest lists', async () => {
    const directory = temporaryDirectory();
    const random = new Seeded(25);
    const model = new Model();
    const index = await openIndex(directory);
    index.retain([]);
    const packs = Array.from({ length: 300 }, () => makePack(random, 40));
    for (let n = 0; n < 3; n++) {
      const object = model.make(random, 0);
      model.objects.get(object.id)!.push(...packs.slice(n * 100, n * 100 + 100));
      await index.add([model.object(object.id)]);
      model.added([object.id]);
    }
    await index.close();
    const again = await openIndex(directory);
    expect(again.retain(model.order)).toEqual([]);
    expect(runFiles(directory).length).toBe(2 * again.records.runs);
    await expectRight(again, model);
  });
});

describe('a damaged cache', () => {
  test('is mended or still right, whatever byte of whatever file was changed or cut off', async () => {
    const random = new Seeded(31);
    const model = new Model();
    const origin = temporaryDirectory();
    const index = await openIndex(origin);
    index.retain([]);
    for (let n = 0; n < 2; n++) {
      const object = model.make(random, 12);
      await index.add([object]);
      model.added([object.id]);
    }
    await index.settled();
    await index.add([model.make(random, 1)]);
    model.added([[...model.objects.keys()].at(-1)!]);
    await index.close();
    const files = readdirSync(origin).map((name) => ({ name, bytes: readFileSync(join(origin, name)) }));
    let rebuilt = 0;
    for (let trial = 0; trial < 150; trial++) {
      const directory = temporaryDirectory();
      const victim = files[trial % files.length]!;
      for (const { name, bytes } of files)
        writeFileSync(join(directory, name), name === victim.name ? damaged(bytes, random) : bytes);
      if (await mendedAndRight(directory, model)) rebuilt++;
      rmSync(directory, { recursive: true });
    }
    expect(rebuilt).toBeGreaterThan(40);
  });

  test('is mended when any file is gone', async () => {
    const random = new Seeded(32);
    const model = new Model();
    const origin = temporaryDirectory();
    const index = await openIndex(origin);
    index.retain([]);
    const object = model.make(random, 12);
    await index.add([object]);
    model.added([object.id]);
    await index.close();
    for (const gone of readdirSync(origin)) {
      const directory = temporaryDirectory();
      for (const name of readdirSync(origin))
        if (name !== gone) writeFileSync(join(directory, name), readFileSync(join(origin, name)));
      // An older manifest may be all that is left of a file's mention; all other files are missed.
      expect(await mendedAndRight(directory, model)).toBe(true);
    }
  });

  test('shows in the middle of a run as a fault, after which retain names what is missing and the same index goes on', async () => {
    const random = new Seeded(33);
    const model = new Model();
    const directory = temporaryDirectory();
    const index = await openIndex(directory);
    index.retain([]);
    const object = model.make(random, 100);
    await index.add([object]);
    model.added([object.id]);
    const name = runFiles(directory).find((file) => file.startsWith('chunks-'))!;
    const bytes = readFileSync(join(directory, name));
    writeFileSync(join(directory, name), bytes.fill(0xaa, bytes.length - 4096));
    await expect(expectRight(index, model)).rejects.toMatchObject({ code: 'INDEX_CACHE_DAMAGED' });
    expect(index.retain(model.order)).toEqual(model.order);
    await index.add([object]);
    await expectRight(index, model);
  });

  function damaged(bytes: Buffer, random: Seeded): Buffer {
    if (random.below(4) === 0) return Buffer.from(bytes.subarray(0, random.below(bytes.length)));
    const copy = Buffer.from(bytes);
    copy[random.below(copy.length)]! ^= 1 << random.below(8);
    return copy;
  }

  /** Does what a caller does: adds what is missing, and once more when damage shows later. True when something was missing. */
  async function mendedAndRight(directory: string, model: Model): Promise<boolean> {
    const index = await openIndex(directory);
    let rebuilt = false;
    for (let tries = 0; ; tries++) {
      const missing = index.retain(model.order);
      rebuilt ||= missing.length > 0;
      await index.add(missing.map((id) => model.object(id)));
      try {
        await expectRight(index, model);
        break;
      } catch (cause) {
        if (!isFault(cause, 'INDEX_CACHE_DAMAGED') || tries > 4) throw cause;
        rebuilt = true;
      }
    }
    await index.close();
    return rebuilt;
  }
});

describe('two processes with one cache directory', () => {
  test('add, merge and answer at once, and lose nothing that either has added', async () => {
    const directory = temporaryDirectory();
    const children = [1, 2].map((part) => startChild([directory, String(part), '12']));
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
    expect(codes).toEqual([0, 0]);
    const model = new Model();
    for (const part of [1, 2]) for (let n = 0; n < 12; n++) model.added([model.make(new Seeded(part * 1000 + n), 4).id]);
    const index = await openIndex(directory);
    expect(index.retain(model.order)).toEqual([]);
    await expectRight(index, model);
    await index.close();
    // Nothing is left behind but what is listed.
    const last = await openIndex(directory);
    last.retain(model.order);
    await last.settled();
    expect(runFiles(directory).length).toBe(2 * last.records.runs);
  });

  test('leave an index that is right, and no rubbish, when one is killed at any time', async () => {
    const directory = temporaryDirectory();
    const model = new Model();
    for (let n = 0; n < 40; n++) model.added([model.make(new Seeded(1000 + n), 4).id]);
    for (let kill = 1; kill <= 5; kill++) {
      const child = startChild([directory, '1', '40']);
      const exit = once(child, 'exit');
      let seen = 0;
      for await (const line of child.stdout!) {
        seen += String(line).length;
        if (seen >= kill * 7) break;
      }
      for (let turns = 0; turns < kill * 50; turns++) await letOthersWork();
      child.kill('SIGKILL');
      await exit;
    }
    const index = await openIndex(directory);
    const missing = index.retain(model.order);
    expect(missing.length).toBeLessThan(40);
    await index.add(missing.map((id) => model.object(id)));
    await expectRight(index, model);
    await index.settled();
    expect(runFiles(directory).length).toBe(2 * index.records.runs);
    expect(runFiles(directory).every((name) => statSync(join(directory, name)).size > 0)).toBe(true);
  });

  function startChild(parameters: string[]): ChildProcess {
    const script = fileURLToPath(new URL('./index-child.ts', import.meta.url));
    const child = spawn(process.execPath, [script, ...parameters], { stdio: ['ignore', 'pipe', 'inherit'] });

    return child;
  }
});

function ask(task: ReaderTask): Promise<ReaderAnswer> {
  const worker = new Worker(new URL('./reader-worker.ts', import.meta.url), { workerData: task });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
