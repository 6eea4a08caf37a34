// A repository in a bucket with Object Lock, on a real S3 server that keeps no condition in such a bucket.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { LockedBucket } from '../support/locked-bucket.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { until } from '../support/two-sites.ts';
import { newHoldfast } from './holdfast.ts';

const s3 = await startS3();
/** What ops/runbooks/deleted-bucket.md tells to type, in its order. */
const COMMANDS = [
  ...readFileSync(new URL('../../ops/runbooks/deleted-bucket.md', import.meta.url), 'utf8').matchAll(/```sh\n\s*holdfast (.*)\n/g),
].map(([, line]) => line!.split(' '));

describe.runIf(s3 !== undefined)('a repository in a bucket with Object Lock', () => {
  const { endpoint, credentials, region } = s3 ?? ({} as TestS3);
  const at = (bucket: string) => ({
    variables: {
      HOLDFAST_REPO: `s3+${endpoint}/${bucket}/r`,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: region,
    },
  });

  it('is made, written, pruned, proven and restored, where nothing can be deleted', async () => {
    const bucket = await LockedBucket.create(s3!, 'lock-cli', 1);
    const holdfast = newHoldfast();
    const options = at(bucket.name);
    holdfast.ok(['init'], options);
    for (let n = 0; n < 8; n++) holdfast.file(`tree/f${n}`, seededBytes(300_000 + n, n));
    const first = holdfast.summary(['backup', holdfast.path('tree')], options);
    holdfast.file('tree/f3', 'changed');
    holdfast.ok(['backup', holdfast.path('tree')], options);
    holdfast.ok(['forget', first.snapshot as string], options);
    const packs = (await bucket.versions('r/packs/')).length;
    expect(holdfast.summary(['prune', '--max-unused', '0'], options).bytesFreed).toBeGreaterThan(0);
    const kept = await bucket.versions('r/packs/');
    expect(kept.length, 'what prune deleted is kept under its marker').toBeGreaterThanOrEqual(packs);
    expect(kept.some(({ isLatest }) => !isLatest)).toBe(true);
    expect(holdfast.summary(['prune', '--max-unused', '0'], options), 'and is not tried again').toMatchObject({ bytesFreed: 0 });
    expect(holdfast.summary(['verify', '--full'], options)).toMatchObject({ outcome: 'clean', snapshots: 1 });
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out'), '--verify'], options);
    expect(readFileSync(holdfast.path('out/f7')).equals(seededBytes(300_007, 7))).toBe(true);
    expect(holdfast.fault(['init'], options)).toMatchObject({ code: 'FORMAT_REPOSITORY_EXISTS' });
    bucket.close();
  });

  it('is locked for as long as its recovery points are promised, anew only where that is needed', async () => {
    const bucket = await LockedBucket.create(s3!, 'lock-days');
    const holdfast = newHoldfast();
    const options = at(bucket.name);
    holdfast.ok(['init'], options);
    holdfast.file('tree/f', seededBytes(200_000, 1));
    const first = holdfast.summary(['backup', holdfast.path('tree')], options);
    const locked = holdfast.summary(['lock', '--days', '1'], options);
    expect(locked).toMatchObject({ missing: 0, bucketDays: 0 });
    const again = holdfast.summary(['lock', '--days', '1'], options);
    expect(again.locked, 'the head alone').toBe(1);
    expect(again.skipped).toBeGreaterThan(2);
    // Younger ones use what is old: it is locked for their days, too.
    holdfast.file('tree/g', seededBytes(100_000, 2));
    holdfast.ok(['backup', holdfast.path('tree')], options);
    holdfast.ok(['forget', first.snapshot as string], options);
    const more = holdfast.summary(['lock', '--days', '1'], options);
    expect(more.locked).toBeGreaterThan(3);
    expect(more.locked).toBeLessThan(locked.locked as number);
    expect(holdfast.summary(['lock', '--days', '3', '--requests', '200'], options).locked).toBeGreaterThan(more.locked as number);
    const refused = await Promise.all(
      (await bucket.versions('r/'))
        .filter(({ key, isLatest }) => isLatest && !/probe|condemned/.test(key))
        .map(async ({ key, versionId }) => ({ key, isDeleted: await bucket.delete(key, versionId) })),
    );
    expect(refused.filter(({ isDeleted }) => isDeleted)).toEqual([]);
    expect(refused.length).toBeGreaterThan(6);
    bucket.close();
  });

  it('comes back whole when somebody with the credentials of the store deletes and overwrites everything', async () => {
    const bucket = await LockedBucket.create(s3!, 'lock-attack', 1);
    const holdfast = newHoldfast();
    const options = at(bucket.name);
    holdfast.ok(['init'], options);
    for (let n = 0; n < 5; n++) holdfast.file(`tree/f${n}`, seededBytes(200_000 + n, n));
    const old = holdfast.summary(['backup', holdfast.path('tree')], options);
    holdfast.file('tree/f1', 'changed');
    holdfast.ok(['backup', holdfast.path('tree')], options);
    holdfast.ok(['forget', old.snapshot as string], options);
    holdfast.ok(['prune', '--max-unused', '0'], options);
    expect(COMMANDS, 'of the runbook').toHaveLength(4);
    const [lock, look, bringBack, prove] = COMMANDS as [string[], string[], string[], string[]];
    holdfast.ok(lock, options);
    const before = await bucket.versions('r/');
    const live = before.filter(({ isLatest }) => isLatest);
    expect(await Promise.all(before.map(({ key, versionId }) => bucket.delete(key, versionId)))).toEqual(before.map(() => false));
    for (const [i, { key, sizeBytes }] of live.entries()) {
      if (i % 3 !== 1) await bucket.delete(key);
      // The same length: nothing but its bytes tells.
      if (i % 3 !== 0) await bucket.overwrite(key, seededBytes(sizeBytes, i));
    }
    const planned = holdfast.summary(look, options);
    const report = holdfast.summary(bringBack, options);
    expect(report).toMatchObject({ lost: 0, returned: planned.returned });
    expect(report.returned).toBeGreaterThan(5);
    expect(holdfast.summary(['undelete'], options), 'again: nothing is left to do').toMatchObject({ returned: 0, lost: 0 });
    expect(holdfast.summary(prove, options)).toMatchObject({ outcome: 'clean', snapshots: 1 });
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out'), '--verify'], options);
    expect(readFileSync(holdfast.path('out/f1'), 'utf8')).toBe('changed');
    for (const n of [0, 2, 3, 4]) expect(readFileSync(holdfast.path(`out/f${n}`)).equals(seededBytes(200_000 + n, n))).toBe(true);
    holdfast.ok(['backup', holdfast.path('tree')], options);
    expect(holdfast.summary(['lock', '--days', '1'], options)).toMatchObject({ missing: 0 });
    bucket.close();
  });

  it('keeps a replica that is locked by itself, whatever lies at the source', async () => {
    const bucket = await LockedBucket.create(s3!, 'lock-replica', 1);
    const holdfast = newHoldfast();
    const { HOLDFAST_REPO: replica, ...credentialsOnly } = at(bucket.name).variables;
    holdfast.ok(['init']);
    holdfast.file('tree/f', seededBytes(200_000, 1));
    holdfast.ok(['backup', holdfast.path('tree')]);
    const copied = holdfast.lines(['replica', 'run', '--once', '--to', replica, '--lock-days', '2'], {
      variables: credentialsOnly,
    });
    const lock = copied.find(({ kind }) => kind === 'lock');
    expect(lock).toMatchObject({ missing: 0 });
    expect(lock?.locked).toBeGreaterThan(4);
    expect(holdfast.summary(['lock', '--days', '2', '--all'], at(bucket.name))).toMatchObject({ missing: 0 });
    const packs = await bucket.versions('r/packs/');
    expect(packs.length).toBeGreaterThan(0);
    for (const { key, versionId } of packs) expect(await bucket.delete(key, versionId)).toBe(false);
    bucket.close();
  });

  it('is kept locked by the daemon of its site', async () => {
    const bucket = await LockedBucket.create(s3!, 'lock-site');
    const holdfast = newHoldfast();
    const options = at(bucket.name);
    holdfast.ok(['init'], options);
    holdfast.file('tree/f', seededBytes(200_000, 1));
    holdfast.ok(['backup', holdfast.path('tree')], options);
    const state = holdfast.path('state');
    const config = holdfast.path('site.yaml');
    holdfast.ok(['site', 'init', '--site', 'a', '--config', holdfast.path('example.yaml'), '--state', state]);
    const database = {
      asset: 'pg/portal',
      incarnation: 'portal-1',
      dataDirectory: holdfast.path('none yet'),
      programs: holdfast.path('bin'),
      connection: 'host=/nowhere user=postgres',
      repository: { location: options.variables.HOLDFAST_REPO, passphraseFile: holdfast.path('secrets/passphrase') },
      immutability: '2d',
    };
    const registry = { embedded: holdfast.path('registry.db') };
    const site = { site: 'a', listen: '127.0.0.1:0', state, runtime: holdfast.path('run'), registry, databases: [database] };
    holdfast.file('site.yaml', JSON.stringify(site));
    holdfast.start(['site', 'run', '--config', config], options);
    const marks = holdfast.path('state/locks');
    const file = (): string | undefined =>
      existsSync(marks) ? readdirSync(marks).find((name) => name.endsWith('.json')) : undefined;
    // Last of all.
    const isWhole = (): boolean => file() !== undefined && readFileSync(join(marks, file()!), 'utf8').includes('"repository"');
    await until('a whole run of locks', isWhole);
    const live = (await bucket.versions('r/')).filter(({ key, isLatest }) => isLatest && !key.includes('probe'));
    expect(live.length).toBeGreaterThan(4);
    for (const { key, versionId } of live)
      expect({ key, isDeleted: await bucket.delete(key, versionId) }).toEqual({ key, isDeleted: false });
    bucket.close();
  });
});
