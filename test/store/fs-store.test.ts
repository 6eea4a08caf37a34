import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openFsStore } from '../../src/store/fs-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { objectStoreConformance } from '../conformance/object-store.ts';
import { objectOf } from '../support/putting-writer.ts';
import { mayMount, mountTmpfs, remountReadOnly, scratchDirectory, unmount } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

objectStoreConformance('a directory', {
  open: async () => {
    const path = mkdtempSync(join(tmpdir(), 'holdfast-fs-'));
    const [store, other] = [await openFsStore(path), await openFsStore(path)];
    return { store, other, cleanUp: async () => rmSync(path, { recursive: true }) };
  },
});

const text = (string: string) => new TextEncoder().encode(string);
const temporaries = (path: string) => readdirSync(join(path, 'tmp~'));
const rejection = async (promise: Promise<unknown>) =>
  promise.then(
    () => 'no rejection',
    (error) => error.code,
  );

async function keysOf(store: ObjectStore, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of store.list(prefix)) keys.push(...page.map(({ key }) => key));
  return keys.sort();
}

describe('a directory store', () => {
  it('needs a directory, and makes one only when asked', async () => {
    const path = join(scratchDirectory(), 'a', 'b');
    expect(await rejection(openFsStore(path))).toBe('STORE_BUCKET_MISSING');
    const store = await openFsStore(path, { create: true });
    await store.put('x', text('x'));
    expect(await (await openFsStore(path)).size('x')).toBe(1);
    expect(await rejection(openFsStore(join(path, 'x')))).toBe('STORE_BAD_LOCATION');
    expect(await rejection(openFsStore(join(path, 'x'), { create: true }))).toBe('STORE_BAD_LOCATION');
    expect(await rejection(openFsStore(join(path, 'x', 'y'), { create: true }))).toBe('STORE_BAD_LOCATION');
  });

  it('lays objects where localPath says', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    await store.put('packs/00/abc', text('content'));
    expect(store.localPath?.('packs/00/abc')).toBe(join(path, 'packs/00/abc'));
    expect(readFileSync(join(path, 'packs/00/abc'), 'utf8')).toBe('content');
    expect(() => store.localPath?.('../x')).toThrow(/not a name/);
  });

  it('leaves no temporary file behind', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    await store.probe();
    await store.put('a', text('a'));
    await store.put('a', text('b'));
    const swapped = await store.swap('r', text('1'), undefined);
    await store.swap('r', text('2'), swapped === 'conflict' ? '' : swapped.version);
    await store.swap('r', text('3'), swapped === 'conflict' ? '' : swapped.version);
    await store.swap('r', text('4'), undefined);
    await store.delete('r');
    expect(temporaries(path)).toEqual([]);
  });

  it('clears away after an abort, at the latest when it is closed', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    const bytes = new Uint8Array(16 * 1024 * 1024);
    for (let i = 0; i < 10; i++) {
      const controller = new AbortController();
      const put = rejection(store.put(`a/${i}`, bytes, { signal: controller.signal }));
      for (let turn = 0; turn < i; turn++) await new Promise(setImmediate);
      controller.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
      expect(['ENOUGH', 'no rejection']).toContain(await put);
    }
    await store.close();
    expect(temporaries(path)).toEqual([]);
    for await (const page of store.list('a/')) for (const { sizeBytes } of page) expect(sizeBytes).toBe(bytes.length);
  });

  it('ends a call that takes too long with STORE_TIMEOUT', async () => {
    const store = await openFsStore(scratchDirectory(), { timeoutMs: 0 });
    expect(await rejection(store.put('a', seededBytes(8_000_000, 1)))).toBe('STORE_TIMEOUT');
    await store.close();
  });

  it('refuses a key that would be a file and a directory at once', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    await store.put('a', text('file'));
    expect(await rejection(store.put('a/b', text('below')))).toBe('STORE_BAD_KEY');
    await store.put('c/d', text('below'));
    expect(await rejection(store.put('c', text('above')))).toBe('STORE_BAD_KEY');
    expect(await rejection(store.get('c'))).toBe('STORE_NOT_FOUND');
    expect(await store.size('a/b')).toBeUndefined();
    await store.delete('c');
    await store.delete('a/b');
    expect(await keysOf(store)).toEqual(['a', 'c/d']);
    expect(temporaries(path)).toEqual([]);
  });

  it('goes on when an empty directory was removed by hand', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    await store.put('a/b/c', text('1'));
    rmSync(join(path, 'a'), { recursive: true });
    rmSync(join(path, 'tmp~'), { recursive: true });
    expect(await store.put('a/b/d', text('2'))).toBe('created');
    expect(await keysOf(store)).toEqual(['a/b/d']);
  });

  it('lists only what a key can name', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    await store.put('a/b', text('1'));
    mkdirSync(join(path, 'lost+found'));
    writeFileSync(join(path, 'README.txt'), 'somebody put it there');
    writeFileSync(join(path, 'a', 'B'), 'upper case');
    expect(await keysOf(store)).toEqual(['a/b']);
    expect(await keysOf(store, 'a/')).toEqual(['a/b']);
  });

  it('lists what a key leads to through links, as it is read, and none of it without an end', async () => {
    const path = scratchDirectory();
    const elsewhere = scratchDirectory();
    const store = await openFsStore(path);
    for (const key of ['a/b/c', 'a/b/d', 'a/e']) await store.put(key, text(key));
    for (const moved of ['a/b', 'a/e']) {
      renameSync(join(path, moved), join(elsewhere, basename(moved)));
      symlinkSync(join(elsewhere, basename(moved)), join(path, moved));
    }
    for (const [name, to] of [
      ['up', '..'],
      ['self', 'self'],
      ['nowhere', 'away'],
    ] as const)
      symlinkSync(to, join(path, 'a', name));
    symlinkSync(join(path, 'a'), join(elsewhere, 'b', 'round'));
    for (const prefix of ['', 'a/', 'a/b']) {
      const keys = await keysOf(store, prefix);
      expect(keys).toEqual(['a/b/c', 'a/b/d', 'a/e'].filter((key) => key.startsWith(prefix)));
      for (const key of keys) expect(Buffer.from(await store.get(key)).toString()).toBe(key);
    }
  });

  /** Everything in the store: kind, rights, owner, group. */
  const owners = (path: string): string[] => [
    ...new Set(
      execFileSync('find', [path, '-mindepth', '1', '-printf', '%y %m %U:%G\\n'], { encoding: 'utf8' }).trim().split('\n'),
    ),
  ];
  const fill = async (path: string): Promise<void> => {
    const store = await openFsStore(path);
    await store.put('a/b/c', text('1'));
    await store.swap('a/r', text('1'), await versionOf(store.swap('a/r', text('0'), undefined)));
    await store.close();
  };
  const versionOf = async (swap: ReturnType<ObjectStore['swap']>): Promise<string> => {
    const result = await swap;
    return result === 'conflict' ? '' : result.version;
  };

  it.skipIf(process.getuid?.() !== 0)('belongs to whom its directory belongs, also when root has worked in it', async () => {
    const path = scratchDirectory();
    chownSync(path, 4711, 4712);
    await fill(path);
    expect([...new Set(owners(path).map((one) => one.split(' ').at(-1)))]).toEqual(['4711:4712']);
  });

  it.skipIf(process.getuid?.() !== 0)('gives nothing away that root makes behind a link in it', async () => {
    const path = scratchDirectory();
    const elsewhere = scratchDirectory();
    chownSync(path, 4711, 4712);
    for (const name of ['a', 'tmp~']) symlinkSync(elsewhere, join(path, name));
    await fill(path);
    expect([...new Set(owners(elsewhere).map((one) => one.split(' ').at(-1)))]).toEqual(['0:0']);
  });

  it('that is shared with a group stays so, whatever the umask of who writes', async () => {
    const path = scratchDirectory();
    chmodSync(path, 0o2770);
    const script = `import { openFsStore } from ${JSON.stringify(fileURLToPath(new URL('../../src/store/fs-store.ts', import.meta.url)))};
      const store = await openFsStore(process.argv[1]);
      const bytes = new TextEncoder().encode('1');
      await store.put('a/b/c', bytes);
      await store.swap('a/r', bytes, undefined);`;
    const node = [process.execPath, '--input-type=module', '-e', script, path];
    execFileSync('sh', ['-c', 'umask 077; exec "$@"', 'sh', ...node]);
    expect(
      owners(path)
        .map((one) => one.split(' ').slice(0, 2).join(' '))
        .sort(),
    ).toEqual(['d 2770', 'f 660']);
  });

  it('removes leftovers of dead writers when it is probed, but only those a day old', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    await store.put('a', text('a'));
    for (const name of ['old', 'young']) writeFileSync(join(path, 'tmp~', name), 'half an object');
    mkdirSync(join(path, 'tmp~', 'old-register', '0123456789abcdef'), { recursive: true });
    const old = Date.now() / 1000 - 25 * 3600;
    for (const name of ['old', 'old-register']) utimesSync(join(path, 'tmp~', name), old, old);
    await store.probe();
    expect(temporaries(path)).toEqual(['young']);
  });

  it('notices that its directory is gone, or another one, and does not take that for missing objects', async () => {
    const path = join(scratchDirectory(), 'store');
    const store = await openFsStore(path, { create: true });
    await store.put('a', text('a'));
    await store.swap('r', text('1'), undefined);
    renameSync(path, `${path}-elsewhere`);
    for (const replace of [() => {}, () => mkdirSync(path)]) {
      replace();
      expect(await rejection(store.get('a'))).toBe('STORE_UNREACHABLE');
      expect(await rejection(store.size('a'))).toBe('STORE_UNREACHABLE');
      expect(await rejection(store.read('r'))).toBe('STORE_UNREACHABLE');
      expect(await rejection(store.delete('a'))).toBe('STORE_UNREACHABLE');
      expect(await rejection(store.probe())).toBe('STORE_UNREACHABLE');
      expect(await rejection(keysOf(store, 'b/'))).toBe('STORE_UNREACHABLE');
    }
  });

  it('is left with whole objects only when writers are killed at any moment', async () => {
    const path = scratchDirectory();
    const tried = new Set<string>();
    const acknowledged = new Set<string>();
    for (let round = 0; round < 6; round++) await killedWriter(path, `w${round}`, 3 + round * 5, tried, acknowledged);
    const store = await openFsStore(path);
    const keys = await keysOf(store, 'puts/');
    for (const key of keys) {
      expect(tried).toContain(key);
      expect(Buffer.from(await store.get(key)).equals(objectOf(key))).toBe(true);
    }
    for (const key of acknowledged) expect(keys).toContain(key);
    expect(acknowledged.size).toBeGreaterThan(0);
  });
});

