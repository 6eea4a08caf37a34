// Single requests to one bucket, through the AWS SDK, each answered in full, checked, and with faults in our words.
//
// The SDK signs and parses; the bytes go through our own transport. Every request is sent once: repeating is the business of
// retry.ts. The SHA-256 of a body is computed once (or given) and sent twice: as x-amz-content-sha256, which is part of the
// signature and which every S3 server checks, and as x-amz-checksum-sha256, which newer ones keep. (The SDK's own default, a CRC
// in a trailer, is answered with 411 by Ceph RGW 16.) Nothing is read from the environment or from ~/.aws: every setting that the
// SDK would look up is given.

import { hash } from 'node:crypto';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { Fault } from '../base/faults.ts';
import { Gate } from './gate.ts';
import { s3ErrorCode, s3Fault, statusOf } from './s3-faults.ts';
import type { S3Timeouts } from './s3-timeouts.ts';
import { S3Transport } from './s3-transport.ts';

export type S3Credentials = { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };

export type S3BucketOptions = {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly credentials: S3Credentials;
  readonly timeouts: S3Timeouts;
  /** Requests at a time. */
  readonly concurrency: number;
};

/** `quotes`: HTTP wants ETags in quotes, and so do AWS and newer Ceph; older Ceph RGW compares them without. */
export type S3Condition = { readonly absent: true } | { readonly etag: string; readonly quotes: boolean };

export type S3Object = {
  readonly bytes: Uint8Array;
  readonly etag: string;
  /** Only in a bucket that keeps versions. */
  readonly versionId: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** Size of the whole object. */
  readonly sizeBytes: number;
  /** Where `bytes` begins. */
  readonly start: number;
};

export type S3Page = {
  readonly objects: readonly { readonly name: string; readonly sizeBytes: number }[];
  readonly next: string | undefined;
};

const PAGE_OBJECTS_MAX = 1_000;
/** What a bucket answers whose versions were switched off again: there is one version. */
const NO_VERSION = 'null';

export class S3Bucket {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #gate: Gate;
  readonly #transport: S3Transport;

