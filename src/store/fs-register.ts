// Registers of a directory store: compare-and-swap without any lock.
//
// Register K is the directory `K~/<incarnation>/`, which holds value files named by their number: 0000000000000001, ...2, ...3. The
// highest number is the value. Any number of processes may be killed, stopped or cut off at any step.
//
// create: build `tmp~/x/<incarnation>/0..1` with a fresh random incarnation, fsync all of it, rename `tmp~/x` to `K~`. A rename
//   over a directory that is not empty fails, `K~` is never empty, and the rename is atomic: exactly one creator wins, and nobody
//   sees half.
// delete: rename `K~` away, then remove it. A register that is made again has another incarnation, so the paths of the old one lead
//   nowhere: a writer who slept through the deletion gets ENOENT, not the new register. (No number is ever used for two things.)
// read: the highest number of a scan. Small directories are read in one system call, under the directory's lock; so the scan is a
//   state that was. If the file is gone when it is opened, others have moved on by two: scan again. Somebody always makes progress.
// swap from n: write a temporary file, fsync, link(2) it to n+1. EEXIST: somebody was first. fsync the directory. Then judge
// (below). That n is the newest was seen when n was read, and is not looked at once more: it may be untrue at the link anyway.
// clean: the winner of n+1 removes everything below n. So the highest two numbers are always there, and the highest is never
// removed.
//
// Why judging is needed. A writer W may sleep between its check that n is the newest and its link to n+1, while others make n+1,
// n+2, n+3 and clean n+1 away: W's link succeeds on a place that was taken before. Or W links n+1 in time, sleeps, and finds n+1
// cleaned away because others have built upon it. The directory looks alike both times. What tells them apart is the history in
// every value: the ids of its last 64 predecessors (register-history.ts), copied from the value that it was swapped from. Its
// chain consists of rightful values only, by induction: a value becomes the newest only by a link onto a number above all others,
// and such a number was never taken before, because the highest number is never removed. After its link W scans; the newest
// value's history says whose id stands at n+1. If not W's, W takes its file away and answers 'conflict'; no reader ever took it
// for the value, as a higher number was there all the time. If it is W's, W won. If the window of 64 has moved past n+1, nobody
// knows: STORE_OUTCOME_UNKNOWN.
//
// Crashes. Before the link: a leftover in tmp~/, which probe removes when it is a day old. Between link and fsync: the value is
// there but may be lost in a power cut; so everyone who reads a value fsyncs the directory before building on it. Before
// cleaning: the next winner cleans everything. A rightful value whose writer died is a value; a wrongful one (W died before
// taking it away) lies below the highest and is cleaned.
//
// Assumption: link(2) and rename(2) are atomic, and who has just linked sees the directory as it is (local file systems; NFS, whose
// clients drop their cached directory when they change it).

