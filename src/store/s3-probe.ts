// Finding out by trying whether swaps are safe in a bucket: by conditions where it keeps no versions, by the order of the versions where it
// does (register-order.ts).

import { Fault, isFault } from '../base/faults.ts';
import type { S3Bucket } from './s3-bucket.ts';
import type { S3Registers } from './s3-register.ts';
import { versionsOf } from './s3-versions.ts';

export type Probed = { readonly bucket: S3Bucket; readonly registers: S3Registers; readonly location: string };

/** STORE_NO_CONDITIONAL_WRITES. `name` is that of no object, and there is none afterwards. */
export async function probeConditions(probed: Probed, name: string, signal: AbortSignal | undefined): Promise<void> {
  const { bucket } = probed;
  try {
    const first = await bucket.put(name, probeValue(name, 0), { absent: true }, {}, signal);
    if (first === 'refused') throw unsafe(probed, 'a new object was refused as if it were there');
    if (first.versionId !== undefined) return await probeVersions(probed, name, signal);
    if ((await bucket.put(name, probeValue(name, 1), { absent: true }, {}, signal)) !== 'refused')
      throw unsafe(probed, 'If-None-Match: * overwrote an object');
    for (const quotes of [false, true]) if (await probeIfMatch(probed, name, { etag: first.etag, quotes }, signal)) return;
    throw unsafe(probed, 'If-Match is refused though the ETag is right');
  } finally {
    await bucket.delete(name, signal).catch(() => {});
  }
}

/** True when one of several concurrent swaps wins, false when all are refused: the store may want the ETag in the other form. */
async function probeIfMatch(
  probed: Probed,
  name: string,
  { etag, quotes }: { readonly etag: string; readonly quotes: boolean },
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { bucket } = probed;
  const wrong = `"${'0'.repeat(32)}"`;
  if ((await bucket.put(name, probeValue(name, 2), { etag: wrong, quotes }, {}, signal)) !== 'refused')
    throw unsafe(probed, 'If-Match with another ETag overwrote an object');
  const numbers = [3, 4, 5];
  const race = await Promise.all(numbers.map((n) => raced(bucket.put(name, probeValue(name, n), { etag, quotes }, {}, signal))));
  const now = await bucket.get(name, undefined, signal);
  const value = numbers.findIndex((n) => probeValue(name, n).equals(now?.bytes ?? new Uint8Array(0)));
  const winners = race.filter((result) => result === 'won').length;
  if (value === -1 && winners === 0) return false;
  if (winners > 1 || (winners === 1 && race[value] !== 'won') || race[value] === 'refused')
    throw unsafe(probed, `${winners} of 3 concurrent PUTs with the same If-Match succeeded`);
  return true;
}

/** What is written here may be locked and stay, so it is little. */
async function probeVersions(probed: Probed, name: string, signal: AbortSignal | undefined): Promise<void> {
  const { bucket, registers } = probed;
  const [newest, older] = await firstTwo(bucket, name, signal);
  if (newest?.isMarker !== false || older !== undefined) throw unsafe(probed, 'it does not list the versions of an object');
  await bucket.delete(name, signal);
  const [marker, below] = await firstTwo(bucket, name, signal);
  if (marker?.isMarker !== true || below?.versionId !== newest.versionId)
    throw unsafe(probed, 'it does not list what was deleted under the word that it was');
  const values = [6, 7].map((n) => probeValue(name, n));
  const race = await Promise.all(values.map((value) => raced(registers.swap(name, value, undefined, signal))));
  const now = await registers.read(name, signal);
  const winners = race.filter((result) => result === 'won').length;
  const place = values.findIndex((value) => value.equals(now?.bytes ?? new Uint8Array(0)));
  if (winners > 1 || place === -1 || race[place] === 'refused')
    throw unsafe(probed, `its order of versions let ${winners} of 2 concurrent swaps succeed`);
}

async function firstTwo(bucket: S3Bucket, name: string, signal: AbortSignal | undefined) {
  const found = [];
  for await (const version of versionsOf(bucket, name, signal)) if (found.push(version) === 2) break;
  return found;
}

function unsafe({ location }: Probed, why: string): Fault {
  return new Fault('STORE_NO_CONDITIONAL_WRITES', `${location} cannot be written by several: ${why}`);
}

/** Stores answer the losers of a race with 412, AWS also with 409, and Ceph RGW 16 now and then with a 500 that says nothing. */
async function raced(put: Promise<unknown>): Promise<'won' | 'refused' | 'unknown'> {
  try {
    const result = await put;
    return result === 'refused' || result === 'conflict' ? 'refused' : 'won';
  } catch (error) {
    if (isFault(error) && error.retry === 'later') return 'unknown';
    throw error;
  }
}

function probeValue(name: string, n: number): Buffer {
  return Buffer.from(`${name} ${n}`);
}