  constructor(options: S3BucketOptions) {
    this.#bucket = options.bucket;
    this.#gate = new Gate(options.concurrency);
    this.#transport = new S3Transport(options.timeouts);
    this.#client = new S3Client(clientConfig(options, this.#transport));
    // The checksum that comes with a PUT is also the payload hash of its signature.
    const signChecksum = (request: { readonly headers: Record<string, string> }) => {
      const checksum = request.headers['x-amz-checksum-sha256'];
      if (checksum !== undefined) request.headers['x-amz-content-sha256'] = Buffer.from(checksum, 'base64').toString('hex');
    };
    this.#client.middlewareStack.add(
      (next) => (args) => {
        signChecksum(args.request as Parameters<typeof signChecksum>[0]);
        return next(args);
      },
      { step: 'build', name: 'signChecksum' },
    );
  }

  /** Writes an object in one request if the condition holds, if there is one; 'refused' when it does not. */
  async put(
    name: string,
    bytes: Uint8Array,
    condition: S3Condition | undefined,
    extra: { readonly sha256?: Uint8Array | undefined; readonly metadata?: Record<string, string> },
    signal: AbortSignal | undefined,
  ): Promise<{ readonly etag: string; readonly versionId: string | undefined } | 'refused'> {
    const what = this.#what('put', name);
    const digest = extra.sha256 === undefined ? hash('sha256', bytes, 'base64') : Buffer.from(extra.sha256).toString('base64');
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: name,
      Body: bytes,
      ContentLength: bytes.length,
      ChecksumSHA256: digest,
      ...headersOf(condition),
      ...(extra.metadata && { Metadata: extra.metadata }),
    });
    try {
      const answer = await this.#send(signal, () => this.#client.send(command, abort(signal)));
      // A 200 without ETag is somebody's page or an error that came too late for the status.
      if (!answer.ETag) throw new Fault('STORE_STRANGE_ANSWER', `${what}: the store answered 200 without an ETag`);
      return { etag: answer.ETag, versionId: versionOf(answer.VersionId) };
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (statusOf(error) === 412) return 'refused';
      if (condition !== undefined && 'etag' in condition && s3ErrorCode(error) === 'NoSuchKey') return 'refused';
      if (statusOf(error) === 501)
        throw new Fault('STORE_NO_CONDITIONAL_WRITES', `${what}: the store does not know conditions`, { cause: error });
      throw s3Fault(error, what);
    }
  }

  /** Reads an object, or the range of it that is given in HTTP's words ("0-99", "-100"). An empty answer when the range lies past the
   *  end, undefined when the store definitely has no object of that name. Without `versionId`: the newest version. */
  async get(
    name: string,
    range: string | undefined,
    signal: AbortSignal | undefined,
    versionId?: string,
  ): Promise<S3Object | undefined> {
    const what = this.#what('get', name);
    const command = new GetObjectCommand({
      Bucket: this.#bucket,
      Key: name,
      ...(range !== undefined && { Range: `bytes=${range}` }),
      ...(versionId !== undefined && { VersionId: versionId }),
    });
    try {
      const answer = await this.#send(signal, () => this.#client.send(command, abort(signal)));
      const bytes = await onlyChunk(answer.Body as AsyncIterable<Uint8Array> | undefined);
      if (!answer.ETag) throw new Fault('STORE_STRANGE_ANSWER', `${what}: the answer is no object of an S3 store: it has no ETag`);
      const place = contentRange(answer.ContentRange);
      const asked =
        range === undefined
          ? answer.$metadata.httpStatusCode === 200
          : answer.$metadata.httpStatusCode === 206 && place !== undefined;
      const start = place?.start ?? 0;
      const sizeBytes = place?.sizeBytes ?? answer.ContentLength ?? bytes.length;
      const whole = place === undefined ? sizeBytes : place.end - place.start + 1;
      if (!asked || bytes.length !== whole) {
        throw new Fault(
          'STORE_CORRUPT_ANSWER',
          `${what}: asked for ${range ?? 'all'}, got ${bytes.length} bytes (${answer.ContentRange ?? 'no range'})`,
        );
      }
      return {
        bytes,
        etag: answer.ETag,
        versionId: versionOf(answer.VersionId),
        metadata: answer.Metadata ?? {},
        sizeBytes,
        start,
      };
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (s3ErrorCode(error) === 'NoSuchKey' || s3ErrorCode(error) === 'NoSuchVersion') return undefined;
      if (s3ErrorCode(error) === 'InvalidRange')
        return { bytes: new Uint8Array(0), etag: '', versionId: undefined, metadata: {}, sizeBytes: 0, start: 0 };
      throw s3Fault(error, what);
    }
  }

  /** In a bucket that keeps versions this only hides them; one that is named is deleted for good. */
  async delete(name: string, signal: AbortSignal | undefined, versionId?: string): Promise<void> {
    try {
      const command = new DeleteObjectCommand({
        Bucket: this.#bucket,
        Key: name,
        ...(versionId !== undefined && { VersionId: versionId }),
      });
      await this.#send(signal, () => this.#client.send(command, abort(signal)));
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (s3ErrorCode(error) !== 'NoSuchKey') throw s3Fault(error, this.#what('delete', name));
    }
  }

  async page(prefix: string, token: string | undefined, signal: AbortSignal | undefined): Promise<S3Page> {
    const what = this.#what('list', prefix);
    const corrupt = (why: string) => new Fault('STORE_CORRUPT_ANSWER', `${what}: ${why}`);
    const command = new ListObjectsV2Command({
      Bucket: this.#bucket,
      Prefix: prefix,
      MaxKeys: PAGE_OBJECTS_MAX,
      ...(token !== undefined && { ContinuationToken: token }),
    });
    try {
      const answer = await this.#send(signal, () => this.#client.send(command, abort(signal)));
      const objects = (answer.Contents ?? []).map(({ Key, Size }) => ({ name: Key ?? '', sizeBytes: Size ?? -1 }));
      if (answer.IsTruncated === undefined) throw new Fault('STORE_STRANGE_ANSWER', `${what}: the answer is no listing`);
      if (answer.KeyCount !== undefined && answer.KeyCount !== objects.length)
        throw corrupt(`${objects.length} of ${answer.KeyCount} keys`);
      if (!objects.every(({ name, sizeBytes }) => name.startsWith(prefix) && sizeBytes >= 0))
        throw corrupt('it lists what was not asked for');
      if (!answer.IsTruncated) return { objects, next: undefined };
      const next = answer.NextContinuationToken;
      if (!next || next === token) throw corrupt('the answer goes on but does not say where');
      return { objects, next };
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw s3Fault(error, what);
    }
  }

  /** A request of another module; what it throws is an error of the SDK, or of the signal. */
  run<T>(signal: AbortSignal | undefined, request: (client: S3Client, bucket: string) => Promise<T>): Promise<T> {
    return this.#send(signal, () => request(this.#client, this.#bucket));
  }

  destroy(): void {
    this.#client.destroy();
    this.#transport.destroy();
  }

  #what(verb: string, name: string): string {
    return `${verb} ${this.#bucket}/${name}`;
  }

  #send<T>(signal: AbortSignal | undefined, send: () => Promise<T>): Promise<T> {
    return this.#gate.pass(signal, async () => {
      try {
        return await send();
      } catch (error) {
        // The SDK has just learnt from the answer by how much our clock is off, and signs right from now on.
        const corrected = (error as { $metadata?: { clockSkewCorrected?: boolean } } | undefined)?.$metadata?.clockSkewCorrected;
        if (!corrected || s3ErrorCode(error) !== 'RequestTimeTooSkewed') throw error;
        return await send();
      }
    });
  }
}

