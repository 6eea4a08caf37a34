// Single requests to a bucket, signed here and sent by somebody else who holds no credentials: create this object with exactly these bytes,
// read this range. AWS Signature Version 4 in headers, with every header that matters under the signature.
//
// Why not a presigned URL: its payload is unsigned by definition (Ceph RGW 16 takes any body for one), while a signature in headers covers
// the SHA-256 of the body, which every S3 server checks. Such a request lives as long as servers accept its date: 15 minutes.

import { createHash, createHmac } from 'node:crypto';
import type { StoreLocation } from './location.ts';
import type { S3Credentials } from './s3-bucket.ts';

/** Servers refuse a request whose date is older. */
export const GRANT_LIFE_MS = 15 * 60_000;

const EMPTY_DIGEST = createHash('sha256').digest('hex');

export type SignedRequest = {
  readonly method: 'GET' | 'PUT';
  readonly url: string;
  /** To be sent as they are. */
  readonly headers: Readonly<Record<string, string>>;
  readonly expiresAt: Date;
};

export type S3GrantOptions = {
  readonly location: Extract<StoreLocation, { readonly kind: 's3' }>;
  readonly credentials: S3Credentials;
  readonly region?: string;
  readonly now: () => Date;
};

export class S3Grants {
  readonly #options: S3GrantOptions;

  constructor(options: S3GrantOptions) {
    this.#options = options;
  }

  /** Creates an object, once, with bytes of this length and SHA-256 (hex). */
  put(key: string, lengthBytes: number, sha256: string): SignedRequest {
    return this.#sign('PUT', key, '', sha256, {
      'content-length': String(lengthBytes),
      'if-none-match': '*',
      'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64'),
    });
  }

  /** Reads `length` bytes from `offset` on. */
  get(key: string, offset: number, length: number): SignedRequest {
    return this.#sign('GET', key, 'x-id=GetObject', EMPTY_DIGEST, { range: `bytes=${offset}-${offset + length - 1}` });
  }

  #sign(method: 'GET' | 'PUT', key: string, query: string, digest: string, own: Readonly<Record<string, string>>): SignedRequest {
    const { location, credentials, region = 'us-east-1', now } = this.#options;
    const at = now();
    const date = at.toISOString().replace(/[-:]|\.\d{3}/g, '');
    const { endpoint, bucket, prefix } = location;
    // Neither of them holds a character that would have to be encoded (location.ts, store-key.ts).
    const path = `/${bucket}/${prefix === '' ? '' : `${prefix}/`}${key}`;
    const headers: Record<string, string> = {
      ...own,
      host: new URL(endpoint).host,
      'x-amz-content-sha256': digest,
      'x-amz-date': date,
      ...(credentials.sessionToken === undefined ? {} : { 'x-amz-security-token': credentials.sessionToken }),
    };
    const names = Object.keys(headers).sort();
    const signed = names.join(';');
    const lines = names.map((name) => `${name}:${headers[name]!}\n`).join('');
    const canonical = `${method}\n${path}\n${query === '' ? '' : query}\n${lines}\n${signed}\n${digest}`;
    const scope = `${date.slice(0, 8)}/${region}/s3/aws4_request`;
    const toSign = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${createHash('sha256').update(canonical).digest('hex')}`;
    const signature = hmac(this.#key(date.slice(0, 8), region), toSign).toString('hex');
    headers['authorization'] =
      `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
    const url = `${endpoint}${path}${query === '' ? '' : `?${query}`}`;
    return { method, url, headers, expiresAt: new Date(at.getTime() + GRANT_LIFE_MS) };
  }

  #key(day: string, region: string): Buffer {
    const { secretAccessKey } = this.#options.credentials;
    return hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, day), region), 's3'), 'aws4_request');
  }
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
