import { randomBytes } from 'node:crypto';
import { openS3Store } from '../../src/store/s3-store.ts';
import { objectStoreConformance } from '../conformance/object-store.ts';
import { startS3 } from '../support/ceph.ts';

const s3 = await startS3();

const open = (prefix: string) => {
  if (s3 === undefined) throw new Error('no S3 server');
  return openS3Store({
    location: { kind: 's3', endpoint: s3.endpoint, bucket: s3.bucket, prefix },
    credentials: s3.credentials,
    region: s3.region,
  });
};

objectStoreConformance('a bucket of Ceph RGW', {
  skip: s3 === undefined,
  open: async () => {
    const prefix = `conformance-${randomBytes(4).toString('hex')}`;
    const [store, other] = [open(prefix), open(prefix)];
    return {
      store,
      other,
      cleanUp: async () => {
        await store.close();
        await other.close();
      },
    };
  },
});