function headersOf(condition: S3Condition | undefined): { readonly IfNoneMatch?: string; readonly IfMatch?: string } {
  if (condition === undefined) return {};
  if ('absent' in condition) return { IfNoneMatch: '*' };
  return { IfMatch: condition.quotes ? condition.etag : condition.etag.replaceAll('"', '') };
}

function versionOf(versionId: string | undefined): string | undefined {
  return versionId === NO_VERSION ? undefined : versionId;
}

export function abort(signal: AbortSignal | undefined): { readonly abortSignal: AbortSignal } | undefined {
  return signal && { abortSignal: signal };
}

function clientConfig(options: S3BucketOptions, transport: S3Transport): S3ClientConfig {
  return {
    endpoint: options.endpoint,
    region: options.region,
    // A copy: the SDK writes into it.
    credentials: { ...options.credentials },
    forcePathStyle: true,
    requestHandler: transport as unknown as NonNullable<S3ClientConfig['requestHandler']>,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    maxAttempts: 1,
    retryMode: 'standard',
    defaultsMode: 'standard',
    authSchemePreference: [],
    sigv4aSigningRegionSet: [],
    useArnRegion: false,
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    disableMultiregionAccessPoints: true,
    disableS3ExpressSessionAuth: true,
    disableClockSkewCorrection: false,
    userAgentAppId: 'holdfast',
    customUserAgent: 'holdfast',
  };
}

/** The transport gives the whole body as one chunk, or none. */
async function onlyChunk(body: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
}

function contentRange(
  header: string | undefined,
): { readonly start: number; readonly end: number; readonly sizeBytes: number } | undefined {
  const [, start, end, size] = /^bytes ([0-9]+)-([0-9]+)\/([0-9]+)$/.exec(header ?? '') ?? [];
  return size === undefined ? undefined : { start: Number(start), end: Number(end), sizeBytes: Number(size) };
}
