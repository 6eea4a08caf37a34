// One record after the other out of sorted batches (ExternalSorter.sorted). The record at hand is `bytes[at, at + recordBytes)`, valid
// until the next call.

export class RecordCursor {
  readonly #batches: Iterator<Uint8Array>;
  readonly #recordBytes: number;
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  at = 0;
  /** False when there is no record at hand: before the first `next`, and at the end. */
  isThere = false;

  constructor(batches: Iterator<Uint8Array>, recordBytes: number) {
    this.#batches = batches;
    this.#recordBytes = recordBytes;
  }

  next(): boolean {
    this.at += this.#recordBytes;
    while (this.at >= this.bytes.length) {
      const batch = this.#batches.next();
      if (batch.done === true) {
        this.isThere = false;
        return false;
      }
      this.bytes = batch.value as Uint8Array<ArrayBuffer>;
      this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
      this.at = 0;
    }
    this.isThere = true;
    return true;
  }

  /** As memcmp of the first `length` bytes with `key`. */
  compare(key: Uint8Array, length: number): number {
    for (let i = 0; i < length; i++) {
      const difference = this.bytes[this.at + i]! - key[i]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }

  u32(offset: number): number {
    return this.view.getUint32(this.at + offset);
  }

  slice(from: number, to: number): Uint8Array {
    return this.bytes.slice(this.at + from, this.at + to);
  }
}
