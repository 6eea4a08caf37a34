import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Compressor, compressBound } from '../../src/codec/zstd.ts';
import { decodeDirectory } from '../../src/format/pack.ts';
import { type FinishedPack, PackWriter, packBufferBytes } from '../../src/worker/pack-writer.ts';

const MIB = 1024 * 1024;
const TAG_BYTES = 16;

/** Text of a kind that levels of zstd tell apart. */
function block(seed: number): Buffer {
  let state = seed;
  const word = (): string => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 18).toString(36);
  };
  return Buffer.from(Array.from({ length: MIB }, word).join(' ')).subarray(0, MIB);
}

function compressedAt(level: number, bytes: Uint8Array): number {
  const compressor = new Compressor(level);
  const length = compressor.compress(new Uint8Array(compressBound(bytes.length)), bytes);
  compressor.close();
  return length;
}

describe('the blocks of a writer', () => {
  it('have the level of its start until that is over, then the level of the rest', () => {
    const packed: FinishedPack[] = [];
    const writer = new PackWriter(
      {
        kind: 'data',
        session: new Uint8Array(10),
        assetId: new Uint8Array(16),
        key: new Uint8Array(32),
        directoryKey: new Uint8Array(32),
        repositoryId: new Uint8Array(16),
        writerNumber: 0,
        level: 1,
        levelAtFirst: { level: 9, bytes: 2 * MIB },
        blockBytes: MIB,
        packBytes: 8 * MIB,
      },
      {
        claim: () => ({ position: 0, bytes: new Uint8Array(packBufferBytes(8 * MIB, MIB)) }),
        emit: (pack) => packed.push(pack),
        random: randomBytes,
      },
    );
    const blocks = [1, 2, 3, 4].map(block);
    for (const bytes of blocks) {
      writer.room(MIB).set(bytes);
      writer.keep(MIB, 0, randomBytes(32));
    }
    writer.flush();
    writer.close();
    const stored = packed.flatMap(({ directory }) =>
      decodeDirectory(directory).blocks.map(({ storedLength }) => storedLength - TAG_BYTES),
    );
    const levels = [9, 9, 1, 1];
    expect(stored).toEqual(blocks.map((bytes, i) => compressedAt(levels[i]!, bytes)));
    expect(compressedAt(9, blocks[2]!)).not.toBe(stored[2]);
  });
});
