// The README's own commands, as a newcomer would type them.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const checkout = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-readme-'));
  mkdirSync(join(scratch, 'documents/letters'), { recursive: true });
  writeFileSync(join(scratch, 'documents/notes.txt'), 'first line\n');
  writeFileSync(join(scratch, 'documents/letters/one.txt'), 'a letter\n'.repeat(50_000));
  const image = Buffer.alloc(8 * 1024 * 1024);
  image.write('something on the disk', 3 * 1024 * 1024);
  writeFileSync(join(scratch, 'disk.img'), image);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('every command of the README that is marked "run" succeeds, in order', () => {
  const blocks = [...readme.matchAll(/```sh run\n([\s\S]*?)```/g)].map(([, body]) => body);
  expect(blocks.length).toBeGreaterThanOrEqual(2);
  const script = `set -e\n${blocks.join('\n')}`;
  const env = { ...process.env, SCRATCH: scratch, HOME: scratch, XDG_CACHE_HOME: join(scratch, 'cache') };
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: checkout, env, encoding: 'utf8' });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
  execFileSync('tar', ['tf', join(scratch, 'documents.tar')]);
});
