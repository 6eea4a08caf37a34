// What a volume's size costs: peak memory of its first backup, and what a backup of the same few changed ranges reads and takes, of a small and
// a large one. Prints the table of README.md.
//
//   bin/node bench/size.ts [--sizes 2,50] [--work DIRECTORY]
//
// Sizes are GiB. The volume lies in the work directory, a sixth of it (what is left when it is compressed) in the repository there as well.

import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GIB, KIB, MIB } from '../src/base/units.ts';
import { noise } from './data/random.ts';
import { measure } from './measure.ts';
import { scratchRepository } from './scratch-repository.ts';

const CHECKOUT = join(import.meta.dirname, '..');
const UNIT_BYTES = 16 * KIB;
const NOISE_BYTES = 2 * KIB;
const CHANGES = 64;
const THREADS = '2';

const { values } = parseArgs({
  options: { sizes: { type: 'string', default: '2,50' }, work: { type: 'string', default: tmpdir() } },
});
const sizes = values.sizes.split(',').map(Number);
if (sizes.some((size) => !(size >= 1))) throw new Error('--sizes must be numbers of GiB such as 2,50');
mkdirSync(values.work, { recursive: true });
const work = mkdtempSync(join(values.work, 'holdfast-size-'));
const volume = join(work, 'volume.img');
const ranges = join(work, 'ranges');

/** Unlike each other and compressible: an eighth of each unit is noise, the rest is one word of it again and again. */
function write(fd: number, next: (length: number) => Buffer, bytes: number, offset: number): void {
  const piece = Buffer.alloc(MIB);
  for (let at = 0; at < bytes; at += piece.length) {
    for (let unit = 0; unit < piece.length; unit += UNIT_BYTES) {
      const random = next(NOISE_BYTES);
      piece.fill(random.subarray(0, 16), unit, unit + UNIT_BYTES);
      random.copy(piece, unit);
    }
    writeSync(fd, piece, 0, Math.min(piece.length, bytes - at), offset + at);
  }
}

/** The end of a row of the table. */
async function backup(...options: string[]): Promise<string> {
  const env = scratchRepository(work) as Record<string, string>;
  const program = join(CHECKOUT, 'bin/holdfast');
  if (options.length === 0) await measure({ argv: [program, 'init', '--quiet'], env }, work);
  const argv = [program, 'backup', volume, '--type', 'volume', '--threads', THREADS, '--json', ...options];
  const cost = await measure({ argv, env }, work);
  const summary = JSON.parse(cost.log.trim().split('\n').at(-1)!);
  return [
    (summary.bytesRead / MIB).toFixed(1),
    (summary.bytesStored / MIB).toFixed(1),
    cost.wallSeconds.toFixed(2),
    (cost.userSeconds + cost.systemSeconds).toFixed(2),
    (cost.peakBytes / MIB).toFixed(0),
  ].join(' | ');
}

try {
  console.log(
    '| volume | backup | read MiB | stored MiB | wall s | CPU s | peak MiB |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |',
  );
  for (const size of sizes) {
    const next = noise(`volume of ${size}`);
    const fd = openSync(volume, 'w');
    write(fd, next, size * GIB, 0);
    console.log(`| ${size} GiB | first | ${await backup()} |`);
    const step = Math.floor((size * GIB) / CHANGES / UNIT_BYTES) * UNIT_BYTES;
    const offsets = Array.from({ length: CHANGES }, (_, n) => n * step);
    for (const offset of offsets) write(fd, next, UNIT_BYTES, offset);
    closeSync(fd);
    writeFileSync(ranges, offsets.map((offset) => `${offset} ${UNIT_BYTES}\n`).join(''));
    console.log(`| ${size} GiB | ${CHANGES} changed ranges | ${await backup('--changed-ranges', ranges)} |`);
    for (const name of ['holdfast', 'cache', 'volume.img']) rmSync(join(work, name), { recursive: true, force: true });
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
