import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { CreateBucketCommand, PutObjectLockConfigurationCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { RETRY, withRetry } from '../../src/store/retry.ts';
import { openS3Store, type S3StoreOptions } from '../../src/store/s3-store.ts';
import { systemTiming } from '../../src/store/timing.ts';
import { objectStoreConformance } from '../conformance/object-store.ts';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { lossyProxy, type Mischief, type PoorS3, poorS3 } from '../support/http-peer.ts';
import { instantTiming } from '../support/instant-timing.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const s3 = await startS3();

type Changes = Partial<Omit<S3StoreOptions, 'location'>> & {
  readonly endpoint?: string;
  readonly bucket?: string;
  readonly prefix?: string;
};

function open(changes: Changes = {}): ObjectStore {
  const { endpoint, bucket, prefix, ...rest } = changes;
  const at = s3 as TestS3;
  const location = {
    kind: 's3' as const,
    endpoint: endpoint ?? at.endpoint,
    bucket: bucket ?? at.bucket,
    prefix: prefix ?? freshPrefix(),
  };
  return openS3Store({ location, credentials: at.credentials, region: at.region, ...rest });
}

const freshPrefix = () => `test-${randomBytes(4).toString('hex')}`;
const text = (string: string) => new TextEncoder().encode(string);
const code = async (promise: Promise<unknown>): Promise<string> => {
  try {
    return `no fault but ${JSON.stringify(await promise)}`;
  } catch (error) {
    return isFault(error) ? error.code : `not a fault: ${error}`;
  }
};
const listed = async (store: ObjectStore) => {
  for await (const page of store.list('')) return page;
};

objectStoreConformance('a bucket of Ceph RGW', {
  skip: s3 === undefined,
  open: async () => {
    const prefix = freshPrefix();
    const [store, other] = [open({ prefix }), open({ prefix })];
    const cleanUp = async () => {
      await store.close();
      await other.close();
    };
    return { store, other, cleanUp };
  },
});

objectStoreConformance('a bucket of Ceph RGW with Object Lock', {
  skip: s3 === undefined,
  brief: true,
  open: async () => {
    const prefix = freshPrefix();
    const bucket = (s3 as TestS3).lockBucket;
    const [store, other] = [open({ bucket, prefix }), open({ bucket, prefix })];
    const cleanUp = async () => {
      await store.close();
      await other.close();
    };
    return { store, other, cleanUp };
  },
});

describe.skipIf(s3 === undefined)('an S3 store, against Ceph RGW', () => {
  const allVerbs = async (store: ObjectStore) => ({
    put: await code(store.put('k', text('x'))),
    get: await code(store.get('k')),
    size: await code(store.size('k')),
    list: await code(listed(store)),
    read: await code(store.read('k')),
    swap: await code(store.swap('k', text('x'), undefined)),
    probe: await code(store.probe()),
    delete: await code(store.delete('k')),
  });
  const each = (expected: string) =>
    Object.fromEntries(['put', 'get', 'size', 'list', 'read', 'swap', 'probe', 'delete'].map((verb) => [verb, expected]));

  it('says that the bucket is missing', async () => {
    expect(await allVerbs(open({ bucket: 'no-such-bucket' }))).toEqual(each('STORE_BUCKET_MISSING'));
  });

  it('says that the bucket is not ours', async () => {
    expect(await allVerbs(open({ credentials: (s3 as TestS3).stranger }))).toEqual(each('STORE_DENIED'));
  });

  it('says that the key or the secret is wrong', async () => {
    const { credentials } = s3 as TestS3;
    expect(await allVerbs(open({ credentials: { ...credentials, secretAccessKey: 'wrong' } }))).toEqual(each('STORE_DENIED'));
    expect(await allVerbs(open({ credentials: { ...credentials, accessKeyId: 'WRONG' } }))).toEqual(each('STORE_DENIED'));
  });

  it('says that the quota is used up', async () => {
    const { bucket, ...credentials } = (s3 as TestS3).pauper;
    const store = open({ bucket, credentials });
    await store.put('first', seededBytes(600_000, 1));
    expect(await code(store.put('second', seededBytes(600_000, 2)))).toBe('STORE_FULL');
    expect(await store.size('second')).toBeUndefined();
    await store.delete('first');
  });

  it('says for how long nobody can delete what a bucket locks, and that others lock nothing', async () => {
    const { endpoint, region, credentials } = s3 as TestS3;
    const client = new S3Client({ endpoint, region, credentials: { ...credentials }, forcePathStyle: true });
    onTestFinished(() => client.destroy());
    const Bucket = `${freshPrefix()}-locked`;
    await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
    const lockedForMs = async (Mode?: 'COMPLIANCE' | 'GOVERNANCE'): Promise<number | undefined> => {
      if (Mode !== undefined) {
        const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: { Mode, Days: 35 } } } as const;
        await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
      }
      return withRetry(open({ bucket: Bucket }), RETRY, systemTiming).lockedForMs?.();
    };
    expect(await lockedForMs(), 'a lock that nothing gets by itself').toBe(0);
    expect(await lockedForMs('GOVERNANCE'), 'some may delete nevertheless').toBe(0);
    expect(await lockedForMs('COMPLIANCE')).toBe(35 * 86_400_000);
    expect(await open().lockedForMs?.()).toBe(0);
  });

  it('says that a bucket has no Object Lock', async () => {
    expect((await open().probe()).objectLock).toBe('unavailable');
  });

  it('takes the clock of the store when ours is wrong', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * 3_600_000 });
    onTestFinished(() => void vi.useRealTimers());
    const store = open();
    await store.put('a', text('x'));
    expect(await store.size('a')).toBe(1);
  });

  it('has an upload refused whose bytes are not those of the digest', async () => {
    const store = open();
    expect(await code(store.put('a', text('bytes'), { sha256: new Uint8Array(32) }))).toBe('STORE_CORRUPT_UPLOAD');
    expect(await store.size('a')).toBeUndefined();
  });

  it('keeps no half of an object whose upload was aborted', async () => {
    const store = open();
    for (let turns = 1; turns < 200; turns *= 3) {
      const controller = new AbortController();
      const put = code(store.put(`a-${turns}`, new Uint8Array(4_000_000), { signal: controller.signal }));
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      controller.abort();
      await put;
      expect([undefined, 4_000_000]).toContain(await store.size(`a-${turns}`));
    }
  });
});

