import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFsStore } from '../../src/store/fs-store.ts';
import { RETRY, withRetry } from '../../src/store/retry.ts';
import { objectStoreConformance } from '../conformance/object-store.ts';
import { faultyStore } from '../support/faulty-store.ts';
import { seededRandom } from '../support/seeded-random.ts';

objectStoreConformance('a directory', {
  open: async () => {
    const path = await mkdtemp(join(tmpdir(), 'holdfast-fs-'));
    const store = await openFsStore(path);
    const other = await openFsStore(path);
    return { store, other, cleanUp: () => rm(path, { recursive: true }) };
  },
});
