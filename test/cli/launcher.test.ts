import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'holdfast-launcher-'));
  mkdirSync(join(place, 'bin'));
  copyFileSync(resolve('bin/holdfast'), join(place, 'bin/holdfast'));
  // In the place of Node: says where it would keep what it compiles.
  writeFileSync(join(place, 'bin/node'), '#!/bin/sh\necho "$NODE_COMPILE_CACHE|$HOLDFAST_CACHE_DIR"\n');
  for (const name of ['holdfast', 'node']) chmodSync(join(place, 'bin', name), 0o755);
});

afterEach(() => rmSync(place, { recursive: true, force: true }));

function started(variables: Readonly<Record<string, string>>): { readonly code: string; readonly cache: string } {
  const env = { PATH: process.env.PATH ?? '', ...variables };
  const [code, cache] = execFileSync(join(place, 'bin/holdfast'), { env, encoding: 'utf8' }).trim().split('|') as [string, string];
  return { code: code === '' ? '' : resolve(code), cache };
}

describe('what Node compiled', () => {
  test('lies beside the program for whoever may write there', () => {
    mkdirSync(join(place, 'node_modules'));
    expect(started({ HOME: '/home/of/somebody' })).toEqual({
      code: join(place, 'node_modules/.cache/holdfast'),
      cache: '/home/of/somebody/.cache/holdfast',
    });
  });

  test('is found again by programs that run elsewhere, though it was started by a relative path', () => {
    mkdirSync(join(place, 'node_modules'));
    const said = execFileSync('bin/holdfast', { cwd: place, env: { PATH: process.env.PATH ?? '' }, encoding: 'utf8' });
    expect(said.startsWith(`${place}/`)).toBe(true);
  });

  test("lies in the user's own cache where the program's place is not to be written", () => {
    expect(started({ HOME: '/home/of/somebody' }).code).toBe('/home/of/somebody/.cache/holdfast/code');
    expect(started({ HOLDFAST_CACHE_DIR: '/var/cache/holdfast' }).code).toBe('/var/cache/holdfast/code');
  });

  test('lies where the user wants it, and nowhere when there is no place', () => {
    mkdirSync(join(place, 'node_modules'));
    expect(started({ NODE_COMPILE_CACHE: '/elsewhere' }).code).toBe('/elsewhere');
    rmSync(join(place, 'node_modules'), { recursive: true });
    expect(started({})).toEqual({ code: '', cache: '' });
  });
});

describe('how memory is given out', () => {
  test('is for a long life when the verb is one that runs on, wherever options stand, and for a short one otherwise', () => {
    writeFileSync(join(place, 'bin/node'), '#!/bin/sh\necho "$*"\n');
    const flags = (...args: string[]): string => execFileSync(join(place, 'bin/holdfast'), args, { encoding: 'utf8' });
    for (const args of [
      ['serve'],
      ['--json', 'serve'],
      ['--json', '--no-progress', 'serve', '--home', '/x'],
      ['site', 'run'],
      ['--json', 'site', 'run', '--config', '/x'],
      ['replica', 'run'],
      ['pg', 'capture', '--repo', '/x'],
    ])
      expect(flags(...args), args.join(' ')).toContain('--initial-old-space-size=128 ');
    for (const args of [
      [],
      ['backup', 'serve'],
      ['--json'],
      ['help', 'serve'],
      ['help', 'site', 'run'],
      ['site', 'adopt'],
      ['site', '--config', '/x', 'adopt'],
      ['replica', 'status'],
      ['pg', 'restore'],
    ])
      expect(flags(...args), args.join(' ')).not.toContain('--initial-old-space-size=128 ');
  });

  test('is what the user says, where he says it', () => {
    writeFileSync(join(place, 'bin/node'), '#!/bin/sh\necho "$GLIBC_TUNABLES|$MALLOC_ARENA_MAX"\n');
    const mine = started({ GLIBC_TUNABLES: 'glibc.malloc.check=1', MALLOC_ARENA_MAX: '4' });
    expect(mine.cache).toBe('4');
    expect(mine.code).toBe(resolve('glibc.malloc.check=1'));
  });
});
