// The tree: about 64,000 mostly small files, 1.5 GiB. Real files of this machine as far as they reach, the rest written from a word
// model in the shape of a node_modules directory. Second state: about 2 % of the files modified, added, removed or renamed.

import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { MIB } from '../../src/base/units.ts';
import { Random } from './random.ts';
import { copyRealFiles, selectRealFiles } from './real-files.ts';
import { ENDING, type Kind, Writer } from './text.ts';

const FILES = 64_000;
const BYTES = 1_476 * MIB;
const REAL_FILES = 40_000;
const REAL_BYTES = 1_350 * MIB;
const REAL_FILE_BYTES_MAX = 24 * MIB;
/** When the synthetic files were last changed; a fixed day, so that the set is the same whenever it is made. */
const LAST_CHANGED = Date.UTC(2026, 0, 1) / 1000;

const KINDS: readonly Kind[] = ['code', 'code', 'code', 'code', 'json', 'json', 'prose', 'binary'];

/** Writes the first state into `root`; `scale` 16 makes it 16 times smaller. */
export function writeTree(root: string, scale: number): void {
  mkdirSync(root, { recursive: true });
  const real = selectRealFiles({
    roots: ['/usr/share', '/usr/lib', '/usr/include'],
    seed: 'tree',
    filesMax: Math.floor(REAL_FILES / scale),
    bytesMax: Math.floor(REAL_BYTES / scale),
    fileBytesMax: REAL_FILE_BYTES_MAX / (scale > 1 ? 4 : 1),
  });
  const bytes = copyRealFiles(real, root);
  writeModules(join(root, 'modules'), Math.floor(FILES / scale) - real.length, Math.floor(BYTES / scale) - bytes);
}

/** `count` files with `bytes` bytes in all, packages of some 30 files in nested directories. */
function writeModules(root: string, count: number, bytes: number): void {
  const random = new Random('modules');
  const writer = new Writer(random);
  const sizes: number[] = [];
  for (let at = 0; at < count; at++) sizes.push(Math.min(random.logNormal(1500, 1.4), 4 * MIB));
  const factor = bytes / sizes.reduce((sum, size) => sum + size, 0);
  let left = 0;
  let directory = root;
  for (const [at, size] of sizes.entries()) {
    if (left-- <= 0) {
      left = random.geometric(15);
      directory = join(
        root,
        `${writer.word()}-${at}`,
        ...(random.next() < 0.6 ? ['lib'] : []),
        ...(random.next() < 0.3 ? [writer.word()] : []),
      );
      mkdirSync(directory, { recursive: true });
    }
    writeOne(join(directory, `${writer.name()}-${at}`), writer, random, Math.max(1, Math.round(size * factor)));
  }
}

function writeOne(stem: string, writer: Writer, random: Random, size: number): void {
  const kind = random.pick(KINDS);
  const path = stem + ENDING[kind];
  writeFileSync(path, writer.bytes(kind, size), { mode: kind === 'binary' ? 0o755 : 0o644 });
  const time = LAST_CHANGED - random.below(200 * 86_400);
  utimesSync(path, time, time);
}

function regularFilesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Turns a copy of the first state into the second: 1 % modified, 0.4 % added, 0.3 % removed, 0.3 % renamed. */
export function changeTree(root: string): void {
  const random = new Random('change tree');
  const writer = new Writer(random);
  const files = regularFilesBelow(root);
  const part = (share: number) => Math.round(files.length * share);
  const picked = random.sample(files, part(0.01) + part(0.003) + part(0.003));
  const modified = picked.splice(0, part(0.01));
  const removed = picked.splice(0, part(0.003));
  for (const path of modified) modify(path, writer, random);
  for (const path of removed) rmSync(path);
  for (const [at, path] of picked.entries()) renameSync(path, join(dirname(path), `renamed-${at}-${writer.word()}`));
  for (let at = 0; at < part(0.004); at++) {
    writeOne(
      join(dirname(random.pick(modified)), `added-${at}-${writer.word()}`),
      writer,
      random,
      Math.min(random.logNormal(6000, 1.6), 8 * MIB),
    );
  }
}

/** A third each: a line inserted somewhere, bytes appended (a log), everything written anew. */
function modify(path: string, writer: Writer, random: Random): void {
  const size = statSync(path).size;
  const form = random.below(3);
  if (form === 0) {
    const old = readFileSync(path);
    const at = random.below(size + 1);
    writeFileSync(path, Buffer.concat([old.subarray(0, at), writer.bytes('code', 1 + random.below(200)), old.subarray(at)]));
    return;
  }
  const fd = openSync(path, 'r+');
  try {
    if (form === 1) writeSync(fd, writer.bytes('code', 1 + random.below(4000)), 0, undefined, size);
    else {
      ftruncateSync(fd, 0);
      writeSync(fd, writer.bytes(random.pick(KINDS), Math.max(1, Math.round(size * (0.5 + random.next())))));
    }
  } finally {
    closeSync(fd);
  }
}
