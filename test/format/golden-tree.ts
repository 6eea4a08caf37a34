// The tree that golden repositories hold: every kind of entry, odd names, times, owners and attributes, and contents that take every way
// through the format when chunks are small. To be made by root.

import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { HERE, TYPE } from '../../src/files/posix.ts';
import { posixCalls } from '../../src/files/posix-calls.ts';
import { endsEntriesLeaf } from '../../src/format/entries-boundary.ts';
import type { RepositoryParameters } from '../../src/format/repository-object.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

export const SMALL_PARAMETERS: Omit<RepositoryParameters, 'id' | 'createdAt'> = {
  packBytes: 1024 * 1024,
  blockBytes: 64 * 1024,
  content: { minBytes: 1024, averageBytes: 4096, maxBytes: 16_384 },
  paged: { unitBytes: 4096, groupUnits: 4, fileBytesMin: 8192, pageBytes: 4096 },
};
const UNIT = SMALL_PARAMETERS.paged.unitBytes;

/** Words: content that compresses like text and is cut like it. */
export function words(length: number, seed: number): Buffer {
  const random = seededRandom(seed);
  const vocabulary = Array.from({ length: 300 }, () =>
    Array.from({ length: 2 + Math.floor(random() * 7) }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join(''),
  );
  let text = '';
  while (text.length < length) text += `${vocabulary[Math.floor(random() ** 2 * 300)]} `;
  return Buffer.from(text.slice(0, length));
}

/** Units of zeros, and words at the given ones; `bytes` long. */
export function pages(bytes: number, units: readonly number[], seed: number): Buffer {
  const content = Buffer.alloc(bytes);
  for (const unit of units) words(Math.min(UNIT, bytes - unit * UNIT), seed + unit).copy(content, unit * UNIT);
  return content;
}

class Tree {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  at(path: string): Buffer {
    return Buffer.from(`${this.#root}/${path}`, 'latin1');
  }

  directory(path: string): void {
    fs.mkdirSync(this.at(path), { recursive: true });
  }

  file(path: string, content: Uint8Array | string = ''): void {
    fs.writeFileSync(this.at(path), content);
  }

  /** With holes where the content is zero. */
  sparse(path: string, content: Buffer): void {
    const fd = fs.openSync(this.at(path), 'w');
    fs.ftruncateSync(fd, content.length);
    for (let at = 0; at < content.length; at += UNIT) {
      const unit = content.subarray(at, at + UNIT);
      if (unit.some((byte) => byte !== 0)) fs.writeSync(fd, unit, 0, unit.length, at);
    }
    fs.closeSync(fd);
  }

  node(path: string, type: number, major = 0, minor = 0): void {
    posixCalls().mknod(HERE, this.at(path).toString('latin1'), type | 0o640, major, minor);
  }

  xattr(path: string, name: string, value: Uint8Array): void {
    posixCalls().setXattr(HERE, this.at(path).toString('latin1'), name, value);
  }

  time(path: string, seconds: number, nanoseconds: number): void {
    posixCalls().setMtime(HERE, this.at(path).toString('latin1'), seconds, nanoseconds);
  }
}

/** As the kernel keeps them: version 2, then (tag, permissions, id) of user, named user, group, mask, others. */
function acl(named: number): Uint8Array {
  const entries = [
    [1, 6, 0xffff_ffff],
    [2, 4, named],
    [4, 4, 0xffff_ffff],
    [16, 4, 0xffff_ffff],
    [32, 0, 0xffff_ffff],
  ] as const;
  const bytes = Buffer.alloc(4 + entries.length * 8);
  bytes.writeUInt32LE(2, 0);
  entries.forEach(([tag, permissions, id], i) => {
    bytes.writeUInt16LE(tag, 4 + i * 8);
    bytes.writeUInt16LE(permissions, 6 + i * 8);
    bytes.writeUInt32LE(id, 8 + i * 8);
  });
  return bytes;
}

export const ODD_NAMES: readonly string[] = [
  '\x01\x02 control',
  'new\nline',
  '-dash',
  ' blank ',
  'back\\slash',
  '~tilde',
  '\xff\xfe not utf-8',
  'caf\xc3\xa9',
  'cafe\xcc\x81',
  '...',
  'n'.repeat(255),
  'dir.x',
  'dir-x',
];

export async function makeFirst(root: string): Promise<void> {
  const t = new Tree(root);
  t.directory('');
  contents(t);
  await kinds(t);
  for (const name of ODD_NAMES) t.file(name, name);
  // A path that ends a leaf, after more than as many entries as a leaf must have.
  t.directory('many');
  for (let n = 0; n < 150; n++) t.file(`many/${String(n).padStart(4, '0')}`, n % 10 === 0 ? `file ${n}` : '');
  let ending = 0;
  while (!endsEntriesLeaf(`many/0100-${ending}`)) ending++;
  t.file(`many/0100-${ending}`);
  attributes(t);
}

function contents(t: Tree): void {
  t.directory('content');
  t.file('content/a-kept', words(9_000, 1));
  t.file('content/empty');
  t.file('content/byte', 'x');
  t.file('content/inline', words(30_000, 3));
  t.file('content/map', words(100_000, 4));
  t.file('content/copy of map', words(100_000, 4));
  t.file('content/random', seededBytes(20_000, 5));
  t.sparse('content/sparse', Buffer.concat([Buffer.alloc(100_000), words(5_001, 6)]));
  t.sparse('content/pages', pages(3 * UNIT, [0, 2], 7));
  t.sparse('content/many pages', pages(300 * UNIT, [0, 1, 2, 3, 4, 100, 255, 256, 299], 8));
  t.sparse('content/zero pages', Buffer.alloc(16 * UNIT));
}

async function kinds(t: Tree): Promise<void> {
  t.directory('kinds/empty directory');
  t.directory(`kinds/${Array.from({ length: 12 }, (_, i) => `deep${i}`).join('/')}`);
  t.file('kinds/linked-1', 'linked');
  fs.linkSync(t.at('kinds/linked-1'), t.at('kinds/linked-2'));
  fs.linkSync(t.at('kinds/linked-1'), t.at('linked-elsewhere'));
  fs.symlinkSync('content/byte', t.at('kinds/link'));
  fs.symlinkSync(Buffer.from('/no\xffwhere', 'latin1'), t.at('kinds/dangling'));
  fs.symlinkSync('x/'.repeat(400), t.at('kinds/long link'));
  t.node('kinds/fifo', TYPE.fifo);
  t.node('kinds/null', TYPE.characterDevice, 1, 3);
  t.node('kinds/loop', TYPE.blockDevice, 7, 200);
  fs.linkSync(t.at('kinds/fifo'), t.at('kinds/fifo too'));
  const server = createServer();
  const here = process.cwd();
  process.chdir(t.at('kinds').toString());
  await new Promise<void>((resolve) => server.listen('socket-made', resolve));
  // Closing removes the name that it was made by.
  fs.linkSync('socket-made', 'socket');
  await new Promise((resolve) => server.close(resolve));
  process.chdir(here);
}

function attributes(t: Tree): void {
  t.directory('attributes/shared');
  for (const name of ['setuid', 'nothing', 'owned', 'acl', 'capable', 'many', 'old', 'new', 'older', 'fine'])
    t.file(`attributes/${name}`, name);
  fs.chownSync(t.at('attributes/owned'), 12_345, 54_321);
  fs.lchownSync(t.at('kinds/link'), 1, 2);
  fs.chmodSync(t.at('attributes/setuid'), 0o6755);
  fs.chmodSync(t.at('attributes/nothing'), 0);
  fs.chmodSync(t.at('attributes/shared'), 0o1777);
  t.xattr('attributes/acl', 'system.posix_acl_access', acl(1001));
  t.xattr('attributes/shared', 'system.posix_acl_default', acl(1002));
  t.xattr('attributes/capable', 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
  t.xattr('attributes/many', 'trusted.golden', Buffer.from('of root'));
  t.xattr('attributes/many', 'user.empty', new Uint8Array(0));
  t.xattr(
    'attributes/many',
    'user.bytes',
    Uint8Array.from({ length: 256 }, (_, i) => i),
  );
  t.xattr('attributes/many', 'user.\xc3\xbc', Buffer.from('name'));
  t.xattr('', 'user.root', Buffer.from('of the root'));
  t.time('attributes/old', 0, 0);
  t.time('attributes/older', -86_401, 500_000_000);
  t.time('attributes/new', 4_294_967_296, 1);
  t.time('attributes/fine', 1_700_000_000, 999_999_999);
  t.time('kinds/dangling', 1_000_000_000, 123_456_789);
  t.time('attributes/shared', 1_234_567_890, 42);
}

/** What changed a day later. */
export function makeSecond(root: string): void {
  const t = new Tree(root);
  t.file('content/inline', Buffer.concat([words(10_000, 3), Buffer.from('INSERTED'), words(30_000, 3).subarray(10_000)]));
  t.sparse('content/many pages', pages(300 * UNIT, [0, 1, 3, 4, 100, 256, 257, 299], 8));
  fs.rmSync(t.at('content/copy of map'));
  fs.renameSync(t.at('many/0003'), t.at('many/0003 renamed'));
  fs.rmSync(t.at('many/0004'));
  t.file('many/0100 new', 'new');
  fs.rmSync(t.at('kinds/linked-1'));
  fs.chmodSync(t.at('content/map'), 0o600);
  t.xattr('content/map', 'user.changed', Buffer.from('yes'));
  fs.rmdirSync(t.at('kinds/empty directory'));
  t.file('kinds/empty directory', 'a file now');
}
