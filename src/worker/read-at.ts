// Reading from wherever content comes from, by position.

/** Reads at most `length` bytes at `position` into `target`; fewer only at the end. */
export type ReadAt = (target: Uint8Array, length: number, position: number) => number;

/** Fills `target`. A source that became shorter: what is missing reads as zeros, and the result says "changed". */
export function readZeroed(read: ReadAt, target: Uint8Array, position: number): number {
  const got = read(target, target.length, position);
  if (got < target.length) target.fill(0, got);
  return got;
}
