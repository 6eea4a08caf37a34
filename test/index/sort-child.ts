// Run by external-sort.test.ts: sorts far more than it may hold, and reports by how much the process grew at its peak.

import { loadChecksum } from '../../src/index/checksum.ts';
import { ExternalSorter } from '../../src/index/external-sort.ts';

const RECORD_BYTES = 24;
const COUNT = 6_000_000;
const PER_PUSH = 10_000;

const checksum = await loadChecksum();
const batch = new Uint32Array((PER_PUSH * RECORD_BYTES) / 4);
const bytes = new Uint8Array(batch.buffer);
const peakBytes = () => process.resourceUsage().maxRSS * 1024;
const before = peakBytes();
const sorter = new ExternalSorter({
  recordBytes: RECORD_BYTES,
  keyBytes: 20,
  directory: process.argv[2]!,
  checksum,
  memoryBytes: 8 << 20,
});
let state = 1;
for (let n = 0; n < COUNT; n += PER_PUSH) {
  for (let i = 0; i < batch.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    batch[i] = state;
  }
  sorter.push(bytes);
}
let sorted = 0;
let last = -1;
for (const sortedBatch of sorter.sorted()) {
  for (let at = 0; at < sortedBatch.length; at += RECORD_BYTES) {
    const head = sortedBatch[at]! * 65536 + sortedBatch[at + 1]! * 256 + sortedBatch[at + 2]!;
    if (head < last) throw new Error('not sorted');
    last = head;
    sorted++;
  }
}
process.stdout.write(JSON.stringify({ recordBytes: COUNT * RECORD_BYTES, sorted, growthBytes: peakBytes() - before }));
