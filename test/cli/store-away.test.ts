// A store that goes away in the middle of a run, and comes back.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { lossyProxy } from '../support/http-peer.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, linesOf, newHoldfast } from './holdfast.ts';

const MIB = 1024 * 1024;
const s3 = await startS3();

type Ended = { readonly status: number | null; readonly stderr: string };

describe.runIf(s3 !== undefined)('a store that is away for longer than a run repeats a request', () => {
  const { endpoint, bucket, credentials, region } = s3 ?? ({} as TestS3);

  /** Runs a verb whose store goes away with the first request that `isLast` says yes to, and is back once that was told. */
  async function through(holdfast: Holdfast, prefix: string, args: readonly string[], isLast: (request: string) => boolean) {
    let state: 'there' | 'away' | 'back' = 'there';
    const proxy = await lossyProxy(endpoint, ({ method, url }) => {
      if (state === 'there' && isLast(`${method} ${url}`)) state = 'away';
      return state === 'away' ? 'lose-request' : 'none';
    });
    const child = holdfast.start(args, { variables: variablesOf(proxy.endpoint, prefix) });
    let stderr = '';
    child.stderr!.on('data', (text: Buffer) => {
      stderr += text.toString();
      if (stderr.includes('is waited for')) state = 'back';
    });
    child.stdin!.end();
    const ended = await new Promise<Ended>((resolve) => child.on('close', (status) => resolve({ status, stderr })));
    return { ...ended, state };
  }

  const variablesOf = (at: string, prefix: string): Record<string, string> => ({
    HOLDFAST_REPO: `s3+${at}/${bucket}/${prefix}`,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_REGION: region,
  });

  it('is waited for by a backup and by a restore, and both say so', async () => {
    const holdfast = newHoldfast();
    const variables = variablesOf(endpoint, 'cli-away');
    holdfast.ok(['init'], { variables });
    const content = seededBytes(20 * MIB, 1);
    holdfast.file('tree/file', content);
    const backup = await through(holdfast, 'cli-away', ['backup', holdfast.path('tree')], (request) =>
      /^PUT .*\/packs\//.test(request),
    );
    expect(backup).toMatchObject({ status: 0, state: 'back' });
    expect(backup.stderr).toMatch(/warning: The store does not answer \(.*\); it is waited for, 5m.* at the most/);
    expect(backup.stderr).toContain('The store answers again');
    const restore = await through(holdfast, 'cli-away', ['restore', 'latest', '--target', holdfast.path('out')], (request) =>
      /^GET .*\/packs\//.test(request),
    );
    expect(restore).toMatchObject({ status: 0, state: 'back' });
    expect(readFileSync(holdfast.path('out/file')).equals(content)).toBe(true);
    holdfast.ok(['verify', '--full'], { variables });
  }, 120_000);

  it('is not taken for damage where a page answers in its place: a repair takes nothing away', async () => {
    const holdfast = newHoldfast();
    const variables = variablesOf(endpoint, 'cli-page');
    holdfast.ok(['init'], { variables });
    holdfast.file('tree/file', seededBytes(3 * MIB, 2));
    holdfast.ok(['backup', holdfast.path('tree')], { variables });
    // Of the large pack, again and again, as a proxy does that has kept its page; everything else goes through.
    let pack: string | undefined;
    const proxy = await lossyProxy(endpoint, ({ method, url, headers }) => {
      const path = url!.split('?')[0]!;
      const isLarge = method === 'GET' && path.includes('/packs/') && /^bytes=0-\d{7}/.test(headers.range ?? '');
      if (isLarge) pack ??= path;
      return method === 'GET' && path === pack ? 'page' : 'none';
    });
    const child = holdfast.start(['repair', '--json'], { variables: variablesOf(proxy.endpoint, 'cli-page') });
    let stdout = '';
    child.stdout!.on('data', (text: Buffer) => (stdout += text.toString()));
    child.stdin!.end();
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect({ status, last: linesOf(stdout).at(-1) }).toMatchObject({
      status: 1,
      last: { kind: 'error', code: 'STORE_STRANGE_ANSWER', hint: expect.stringContaining('proxy') },
    });
    expect(holdfast.summary(['verify', '--full'], { variables })).toMatchObject({ outcome: 'clean' });
  }, 120_000);
});
