import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadChecksum } from '../../src/index/checksum.ts';
import { changeManifest, type RunEntry, readManifest } from '../../src/index/manifest.ts';
import { Seeded } from './material.ts';
import { temporaryDirectory } from './temporary.ts';

const checksum = await loadChecksum();
const random = new Seeded(51);
const randomBytes = (length: number) => random.bytes(length);

function entryOf(name: string): RunEntry {
  const table = { file: name, seed: '0'.repeat(16), records: 1 };
  return { chunks: table, blocks: table, covers: [name] };
}

function append(directory: string, name: string): void {
  changeManifest(directory, checksum, randomBytes, (runs) => [...runs, entryOf(name)]);
}

const namesIn = (directory: string) => readManifest(directory, checksum).runs.map((run) => run.chunks.file);

test('of many processes that change the list at once, none undoes what another did', async () => {
  const directory = temporaryDirectory();
  const script = fileURLToPath(new URL('./manifest-child.ts', import.meta.url));
  const children = ['a', 'b', 'c', 'd'].map((name) =>
    spawn(process.execPath, [script, directory, name, '120'], { stdio: 'inherit' }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
  expect(codes).toEqual([0, 0, 0, 0]);
  const wanted = ['a', 'b', 'c', 'd'].flatMap((name) => Array.from({ length: 120 }, (_, n) => `${name}${n}`));
  expect(namesIn(directory).sort()).toEqual(wanted.sort());
  expect(readdirSync(directory).every((name) => name.startsWith('manifest-'))).toBe(true);
});

test('who slept through many changes does not undo them when its number is free again', () => {
  const directory = temporaryDirectory();
  append(directory, 'first');
  let asked = 0;
  changeManifest(directory, checksum, randomBytes, (runs) => {
    if (asked++ === 0) for (let n = 0; n < 60; n++) append(directory, `other${n}`);
    return [...runs, entryOf('sleeper')];
  });
  expect(asked).toBe(2);
  expect(namesIn(directory)).toEqual(['first', ...Array.from({ length: 60 }, (_, n) => `other${n}`), 'sleeper']);
});

test('a damaged manifest is passed over for the one before it, and the next change takes a number above both', () => {
  const directory = temporaryDirectory();
  append(directory, 'one');
  append(directory, 'two');
  const newest = join(directory, readdirSync(directory).sort().at(-1)!);
  const bytes = readFileSync(newest);
  for (let position = 0; position < bytes.length; position++) {
    const torn = Buffer.from(bytes);
    torn[position]! ^= 1 << random.below(8);
    writeFileSync(newest, torn);
    expect(namesIn(directory)).toEqual(['one']);
    writeFileSync(newest, bytes.subarray(0, position));
    expect(namesIn(directory)).toEqual(['one']);
  }
  append(directory, 'three');
  expect(namesIn(directory)).toEqual(['one', 'three']);
});
