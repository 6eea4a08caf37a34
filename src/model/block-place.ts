// Where a block lies and what opens it: a record of the index.

export type BlockPlace = {
  /** 32 bytes. */
  readonly packId: Uint8Array;
  /** In the pack, bytes. */
  readonly offset: number;
  /** With the tag. */
  readonly storedLength: number;
  readonly rawLength: number;
  /** 0 as it is, 1 zstd. */
  readonly codec: number;
  /** Whose key sealed it, 10 bytes, and of which asset that session was, 16 bytes. */
  readonly sealingSession: Uint8Array;
  readonly sealingAsset: Uint8Array;
  /** 6 bytes. */
  readonly sealingCounter: Uint8Array;
  readonly packKind: 'data' | 'metadata';
};
