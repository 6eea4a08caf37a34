// The NBD export, as real clients see it.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { hasCommand } from '../files/scratch.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const HOLDFAST = resolve(import.meta.dirname, '../../bin/holdfast');
const hasClients = ['nbdinfo', 'nbdcopy', 'qemu-img'].every(hasCommand);
if (!hasClients) {
  if (process.env.CI === 'true') throw new Error('NBD clients are missing: apt-get install libnbd-bin qemu-utils');
  console.log('SKIPPED: tests of the NBD export need nbdinfo, nbdcopy and qemu-img (libnbd-bin, qemu-utils)');
}

function scene(): { readonly scratch: string; readonly run: (...args: string[]) => string; readonly env: NodeJS.ProcessEnv } {
  const scratch = scratchDirectory();
  fs.writeFileSync(join(scratch, 'passphrase'), 'secret\n');
  const env = {
    ...process.env,
    HOLDFAST_REPO: join(scratch, 'repository'),
    HOLDFAST_PASSPHRASE_FILE: join(scratch, 'passphrase'),
    HOLDFAST_CACHE_DIR: join(scratch, 'cache'),
  };
  const run = (...args: string[]) => execFileSync(HOLDFAST, args, { env, encoding: 'utf8' });
  run('init');
  return { scratch, run, env };
}

/** Starts an export on a socket and answers when it listens. */
async function serve(
  env: NodeJS.ProcessEnv,
  socket: string,
  ...args: string[]
): Promise<{ readonly child: ChildProcess; readonly lines: string[] }> {
  const child = spawn(HOLDFAST, ['export', 'latest', '--socket', socket, '--json', ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout! });
  const listening = new Promise<void>((done) => {
    reader.on('line', (line) => {
      lines.push(line);
      if (line.includes('"listening"')) done();
    });
  });
  await Promise.race([listening, once(child, 'exit').then(() => expect.fail('the export ended'))]);
  return { child, lines };
}

function image(path: string): Buffer {
  const bytes = Buffer.alloc(24 * 1024 * 1024 + 512);
  seededBytes(3_000_000, 1).forEach((byte, i) => {
    bytes[5_000_000 + i] = byte;
  });
  bytes.set(seededBytes(700, 2), bytes.length - 700);
  fs.writeFileSync(path, bytes);
  return bytes;
}

test.skipIf(!hasClients)('clients read the volume byte for byte, see its holes, and cannot write', async () => {
  const { scratch, run, env } = scene();
  const source = join(scratch, 'disk.img');
  const bytes = image(source);
  run('backup', source);
  const socket = join(scratch, 'nbd.sock');
  const { child } = await serve(env, socket);
  const uri = `nbd+unix:///?socket=${socket}`;
  const info = JSON.parse(execFileSync('nbdinfo', ['--json', uri], { encoding: 'utf8' }));
  expect(info.exports[0]).toMatchObject({ 'export-size': bytes.length, is_read_only: true });
  const map = JSON.parse(execFileSync('nbdinfo', ['--map', '--json', uri], { encoding: 'utf8' })) as {
    offset: number;
    length: number;
    type: number;
  }[];
  expect(map.reduce((sum, { length }) => sum + length, 0)).toBe(bytes.length);
  expect(map.filter(({ type }) => type === 3).reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(20 * 1024 * 1024);
  execFileSync('nbdcopy', [uri, join(scratch, 'copy.img')]);
  expect(fs.readFileSync(join(scratch, 'copy.img')).equals(bytes)).toBe(true);
  execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', uri, source]);
  expect(() => execFileSync('nbdcopy', [source, uri], { stdio: 'pipe' })).toThrow();
  child.kill('SIGINT');
  const [status] = await once(child, 'exit');
  expect([0, 130]).toContain(status);
  expect(fs.existsSync(socket)).toBe(false);
});

test.skipIf(!hasClients)('one file of a tree can be exported, cut by content or by position', async () => {
  const { scratch, run, env } = scene();
  fs.mkdirSync(join(scratch, 'tree'));
  fs.writeFileSync(join(scratch, 'tree/by-content'), seededBytes(20 * 1024 * 1024 + 7, 3));
  fs.writeFileSync(join(scratch, 'tree/small'), seededBytes(4096, 4));
  run('backup', join(scratch, 'tree'));
  for (const name of ['by-content', 'small']) {
    const socket = join(scratch, `${name}.sock`);
    const { child } = await serve(env, socket, '--path', name);
    execFileSync('nbdcopy', [`nbd+unix:///?socket=${socket}`, join(scratch, name)]);
    expect(fs.readFileSync(join(scratch, name)).equals(fs.readFileSync(join(scratch, 'tree', name)))).toBe(true);
    child.kill('SIGINT');
    await once(child, 'exit');
  }
});

test.skipIf(!hasClients)('a damaged block is an i/o error at the client, and the rest is still served', async () => {
  const { scratch, run, env } = scene();
  const source = join(scratch, 'disk.img');
  image(source);
  run('backup', source);
  const packs = execFileSync('find', [join(scratch, 'repository/packs'), '-type', 'f', '-size', '+1000k'], { encoding: 'utf8' })
    .trim()
    .split('\n');
  const fd = fs.openSync(packs[0]!, 'r+');
  fs.writeSync(fd, Buffer.from([1, 2, 3, 4]), 0, 4, 100_000);
  fs.closeSync(fd);
  const socket = join(scratch, 'nbd.sock');
  const { lines } = await serve(env, socket);
  const uri = `nbd+unix:///?socket=${socket}`;
  expect(() => execFileSync('nbdcopy', [uri, 'null:'], { stdio: 'pipe' })).toThrow();
  execFileSync('nbdinfo', ['--map', uri]);
  await expect.poll(() => lines.some((line) => line.includes('FORMAT_DAMAGED'))).toBe(true);
});

test('bytes that are no NBD end that client only', async () => {
  const { scratch, run, env } = scene();
  const source = join(scratch, 'disk.img');
  image(source);
  run('backup', source);
  const socket = join(scratch, 'nbd.sock');
  await serve(env, socket);
  const talk = async (bytes: Uint8Array): Promise<Buffer> => {
    const client = connect(socket);
    const received: Buffer[] = [];
    client.on('data', (data) => received.push(data));
    client.end(bytes);
    await once(client, 'close');
    return Buffer.concat(received);
  };
  for (let seed = 0; seed < 50; seed++) await talk(seededBytes(seed * 7, seed + 10));
  // A proper greeting, then an option of four gigabytes.
  const huge = Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.from('IHAVEOPT'), Buffer.from([0, 0, 0, 7, 255, 255, 255, 255])]);
  await talk(huge);
  expect((await talk(Buffer.from([0, 0, 0, 3]))).subarray(0, 16).toString('latin1')).toBe('NBDMAGICIHAVEOPT');
});
