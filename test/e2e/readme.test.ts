// The README's own commands, as a newcomer would type them.

import { execFileSync, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const checkout = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-readme-'));
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('every command of the README that is marked "run" succeeds, in order', () => {
  const blocks = [...readme.matchAll(/```sh run\n([\s\S]*?)```/g)].map(([, body]) => body);
  expect(blocks.length).toBeGreaterThanOrEqual(2);
  const script = `set -e\n${blocks.join('\n')}`;
  const { SCRATCH: _, ...others } = process.env;
  const env = { ...others, TMPDIR: scratch, HOME: scratch, XDG_CACHE_HOME: join(scratch, 'cache') };
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: checkout, env, encoding: 'utf8' });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
  const [made] = globSync(join(scratch, '*/documents.tar'));
  expect(execFileSync('tar', ['tf', made!], { encoding: 'utf8' })).toContain('documents/notes.txt');
});
