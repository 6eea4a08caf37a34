// What the main thread asks a reading worker (restore, verify) to do, and what it answers.

import type { AttributeProblem } from '../files/attributes.ts';
import type { PackedAttributes } from '../files/packed-attributes.ts';

/** Where a worker finds the sealed bytes: a file that it reads itself, or bytes that the main thread fetched. */
export type PackBytes = { readonly path: string } | { readonly bytes: Uint8Array };

export type BlockToRead = {
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** From the beginning of the pack. */
  readonly offset: number;
  readonly storedLength: number;
  readonly rawLength: number;
  readonly codec: number;
  readonly sealingCounter: Uint8Array;
  readonly key: Uint8Array;
};

/** The first `whole.paths.length` files are whole: this job holds all of their content, so each is made, written and given its attributes
 *  at once. The others were made before, and this job holds a part of them. */
export type RestoreFiles = { readonly whole: PackedAttributes; readonly parts: readonly string[] };

export type RestoreJob = {
  readonly kind: 'restore';
  readonly pack: PackBytes;
  readonly packName: string;
  /** Of `pack.bytes`: where in the pack they begin. */
  readonly bytesOffset: number;
  readonly blocks: readonly BlockToRead[];
  readonly files: RestoreFiles;
  /** Fours: the file's number in `files`, offset in the file, offset in the block, length. In the order of `blocks`. */
  readonly writes: Float64Array;
  /** Writes of each block. */
  readonly writesPerBlock: Uint32Array;
  /** The target is one file or device at this path, instead of a tree. */
  readonly single: string | undefined;
  /** Zeros are written too: the target holds something old. */
  readonly overZeros: boolean;
  readonly existing: 'refuse' | 'replace';
};

export type RestoreAnswer = {
  readonly kind: 'restore';
  readonly bytesWritten: number;
  /** Blocks that do not open. Nothing of them was written. */
  readonly damaged: readonly { readonly block: Uint8Array; readonly message: string }[];
  readonly problems: readonly (AttributeProblem | FileProblem)[];
};

export type FileProblem = {
  readonly kind: 'problem';
  readonly path: string;
  readonly what: 'file';
  readonly code: string;
  readonly message: string;
};

export type FinishJob = { readonly kind: 'attributes'; readonly entries: PackedAttributes };
export type FinishAnswer = { readonly kind: 'attributes'; readonly problems: readonly AttributeProblem[] };

/** Compares ranges of a file with digests; answers which differ. */
export type CompareJob = {
  readonly kind: 'compare';
  readonly path: string;
  readonly single: string | undefined;
  /** Packed references, in file order, and their offsets in the file. A length without a reference (zeros) has block id and digest 0. */
  readonly references: Uint8Array;
  readonly offsets: Float64Array;
};
export type CompareAnswer = { readonly kind: 'compare'; readonly differs: Uint8Array; readonly missing: boolean };

/** Proves a whole pack: its name, every block, every extent. */
export type VerifyJob = {
  readonly kind: 'verify';
  readonly pack: PackBytes;
  readonly packId: Uint8Array;
  readonly packLength: number;
  /** Plain. Undefined: only the name is proven (no keys needed). */
  readonly directory: Uint8Array | undefined;
  /** Of each session of the directory. */
  readonly keys: readonly Uint8Array[];
  readonly unitBytes: number;
};
export type VerifyAnswer = {
  readonly kind: 'verify';
  readonly bytes: number;
  /** Whether the bytes are those that the pack's name says. */
  readonly nameHolds: boolean;
  readonly damaged: readonly { readonly block: Uint8Array; readonly message: string }[];
};

export type ReadRequest = RestoreJob | FinishJob | CompareJob | VerifyJob;
export type ReadAnswer = RestoreAnswer | FinishAnswer | CompareAnswer | VerifyAnswer;
export type ReadThreadSpec = { readonly idKey: Uint8Array; readonly target: string | undefined };
