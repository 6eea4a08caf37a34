import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import type { StoreEvent } from '../../src/store/object-store.ts';
import { openStore } from '../../src/store/open.ts';
import { httpPeer, s3Error } from '../support/http-peer.ts';
import { instantTiming } from '../support/instant-timing.ts';
import { scratchDirectory } from '../support/scratch.ts';

it('opens a directory, and makes it only when asked', async () => {
  const path = join(scratchDirectory(), 'new');
  await expect(openStore(path)).rejects.toMatchObject({ code: 'STORE_BUCKET_MISSING' });
  const store = await openStore(path, { create: true });
  await store.put('a', new Uint8Array(3));
  expect(store.localPath?.('a')).toBe(join(path, 'a'));
  expect(await (await openStore(path)).size('a')).toBe(3);
});

it('refuses a location that is none, and a bucket without credentials', async () => {
  await expect(openStore('ftp://host/x')).rejects.toMatchObject({ code: 'STORE_BAD_LOCATION' });
  await expect(openStore('s3+http://host/bucket')).rejects.toMatchObject({
    code: 'STORE_DENIED',
    hint: expect.stringContaining('AWS_ACCESS_KEY_ID'),
  });
});

it('repeats the attempts of an S3 store, and reports each', async () => {
  const events: StoreEvent[] = [];
  let calls = 0;
  const peer = await httpPeer((_, __, outgoing) => {
    if (++calls < 4) return s3Error(outgoing, 503, 'SlowDown');
    outgoing.writeHead(200, { etag: '"e"', 'content-length': 0 }).end();
  });
  const store = await openStore(`s3+${peer.endpoint}/bucket/prefix`, {
    credentials: { accessKeyId: 'AK', secretAccessKey: 'SK' },
    onEvent: (event) => events.push(event),
    limits: { concurrency: 2 },
    timing: instantTiming(),
  });
  onTestFinished(() => store.close());
  expect(await store.put('a', new Uint8Array(3))).toBe('created');
  expect(events.map(({ verb, fault }) => fault?.code ?? verb)).toEqual([
    'STORE_THROTTLED',
    'STORE_THROTTLED',
    'STORE_THROTTLED',
    'put',
  ]);
  expect(peer.requests[0]).toBe('PUT /bucket/prefix/a');
});

it('does not load the AWS SDK for a directory', () => {
  const open = fileURLToPath(new URL('../../src/store/open.ts', import.meta.url));
  const script = `
    const { openStore } = await import(${JSON.stringify(open)});
    const store = await openStore(${JSON.stringify(scratchDirectory())});
    await store.put('a', new Uint8Array(1));
    const { registerHooks } = await import('node:module');
    let loaded = false;
    registerHooks({ resolve: (name, context, next) => { loaded ||= name.includes('client-s3'); return next(name, context); } });
    await import(${JSON.stringify(open.replace('open.ts', 's3-store.ts'))});
    console.log(loaded ? 'only now' : 'before');`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect([stdout.trim(), stderr]).toEqual(['only now', '']);
});
