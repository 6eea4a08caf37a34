import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { objectsIn, readTree } from '../support/repository.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, initialised, type Line, linesOf } from './holdfast.ts';

const MIB = 1024 * 1024;
const SLOW = ['--upload-limit', '4MiB'];

function withTree(megabytes: number): { readonly holdfast: Holdfast; readonly tree: string } {
  const holdfast = initialised();
  for (let n = 0; n < megabytes / 4; n++) holdfast.file(`tree/f${n}`, seededBytes(4 * MIB, n));
  return { holdfast, tree: holdfast.path('tree') };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(10);
}

async function ended(
  child: ChildProcess,
): Promise<{ readonly status: number | null; readonly lines: Line[]; readonly stderr: string }> {
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (data) => (stdout += data));
  child.stderr!.on('data', (data) => (stderr += data));
  const status = await new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)));
  return { status, lines: linesOf(stdout), stderr };
}

const packs = (holdfast: Holdfast): number => objectsIn(holdfast.directory, 'packs/').size;

describe('a backup that is interrupted', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s says so with 130, and the next one stores only what is missing',
    async (signal) => {
      const { holdfast, tree } = withTree(40);
      const child = holdfast.start(['backup', tree, '--json', ...SLOW]);
      const end = ended(child);
      await until(() => packs(holdfast) >= 2);
      child.kill(signal);
      const { status, lines } = await end;
      expect(status).toBe(130);
      expect(lines.at(-1)).toMatchObject({ kind: 'error', code: 'INTERRUPTED', exit: 130 });
      expect(holdfast.summary(['snapshots'])).toMatchObject({ snapshots: 0 });
      const stored = packs(holdfast);
      expect(stored).toBeLessThan(5);
      expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean' });
      const summary = holdfast.summary(['backup', tree]);
      expect(summary.bytesNew).toBeLessThan(40 * MIB - (stored - 1) * 7 * MIB);
      holdfast.ok(['restore', 'latest', '--target', holdfast.path('out')]);
      expect(readTree(holdfast.path('out'))).toEqual(readTree(tree));
      // Nothing that was interrupted is among the writers.
      expect(holdfast.summary(['stats'])).toMatchObject({ writers: 0 });
    },
  );

  it('ends at once at the second signal, and the next one goes on all the same', async () => {
    const { holdfast, tree } = withTree(40);
    const child = holdfast.start(['backup', tree, '--json', '--upload-limit', '1MiB']);
    const end = ended(child);
    await until(() => packs(holdfast) >= 1);
    child.kill('SIGINT');
    child.kill('SIGTERM');
    const { status, lines } = await end;
    expect(status).toBe(130);
    expect(lines).toEqual([]);
    holdfast.ok(['backup', tree]);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 1 });
    expect(holdfast.summary(['stats'])).toMatchObject({ writers: 0 });
  });

  it('of a stream waits for no more input', async () => {
    const holdfast = initialised();
    const child = holdfast.start(['backup', '-', '--json']);
    const end = ended(child);
    // It ends before it has read all.
    child.stdin!.on('error', () => {});
    child.stdin!.write(Buffer.from(seededBytes(40 * MIB, 1)));
    await until(() => packs(holdfast) >= 1);
    child.kill('SIGINT');
    expect(await end).toMatchObject({ status: 130, lines: [{ kind: 'error', code: 'INTERRUPTED' }] });
  });
});

describe('a restore that is interrupted', () => {
  it('keeps what it has written, and goes on with --delta', async () => {
    const { holdfast, tree } = withTree(48);
    holdfast.ok(['backup', tree]);
    const out = holdfast.path('out');
    const child = holdfast.start(['restore', 'latest', '--target', out, '--json', '--download-limit', '8MiB', '--threads', '1']);
    const end = ended(child);
    await until(() => existsSync(out) && readdirSync(out).length >= 3);
    child.kill('SIGINT');
    const { status, lines } = await end;
    expect(status).toBe(130);
    expect(lines.at(-1)).toMatchObject({ code: 'INTERRUPTED', hint: expect.stringContaining('--delta') });
    expect(holdfast.fault(['restore', 'latest', '--target', out])).toMatchObject({ code: 'TARGET_OCCUPIED' });
    const summary = holdfast.summary(['restore', 'latest', '--target', out, '--delta', '--verify']);
    expect(summary).toMatchObject({ differing: 0, problems: 0 });
    expect(readTree(out)).toEqual(readTree(tree));
  });
});

describe('a restore to where another is at work', () => {
  it('is refused as long as the other lives, whatever way leads there, and no longer', async () => {
    const { holdfast, tree } = withTree(48);
    holdfast.ok(['backup', tree, '--asset', 'tree']);
    holdfast.ok(['backup', holdfast.file('disk.img', seededBytes(40 * MIB, 3)), '--asset', 'disk']);
    const slowly = ['--delta', '--download-limit', '8MiB', '--threads', '1'];
    mkdirSync(holdfast.path('volumes'));
    symlinkSync(holdfast.path('out'), holdfast.path('way'));
    const trees = ['restore', 'latest', '--asset', 'tree', '--target'];
    const disks = ['restore', 'latest', '--asset', 'disk', '--target'];
    for (const [first, second, begun] of [
      [[...trees, holdfast.path('out')], [...trees, holdfast.path('way')], (): boolean => existsSync(holdfast.path('out/f0'))],
      [
        [...disks, holdfast.path('volumes')],
        [...disks, holdfast.path('volumes/disk.img')],
        (): boolean => existsSync(holdfast.path('volumes/disk.img')),
      ],
    ] as const) {
      const child = holdfast.start([...first, '--json', ...slowly]);
      const end = ended(child);
      await until(begun);
      child.kill('SIGSTOP');
      const { code, status, line } = holdfast.fault([...second, '--delta']);
      expect({ code, status }).toEqual({ code: 'TARGET_OCCUPIED', status: 1 });
      expect(line.message).toMatch(/^Another restore to ".*" is at work$/);
      // Beside it there is room.
      if (second[3] === 'disk')
        holdfast.ok(['restore', 'latest', '--asset', 'tree', '--path', 'f0', '--target', holdfast.path('volumes')]);
      child.kill('SIGKILL');
      await end;
      expect(holdfast.summary([...second, '--delta', '--verify'])).toMatchObject({ differing: 0, problems: 0 });
    }
    expect(readTree(holdfast.path('out'))).toEqual(readTree(tree));
  });
});

describe('a copy that is interrupted', () => {
  it('goes on where it was', async () => {
    const { holdfast, tree } = withTree(48);
    holdfast.ok(['backup', tree]);
    const location = holdfast.path('copy/repository');
    const file = holdfast.secret('copy', 'another');
    const there = { variables: { HOLDFAST_REPO: location, HOLDFAST_PASSPHRASE_FILE: file } };
    holdfast.ok(['init'], there);
    const copy = ['copy', '--to', location, '--to-passphrase-file', file];
    const child = holdfast.start([...copy, '--json', ...SLOW]);
    const end = ended(child);
    await until(() => objectsIn(holdfast.path('copy'), 'packs/').size >= 2);
    child.kill('SIGINT');
    expect((await end).status).toBe(130);
    const summary = holdfast.summary(copy);
    expect(summary).toMatchObject({ copied: 1 });
    expect(summary.bytesStored).toBeLessThan(40 * MIB);
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out')], there);
    expect(readTree(holdfast.path('out'))).toEqual(readTree(tree));
  });
});
