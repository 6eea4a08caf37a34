// Run by manifest.test.ts as one of several processes: appends entries to a shared manifest. `manifest-child.ts <directory> <name> <n>`.

import { randomBytes } from 'node:crypto';
import { loadChecksum } from '../../src/index/checksum.ts';
import { changeManifest } from '../../src/index/manifest.ts';

const [directory, name, count] = process.argv.slice(2) as [string, string, string];
const checksum = await loadChecksum();
for (let n = 0; n < Number(count); n++) {
  const table = { file: `${name}${n}`, seed: '0'.repeat(16), records: 1 };
  changeManifest(directory, checksum, randomBytes, (runs) =>
    runs.some((run) => run.chunks.file === table.file) ? undefined : [...runs, { chunks: table, blocks: table, covers: [] }],
  );
}