describe.skipIf(s3 === undefined)('an S3 store behind a network that loses things', () => {
  const through = async (decide: () => Mischief, prefix: string) => {
    const proxy = await lossyProxy((s3 as TestS3).endpoint, decide);
    return open({ endpoint: proxy.endpoint, prefix });
  };
  /** Does one thing to the next request, and nothing to those after it. */
  const once = async (mischief: Mischief, prefix = freshPrefix()) => {
    let next: Mischief = mischief;
    return through(() => {
      const now = next;
      next = 'none';
      return now;
    }, prefix);
  };

  it('knows that a swap took place though its answer was lost', async () => {
    const prefix = freshPrefix();
    const result = await (await once('lose-answer', prefix)).swap('r', text('one'), undefined);
    const now = await open({ prefix }).read('r');
    expect(result).toEqual({ version: now?.version });
  });

  it('knows that a swap took place though it was repeated on the way and refused the second time', async () => {
    const prefix = freshPrefix();
    const result = await (await once('repeat', prefix)).swap('r', text('one'), undefined);
    expect(result).toEqual({ version: (await open({ prefix }).read('r'))?.version });
  });

  it('does not call a swap won or lost whose request never arrived, and repeats it rightly', async () => {
    const store = await once('lose-request');
    expect(await code(store.swap('r', text('one'), undefined))).toBe('STORE_UNREACHABLE');
    expect(await store.swap('r', text('one'), undefined)).not.toBe('conflict');
  });

  it('puts once, whatever happens to request and answer', async () => {
    for (const mischief of ['lose-answer', 'lose-request', 'repeat'] as const) {
      const store = await once(mischief);
      const retried = withRetry(store, { attemptsMax: 3, baseMs: 1, capMs: 1, totalMs: 1e9 }, instantTiming());
      expect(['created', 'exists']).toContain(await retried.put('a', text('bytes')));
      expect(Buffer.from(await store.get('a')).toString()).toBe('bytes');
    }
  });

  it('has a flipped bit refused on the way up', async () => {
    const store = await once('flip-request');
    expect(await code(store.put('a', seededBytes(100_000, 1)))).toBe('STORE_CORRUPT_UPLOAD');
    expect(await store.size('a')).toBeUndefined();
  });

  it('notices a cut answer, and a flipped bit in a register', async () => {
    const prefix = freshPrefix();
    const writer = open({ prefix });
    await writer.put('a', seededBytes(100_000, 1));
    await writer.swap('r', text('a value that matters'), undefined);
    expect(await code((await once('cut-answer', prefix)).get('a'))).toBe('STORE_CORRUPT_ANSWER');
    expect(await code((await once('flip-answer', prefix)).read('r'))).toBe('STORE_CORRUPT_ANSWER');
  });

  it('counts right when four count at once and a third of all requests goes wrong', async () => {
    const prefix = freshPrefix();
    const seed = Date.now() >>> 0;
    const random = seededRandom(seed);
    const wrongs: readonly Mischief[] = ['lose-request', 'lose-answer', 'lose-answer', 'repeat', 'cut-answer'];
    const wrong = () => (random() < 0.33 ? wrongs[Math.floor(random() * wrongs.length)] : 'none');
    const count = async (name: string, times: number) => {
      const store = withRetry(
        await through(wrong, prefix),
        { attemptsMax: 50, baseMs: 1, capMs: 2, totalMs: 1e9 },
        instantTiming(seed),
      );
      for (let done = 0; done < times; ) {
        const now = await store.read('counter');
        const counts = JSON.parse(Buffer.from(now?.bytes ?? text('{}')).toString());
        const next = { ...counts, [name]: (counts[name] ?? 0) + 1, nonce: randomBytes(8).toString('hex') };
        if ((await store.swap('counter', text(JSON.stringify(next)), now?.version)) !== 'conflict') done++;
      }
    };
    await Promise.all(['a', 'b', 'c', 'd'].map((name) => count(name, 12)));
    const counts = JSON.parse(Buffer.from((await open({ prefix }).read('counter'))?.bytes ?? []).toString());
    expect({ ...counts, nonce: undefined, seed }).toEqual({ a: 12, b: 12, c: 12, d: 12, nonce: undefined, seed });
  });
});

