import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { sealOnce } from '../../src/codec/aead.ts';
import { objectId } from '../../src/codec/chunk-id.ts';
import { encodeDirectory, encodeTrailer, type PackTrailer, TRAILER_BYTES } from '../../src/format/pack.ts';
import { DEFAULT_PARAMETERS, encodeRepositoryObject } from '../../src/format/repository-object.ts';
import { decodeIndexObject, encodeIndexObject, readIndexObject } from '../../src/repository/index-objects.ts';
import { Keyring, newOwnerPayload } from '../../src/repository/keyring.ts';
import { hex, indexKey, packKey } from '../../src/repository/layout.ts';
import { readPackDirectory } from '../../src/repository/pack-directory.ts';
import { Material } from '../format/material.ts';
import { MemoryStore } from '../support/memory-store.ts';

const PARAMETERS = { id: randomBytes(16), createdAt: '2030-01-02T03:04:05.678Z', ...DEFAULT_PARAMETERS };
const payloadOf = () => newOwnerPayload(encodeRepositoryObject(PARAMETERS), randomBytes);
const KEYRING = new Keyring('00', payloadOf(), PARAMETERS);
const STRANGER = new Keyring('00', payloadOf(), PARAMETERS);

async function faultOf(work: () => unknown): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await work();
  } catch (error) {
    if (isFault(error)) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: 'none', message: '' };
}

describe('an index object', () => {
  const packs = new Material(1).indexedPacks(4);
  const { id, bytes } = encodeIndexObject(packs, KEYRING, randomBytes);

  test('comes back from the store, and is named by its bytes', async () => {
    const store = new MemoryStore();
    await store.put(indexKey(id), bytes);
    const read = await readIndexObject(store, id, KEYRING);
    expect(read.map(({ packId, packLength }) => [hex(packId), packLength])).toEqual(
      packs.map(({ packId, packLength }) => [hex(packId), packLength]),
    );
    expect(id).toBe(hex(objectId(bytes)));
  });

  test('of which any bit was flipped, or a part is gone, is damage that names it', async () => {
    const broken = { code: 'FORMAT_DAMAGED', message: expect.stringContaining(id) };
    for (let bit = 0; bit < bytes.length * 8; bit += 11) {
      const changed = Uint8Array.from(bytes);
      changed[bit >>> 3]! ^= 1 << (bit & 7);
      expect(await faultOf(() => decodeIndexObject(id, changed, KEYRING))).toMatchObject(broken);
    }
    for (const length of [0, 8, 24, 40, bytes.length - 1])
      expect(await faultOf(() => decodeIndexObject(id, bytes.subarray(0, length), KEYRING))).toMatchObject(broken);
  });

  test("of another tenant, or of an old name, is not taken: its bytes can be those of its name and yet not be this tenant's", async () => {
    expect(await faultOf(() => decodeIndexObject(id, bytes, STRANGER))).toMatchObject({
      code: 'FORMAT_DAMAGED',
      message: expect.stringContaining("this tenant's key"),
    });
    const other = encodeIndexObject([], KEYRING, randomBytes);
    expect((await faultOf(() => decodeIndexObject(id, other.bytes, KEYRING))).code).toBe('FORMAT_DAMAGED');
    expect(decodeIndexObject(other.id, other.bytes, KEYRING)).toEqual([]);
  });
});

describe("a pack's own directory", () => {
  const directory = new Material(7).directory(6);
  const plain = encodeDirectory(directory);
  const blocks = randomBytes(directory.blocks.reduce((sum, { storedLength }) => sum + storedLength, 0));

  function packOf(more: Partial<PackTrailer> = {}, stored = blocks): { readonly id: Uint8Array; readonly store: MemoryStore } {
    const salt = randomBytes(16);
    const [directoryLength, blockCount] = [plain.length + 16, directory.blocks.length];
    const trailer = encodeTrailer({ kind: 'data', directoryLength, blockCount, session: randomBytes(10), salt, ...more });
    const sealed = sealOnce(KEYRING.subkey('pack', salt), new Uint8Array(12), plain, trailer);
    const bytes = Buffer.concat([stored, sealed, trailer]);
    const id = objectId(bytes);
    const store = new MemoryStore();
    store.objects.set(packKey(id), bytes);
    return { id, store };
  }

  test('is read from the end of the pack alone', async () => {
    const { id, store } = packOf();
    const ranges: number[] = [];
    const get = store.get.bind(store);
    store.get = (key, range, options) => {
      ranges.push(range!.length);
      return get(key, range, options);
    };
    const read = await readPackDirectory(store, id, KEYRING);
    expect(read.directory.blocks.map((block) => hex(block.id))).toEqual(directory.blocks.map((block) => hex(block.id)));
    expect(read.packLength).toBe(blocks.length + plain.length + 16 + TRAILER_BYTES);
    expect(ranges).toHaveLength(1);
    expect(ranges[0]).toBeLessThanOrEqual(64 * 1024);
  });

  test('of which any bit was flipped is damage that names the pack', async () => {
    const { id, store } = packOf();
    const whole = store.objects.get(packKey(id))!;
    for (let at = blocks.length; at < whole.length; at += 3) {
      const changed = Uint8Array.from(whole);
      changed[at]! ^= 0x10;
      store.objects.set(packKey(id), changed);
      const fault = await faultOf(() => readPackDirectory(store, id, KEYRING));
      expect(fault, `byte ${at}`).toMatchObject({ code: 'FORMAT_DAMAGED', message: expect.stringContaining(hex(id)) });
    }
  });

  test('of a pack that is cut off, empty, gone, or longer or shorter than its blocks, is refused', async () => {
    const { id, store } = packOf();
    const whole = store.objects.get(packKey(id))!;
    const code = async (bytes: Uint8Array) => {
      store.objects.set(packKey(id), bytes);
      return (await faultOf(() => readPackDirectory(store, id, KEYRING))).code;
    };
    for (const length of [0, 10, 63, 64, 100, whole.length - 1])
      expect(await code(whole.subarray(0, length))).toBe('FORMAT_DAMAGED');
    expect(await code(whole.subarray(1))).toBe('FORMAT_DAMAGED');
    expect(await code(Buffer.concat([whole, whole]))).toBe('FORMAT_DAMAGED');
    store.objects.clear();
    expect((await faultOf(() => readPackDirectory(store, id, KEYRING))).code).toBe('STORE_NOT_FOUND');
  });

  test('of another number of blocks than the trailer says, or of a directory that would be endless, is refused', async () => {
    for (const more of [
      { blockCount: directory.blocks.length + 1 },
      { directoryLength: 2 ** 32 - 1 },
      { directoryLength: 3_000_000 },
    ]) {
      const { id, store } = packOf(more);
      expect(await faultOf(() => readPackDirectory(store, id, KEYRING))).toMatchObject({
        code: 'FORMAT_DAMAGED',
        message: expect.stringContaining(hex(id)),
      });
    }
    expect((await faultOf(() => readPackDirectory(packOf().store, packOf().id, STRANGER))).code).toBe('STORE_NOT_FOUND');
    const { id, store } = packOf();
    expect((await faultOf(() => readPackDirectory(store, id, STRANGER))).code).toBe('FORMAT_DAMAGED');
  });
});