/** Starts a writer and kills it right after it has said its n-th line. */
async function killedWriter(
  path: string,
  name: string,
  lines: number,
  tried: Set<string>,
  acknowledged: Set<string>,
): Promise<void> {
  const script = fileURLToPath(new URL('../support/putting-writer.ts', import.meta.url));
  const child = spawn(process.execPath, [script, path, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, key] = line.split(' ');
    (what === 'try' ? tried : acknowledged).add(key);
    if (++seen >= lines) child.kill('SIGKILL');
  }
}

describe.skipIf(!mayMount())('a directory store on a disk that fails', () => {
  const mounted = (size: string, below = ''): string => {
    const path = scratchDirectory();
    const at = join(path, below);
    mkdirSync(at, { recursive: true });
    mountTmpfs(at, size);
    onTestFinished(() => unmount(at));
    return path;
  };

  it('says that the disk is full, keeps nothing of the object, and works again when there is room', async () => {
    const path = mounted('2m');
    const store = await openFsStore(path);
    await store.put('first', seededBytes(700_000, 1));
    await store.put('second', seededBytes(700_000, 2));
    const registered = await store.swap('r', text('kept'), undefined);
    expect(await rejection(store.put('third', seededBytes(1_000_000, 3)))).toBe('STORE_FULL');
    expect(await rejection(store.swap('r', seededBytes(1_000_000, 4), registered === 'conflict' ? '' : registered.version))).toBe(
      'STORE_FULL',
    );
    expect(await rejection(store.swap('s', seededBytes(1_000_000, 5), undefined))).toBe('STORE_FULL');
    expect(temporaries(path)).toEqual([]);
    expect(await store.size('third')).toBeUndefined();
    expect(await store.read('s')).toBeUndefined();
    expect(Buffer.from((await store.read('r'))?.bytes ?? []).toString()).toBe('kept');
    expect(await keysOf(store)).toEqual(['first', 'second']);
    await store.delete('first');
    expect(await store.put('third', seededBytes(1_000_000, 3))).toBe('created');
  });

  it('says that it may not write where the file system is read-only, and still reads', async () => {
    const path = mounted('2m');
    const store = await openFsStore(path);
    await store.put('a', text('a'));
    await store.swap('r', text('1'), undefined);
    remountReadOnly(path);
    expect(await rejection(store.put('b', text('b')))).toBe('STORE_DENIED');
    expect(await rejection(store.delete('a'))).toBe('STORE_DENIED');
    expect(await rejection(store.swap('s', text('1'), undefined))).toBe('STORE_DENIED');
    expect(await rejection(store.probe())).toBe('STORE_DENIED');
    expect(Buffer.from(await store.get('a')).toString()).toBe('a');
    expect(await store.size('a')).toBe(1);
    expect(Buffer.from((await store.read('r'))?.bytes ?? []).toString()).toBe('1');
    expect(await keysOf(store)).toEqual(['a']);
  });

  it('waits for nobody who would write into a FIFO in the place of a file', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    await store.swap('r', text('1'), undefined);
    const [incarnation] = readdirSync(join(path, 'r~'));
    const [value] = readdirSync(join(path, 'r~', incarnation!));
    rmSync(join(path, 'r~', incarnation!, value!));
    for (const fifo of ['a', join('r~', incarnation!, value!)]) execFileSync('mkfifo', [join(path, fifo)]);
    expect(await rejection(store.get('a'))).toBe('STORE_NOT_FOUND');
    expect(await rejection(store.read('r'))).toBe('FORMAT_DAMAGED');
  });

  it('takes a link that leads to itself for nothing, which can be deleted', async () => {
    const path = scratchDirectory();
    const store = await openFsStore(path);
    symlinkSync(join(path, 'a'), join(path, 'a'));
    expect(await rejection(store.get('a'))).toBe('STORE_NOT_FOUND');
    expect(await store.size('a')).toBeUndefined();
    await store.delete('a');
    expect(readdirSync(path)).not.toContain('a');
  });

  it('says that all of it must lie in one file system', async () => {
    const path = mounted('2m', 'packs');
    const store = await openFsStore(path);
    expect(await rejection(store.put('packs/a', text('a')))).toBe('STORE_BAD_LOCATION');
    expect(temporaries(path)).toEqual([]);
  });

  it('notices that the disk was unmounted', async () => {
    const path = scratchDirectory();
    mountTmpfs(path, '2m');
    const store = await openFsStore(path);
    await store.put('a', text('a'));
    unmount(path);
    expect(await rejection(store.get('a'))).toBe('STORE_UNREACHABLE');
    expect(await rejection(store.size('a'))).toBe('STORE_UNREACHABLE');
  });
});