describe('a bucket without the conditions that the contract needs', () => {
  const probe = async (poor: PoorS3) => {
    const { endpoint } = await poorS3(poor);
    const location = { kind: 's3' as const, endpoint, bucket: 'bucket', prefix: '' };
    const store = openS3Store({ location, credentials: { accessKeyId: 'AK', secretAccessKey: 'SK' } });
    onTestFinished(() => store.close());
    return { store, result: await code(store.probe()) };
  };

  it.each<[string, PoorS3]>([
    ['ignores If-None-Match', { ifNoneMatch: 'ignored', ifMatch: 'kept' }],
    ['ignores If-Match', { ifNoneMatch: 'kept', ifMatch: 'ignored' }],
    ['does not know conditions', { ifNoneMatch: 'unknown', ifMatch: 'kept' }],
    ['looks first and writes later', { ifNoneMatch: 'kept', ifMatch: 'checked-too-early' }],
    ['refuses every If-Match', { ifNoneMatch: 'kept', ifMatch: 'always-refused' }],
  ])('is refused: one that %s', async (_, poor) => {
    expect((await probe(poor)).result).toBe('STORE_NO_CONDITIONAL_WRITES');
  });

  it.each<[string, PoorS3]>([
    ['with or without quotes', { ifNoneMatch: 'kept', ifMatch: 'kept' }],
    ['only with quotes', { ifNoneMatch: 'kept', ifMatch: 'only-quoted' }],
    ['only without quotes', { ifNoneMatch: 'kept', ifMatch: 'only-unquoted' }],
  ])('is not one that takes ETags %s', async (_, poor) => {
    const { store, result } = await probe(poor);
    expect(result).toBe('no fault but {"conditionalWrites":true,"objectLock":"unavailable"}');
    const first = await store.swap('r', text('one'), undefined);
    expect(await store.swap('r', text('two'), first === 'conflict' ? '' : first.version)).not.toBe('conflict');
    expect(await store.swap('r', text('three'), first === 'conflict' ? '' : first.version)).toBe('conflict');
  });

  it('is not one with Object Lock, which the probe reports', async () => {
    const { result } = await probe({ ifNoneMatch: 'kept', ifMatch: 'kept', objectLock: true });
    expect(result).toBe('no fault but {"conditionalWrites":true,"objectLock":"available"}');
  });

  it('is not there when another program answers on that port', async () => {
    const server = createServer((_, outgoing) => outgoing.end('hello')).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    const address = await new Promise<{ port: number }>((resolve) =>
      server.once('listening', () => resolve(server.address() as { port: number })),
    );
    const location = { kind: 's3' as const, endpoint: `http://127.0.0.1:${address.port}`, bucket: 'bucket', prefix: '' };
    const store = openS3Store({ location, credentials: { accessKeyId: 'AK', secretAccessKey: 'SK' } });
    expect(await code(store.probe())).toBe('STORE_STRANGE_ANSWER');
  });
});
