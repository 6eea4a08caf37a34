// What a bucket that keeps versions can do besides: tell the versions of an object in their order, and lock them.
//
// The order is what everything rests on that is written in such a bucket (s3-register.ts). It is read from the answer's own XML, because
// the SDK sorts versions and delete markers into two lists and so loses how they lie between each other.

import {
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import { Fault } from '../base/faults.ts';
import { abort, type S3Bucket } from './s3-bucket.ts';
import { s3ErrorCode, s3Fault, statusOf } from './s3-faults.ts';

const DAYS_OF_YEAR = 365;
/** Nearly all names have one or two. */
const FIRST_PAGE = 20;
const PAGE_MAX = 1_000;

/** `days`: of retention by default in compliance mode; of others somebody may be excepted. */
export type ObjectLock = { readonly days: number };

/** `isMarker`: nothing but the word that what is older was deleted. */
export type S3Version = {
  readonly versionId: string;
  readonly isMarker: boolean;
  readonly sizeBytes: number;
  readonly etag: string;
};

/** Undefined: there is none, or nobody can count on it. */
export async function objectLockOf(bucket: S3Bucket, signal: AbortSignal | undefined): Promise<ObjectLock | undefined> {
  try {
    const answer = await bucket.run(signal, (client, Bucket) =>
      client.send(new GetObjectLockConfigurationCommand({ Bucket }), abort(signal)),
    );
    const { ObjectLockEnabled, Rule } = answer.ObjectLockConfiguration ?? {};
    if (ObjectLockEnabled !== 'Enabled') return undefined;
    const { Mode, Days = 0, Years = 0 } = Rule?.DefaultRetention ?? {};
    return { days: Mode === 'COMPLIANCE' ? Days + Years * DAYS_OF_YEAR : 0 };
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const fault = s3Fault(error, 'look at Object Lock of the bucket');
    if (statusOf(error) === undefined || fault.code === 'STORE_BUCKET_MISSING') throw fault;
    // A passing trouble is no answer. "None", "never heard of it" (501) and "you may not ask" all mean that nobody can count on
    // it.
    if (fault.retry === 'later' && (statusOf(error) ?? 0) !== 501) throw fault;
    return undefined;
  }
}

/** Versions and delete markers of exactly this name, the newest first. */
export async function* versionsOf(bucket: S3Bucket, name: string, signal: AbortSignal | undefined): AsyncGenerator<S3Version> {
  let after: Place | undefined;
  do {
    const page: Page = await versionPage(bucket, name, after, signal);
    for (const { key, ...version } of page.entries) {
      // Longer names come after the name itself.
      if (key !== name) return;
      yield version;
    }
    after = page.next;
  } while (after !== undefined);
}

/** All below a prefix, in the order of their names. */
export async function* versionsBelow(
  bucket: S3Bucket,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<S3Version & { readonly key: string }> {
  let after: Place | undefined;
  do {
    const page: Page = await versionPage(bucket, prefix, after, signal);
    yield* page.entries;
    after = page.next;
  } while (after !== undefined);
}

type Place = { readonly key: string; readonly versionId: string };
type Entry = S3Version & { readonly key: string };
type Page = { readonly entries: readonly Entry[]; readonly next: Place | undefined };

async function versionPage(
  bucket: S3Bucket,
  prefix: string,
  after: Place | undefined,
  signal: AbortSignal | undefined,
): Promise<Page> {
  const what = `list the versions of ${prefix}`;
  const corrupt = (why: string): Fault => new Fault('STORE_CORRUPT_ANSWER', `${what}: ${why}`);
  let order: readonly Ordered[] | undefined;
  const command = (Bucket: string): ListObjectVersionsCommand => {
    const made = new ListObjectVersionsCommand({
      Bucket,
      Prefix: prefix,
      MaxKeys: after === undefined ? FIRST_PAGE : PAGE_MAX,
      ...(after && { KeyMarker: after.key, VersionIdMarker: after.versionId }),
    });
    made.middlewareStack.addRelativeTo(
      ((next: (args: unknown) => Promise<{ readonly response: unknown }>) => async (args: unknown) => {
        const result = await next(args);
        const response = result.response as { body: AsyncIterable<Uint8Array> };
        const chunks: Uint8Array[] = [];
        for await (const chunk of response.body) chunks.push(chunk);
        const body = Buffer.concat(chunks);
        order = orderIn(body.toString('utf8'));
        response.body = body as unknown as AsyncIterable<Uint8Array>;
        return result;
      }) as Parameters<typeof made.middlewareStack.addRelativeTo>[0],
      { relation: 'after', toMiddleware: 'deserializerMiddleware', name: 'versionOrder' },
    );
    return made;
  };
  try {
    const answer = await bucket.run(signal, (client, Bucket) => client.send(command(Bucket), abort(signal)));
    if (answer.IsTruncated === undefined) throw new Fault('STORE_STRANGE_ANSWER', `${what}: the answer is no listing`);
    const known = new Map((answer.Versions ?? []).map((one) => [`${one.Key} ${one.VersionId}`, one]));
    const count = known.size + (answer.DeleteMarkers ?? []).length;
    if (order === undefined || order.length !== count) throw corrupt(`${order?.length} of ${count} versions have a place`);
    const entries = order.map(({ key, versionId, isMarker }): Entry => {
      const one = known.get(`${key} ${versionId}`);
      if ((one === undefined) !== isMarker) throw corrupt('its order cannot be read');
      return { key, versionId, isMarker, sizeBytes: one?.Size ?? 0, etag: one?.ETag ?? '' };
    });
    if (!entries.every(({ key }) => key.startsWith(prefix))) throw corrupt('it lists what was not asked for');
    if (!answer.IsTruncated) return { entries, next: undefined };
    const { NextKeyMarker: key, NextVersionIdMarker: versionId } = answer;
    if (!key || versionId === undefined || (key === after?.key && versionId === after.versionId))
      throw corrupt('the answer goes on but does not say where');
    return { entries, next: { key, versionId } };
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw s3Fault(error, what);
  }
}

type Ordered = { readonly key: string; readonly versionId: string; readonly isMarker: boolean };

/** Our names hold nothing that XML would write in another way. */
function orderIn(xml: string): Ordered[] {
  const field = (text: string, name: string): string => new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? '';
  return [...xml.matchAll(/<(Version|DeleteMarker)>(.*?)<\/\1>/gs)].map(([, kind, text]) => ({
    key: field(text!, 'Key'),
    versionId: field(text!, 'VersionId'),
    isMarker: kind === 'DeleteMarker',
  }));
}

/** Until when nobody can delete this version, milliseconds; undefined when somebody can. */
export async function lockedUntil(
  bucket: S3Bucket,
  name: string,
  versionId: string,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  try {
    const { Retention } = await bucket.run(signal, (client, Bucket) =>
      client.send(new GetObjectRetentionCommand({ Bucket, Key: name, VersionId: versionId }), abort(signal)),
    );
    return Retention?.Mode === 'COMPLIANCE' ? Retention.RetainUntilDate?.getTime() : undefined;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const code = s3ErrorCode(error);
    if (code === 'ObjectLockConfigurationNotFoundError' || code === 'NoSuchObjectLockConfiguration') return undefined;
    throw s3Fault(error, `ask for the lock of ${name}`);
  }
}

/** Nobody can delete this version before that moment any more. A longer lock stays. */
export async function lockUntil(
  bucket: S3Bucket,
  name: string,
  versionId: string,
  untilMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const Retention = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(untilMs) } as const;
    await bucket.run(signal, (client, Bucket) =>
      client.send(new PutObjectRetentionCommand({ Bucket, Key: name, VersionId: versionId, Retention }), abort(signal)),
    );
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    // Refused as well when it would be shorter.
    if (statusOf(error) === 403 && ((await lockedUntil(bucket, name, versionId, signal).catch(() => undefined)) ?? 0) >= untilMs)
      return;
    if (s3ErrorCode(error) === 'InvalidRequest')
      throw new Fault('STORE_NO_OBJECT_LOCK', `lock ${name}: the bucket was made without Object Lock`, { cause: error });
    throw s3Fault(error, `lock ${name}`);
  }
}
