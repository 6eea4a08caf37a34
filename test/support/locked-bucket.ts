// Buckets with Object Lock, and what somebody does there who has stolen the credentials of the store.

import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { TestS3 } from './ceph.ts';

export type StoredVersion = {
  readonly key: string;
  readonly versionId: string;
  readonly isLatest: boolean;
  readonly sizeBytes: number;
};

export class LockedBucket {
  readonly #client: S3Client;
  readonly name: string;

  private constructor(client: S3Client, name: string) {
    this.#client = client;
    this.name = name;
  }

  /** `days`: what is put there is locked for so long by itself. */
  static async create({ endpoint, region, credentials }: TestS3, name: string, days?: number): Promise<LockedBucket> {
    const client = new S3Client({
      endpoint,
      region,
      credentials: { ...credentials },
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: true }));
    const Rule = { DefaultRetention: { Mode: 'COMPLIANCE', Days: days } } as const;
    const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule } as const;
    if (days !== undefined) await client.send(new PutObjectLockConfigurationCommand({ Bucket: name, ObjectLockConfiguration }));
    return new LockedBucket(client, name);
  }

  /** Without delete markers. */
  async versions(prefix = ''): Promise<StoredVersion[]> {
    const found: StoredVersion[] = [];
    let after: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | undefined = {};
    while (after !== undefined) {
      const page: ListObjectVersionsCommandOutput = await this.#client.send(
        new ListObjectVersionsCommand({ Bucket: this.name, Prefix: prefix, ...after }),
      );
      for (const { Key, VersionId, IsLatest, Size } of page.Versions ?? [])
        found.push({ key: Key!, versionId: VersionId!, isLatest: IsLatest === true, sizeBytes: Size! });
      after = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : undefined;
    }
    return found;
  }

  async overwrite(key: string, bytes: Uint8Array): Promise<void> {
    await this.#client.send(new PutObjectCommand({ Bucket: this.name, Key: key, Body: bytes }));
  }

  /** For good, when it names a version. Answers whether the store did it. */
  async delete(key: string, versionId?: string): Promise<boolean> {
    try {
      await this.#client.send(new DeleteObjectCommand({ Bucket: this.name, Key: key, VersionId: versionId }));
      return true;
    } catch (error) {
      if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== 403) throw error;
      return false;
    }
  }

  close(): void {
    this.#client.destroy();
  }
}