import { randomBytes } from 'node:crypto';
import { open, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { READ_AT_ONCE } from '../base/read-at-once.ts';
import { isErrno } from './fs-faults.ts';
import { decodeRegisterFile, encodeRegisterHeader, REGISTER_FILE_BYTES_MAX } from './fs-register-file.ts';
import { type FsRoot, TEMPORARY } from './fs-root.ts';
import type { RegisterValue, SwapResult } from './object-store.ts';
import { extendHistory, type RegisterHistory, swapOutcome, valueId } from './register-history.ts';

const SCANS_MAX = 1_000;
/** Registers whose value is remembered, 2 KiB each: who swaps has read just before. */
const BASES_MAX = 8;
/** Read without asking for the size: most values are smaller. */
const FIRST_READ_BYTES = 64 * 1024;
const INCARNATION = /^[0-9a-f]{16}$/;
const NUMBER = /^[0-9]{16}$/;
const VERSION = /^([0-9a-f]{16})\.([0-9]{1,16})$/;

/** What a scan found. `directory` is relative to the root, `numbers` ascending and not empty. */
type Scan = { readonly incarnation: string; readonly directory: string; readonly numbers: readonly number[] };

/** A value without its bytes: what a swap from it needs. */
type Base = {
  readonly incarnation: string;
  readonly directory: string;
  readonly number: number;
  readonly history: RegisterHistory;
};
type Newest = Scan & Base & { readonly bytes: Uint8Array };

const fileName = (number: number) => String(number).padStart(16, '0');
const versionOf = (incarnation: string, number: number) => `${incarnation}.${number}`;

export class FsRegisters {
  readonly #root: FsRoot;
  /** Values as they were read last, by register; the newest look last. */
  readonly #bases = new Map<string, Base>();

  constructor(root: FsRoot) {
    this.#root = root;
  }

  async read(key: string): Promise<RegisterValue | undefined> {
    const newest = await this.#newest(key);
    return newest && { bytes: newest.bytes, version: versionOf(newest.incarnation, newest.number) };
  }

  async swap(key: string, bytes: Uint8Array, version: string | undefined, signal: AbortSignal): Promise<SwapResult> {
    const id = valueId(bytes);
    if (version === undefined) {
      const newest = await this.#newest(key);
      return newest === undefined ? this.#create(key, bytes, id, signal) : this.#judge(newest, newest.incarnation, 0, id);
    }
    const remembered = this.#bases.get(key);
    if (remembered !== undefined && versionOf(remembered.incarnation, remembered.number) === version)
      return this.#advance(key, remembered, bytes, id, signal);
    const newest = await this.#newest(key);
    const [, incarnation, digits] = VERSION.exec(version) ?? [];
    invariant(incarnation !== undefined, 'a version comes from read or swap of the same store');
    const base = Number(digits);
    if (newest === undefined || newest.incarnation !== incarnation || newest.number !== base) {
      return this.#judge(newest, incarnation, base, id);
    }
    return this.#advance(key, newest, bytes, id, signal);
  }

  /** Answers false when there is no such register. */
  async delete(key: string): Promise<boolean> {
    await this.#root.ensure(TEMPORARY);
    const grave = this.#root.temporaryName();
    try {
      await rename(this.#root.at(`${key}~`), this.#root.at(grave));
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
      throw error;
    }
    await this.#root.removeTree(grave);
    return true;
  }

  async #create(key: string, bytes: Uint8Array, id: string, signal: AbortSignal): Promise<SwapResult> {
    const root = this.#root;
    await root.ensure(TEMPORARY);
    await root.ensure(dirname(key));
    const incarnation = randomBytes(8).toString('hex');
    const cradle = root.temporaryName();
    try {
      await root.makeDirectory(cradle);
      await root.makeDirectory(join(cradle, incarnation));
      await root.write(join(cradle, incarnation, fileName(1)), [encodeRegisterHeader(extendHistory(undefined, id)), bytes]);
      await Promise.all([root.sync(join(cradle, incarnation)), root.sync(cradle)]);
      signal.throwIfAborted();
      await rename(root.at(cradle), root.at(`${key}~`));
    } catch (error) {
      await root.removeTree(cradle);
      if (!isErrno(error, 'EEXIST', 'ENOTEMPTY')) throw error;
      const newest = await this.#newest(key);
      return newest === undefined ? 'conflict' : this.#judge(newest, newest.incarnation, 0, id);
    }
    await root.sync(dirname(key));
    return { version: versionOf(incarnation, 1) };
  }

  async #advance(key: string, from: Base, bytes: Uint8Array, id: string, signal: AbortSignal): Promise<SwapResult> {
    invariant(!from.history.ids.includes(id), 'no two values offered to a register are equal');
    const place = join(from.directory, fileName(from.number + 1));
    const file = Buffer.concat([encodeRegisterHeader(extendHistory(from.history, id)), bytes]);
    const temporary = await this.#root.writeTemporary([file]);
    let linked = false;
    let removing: Promise<void> | undefined;
    try {
      signal.throwIfAborted();
      linked = await this.#root.link(temporary, place);
    } catch (error) {
      // The register was deleted, or somebody cleaned our temporary file away; what is there now tells.
      if (!isErrno(error, 'ENOENT')) throw error;
    } finally {
      removing = this.#root.remove(temporary);
      if (!linked) await removing;
    }
    const now = await this.#newest(key);
    await removing;
    const result = this.#judge(now, from.incarnation, from.number, id);
    if (result === 'conflict') {
      if (linked) await this.#root.remove(place);
    } else if (now !== undefined) {
      await this.#clean(now);
    }
    return result;
  }

  /** Whether the swap from value number `base` of that incarnation to `id` has taken place. `now` is durable. */
  #judge(now: Newest | undefined, incarnation: string, base: number, id: string): SwapResult {
    if (now === undefined || now.incarnation !== incarnation) return 'conflict';
    const outcome = swapOutcome(base, id, now.history);
    if (outcome === 'won') return { version: versionOf(incarnation, base + 1) };
    if (outcome === 'lost') return 'conflict';
    if (outcome === 'pending')
      throw new Fault('STORE_INTERNAL', `a temporary file of the register ${now.directory} was removed before its time`);
    throw new Fault(
      'STORE_OUTCOME_UNKNOWN',
      `more than ${now.history.ids.length} swaps of the register ${now.directory} have passed by this one`,
    );
  }

  /** The current value, made durable. */
  async #newest(key: string): Promise<Newest | undefined> {
    for (let i = 0; i < SCANS_MAX; i++) {
      const scan = await this.#scan(key);
      if (scan === undefined) {
        await this.#root.assertThere();
        return undefined;
      }
      if (scan === 'moving') continue;
      const number = scan.numbers.at(-1) as number;
      const name = join(scan.directory, fileName(number));
      try {
        // Side by side: the name that the scan has seen is what must be durable.
        const [file] = await Promise.all([this.#file(name), this.#makeDurable(key, scan, number)]);
        const value = decodeRegisterFile(file, name);
        if (value.history.sequence !== number)
          throw new Fault('FORMAT_DAMAGED', `the register value ${name} is that of another number`);
        this.#remember(key, { incarnation: scan.incarnation, directory: scan.directory, number, history: value.history });
        return { ...scan, number, ...value };
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
      }
    }
    throw new Fault('STORE_INTERNAL', `the register ${key} has no value, or changes faster than it can be read`);
  }

  #remember(key: string, base: Base): void {
    this.#bases.delete(key);
    this.#bases.set(key, base);
    if (this.#bases.size > BASES_MAX) this.#bases.delete(this.#bases.keys().next().value as string);
  }

  /** The writer of the value may have died before it did this. Later values than the first rest on a name that is durable. */
  async #makeDurable(key: string, scan: Scan, number: number): Promise<void> {
    await this.#root.sync(scan.directory);
    if (number > 1) return;
    await this.#root.ensure(dirname(key));
    await this.#root.sync(dirname(key));
  }

  async #scan(key: string): Promise<Scan | 'moving' | undefined> {
    try {
      const incarnations = (await readdir(this.#root.at(`${key}~`))).filter((name) => INCARNATION.test(name));
      // None: it was renamed away and is being removed while we looked.
      if (incarnations.length === 0) return 'moving';
      if (incarnations.length > 1) throw new Fault('FORMAT_DAMAGED', `the register ${key} has two incarnations`);
      const directory = join(`${key}~`, incarnations[0]);
      const names = await readdir(this.#root.at(directory));
      const numbers = names.filter((name) => NUMBER.test(name)).map(Number);
      return numbers.length === 0 ? 'moving' : { incarnation: incarnations[0], directory, numbers: numbers.sort((a, b) => a - b) };
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  async #file(name: string): Promise<Buffer> {
    const handle = await open(this.#root.at(name), READ_AT_ONCE);
    try {
      const first = Buffer.allocUnsafeSlow(FIRST_READ_BYTES);
      const { bytesRead } = await handle.read(first, 0, FIRST_READ_BYTES, 0);
      // What is cut off is noticed by its digest.
      if (bytesRead < FIRST_READ_BYTES) return first.subarray(0, bytesRead);
      const { size } = await handle.stat();
      if (size > REGISTER_FILE_BYTES_MAX) throw new Fault('FORMAT_DAMAGED', `the register value ${name} is too large`);
      const whole = Buffer.allocUnsafeSlow(size);
      for (let done = first.copy(whole); done < size; ) {
        const next = await handle.read(whole, done, size - done, done);
        if (next.bytesRead === 0) throw new Fault('FORMAT_DAMAGED', `the register value ${name} is cut off`);
        done += next.bytesRead;
      }
      return whole;
    } finally {
      await handle.close();
    }
  }

  /** Removes what the newest two values have made old. */
  async #clean(now: Newest): Promise<void> {
    const old = now.numbers.filter((number) => number < now.number - 1);
    await Promise.all(old.map((number) => unlink(this.#root.at(now.directory, fileName(number))).catch(() => {})));
  }
}
