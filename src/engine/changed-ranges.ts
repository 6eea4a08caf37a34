// Ranges of a volume that may have changed, as an input: nothing else is read. A file with a line "offset length" (bytes) for each.

import { Fault } from '../base/faults.ts';

export type ChangedRange = { readonly offset: number; readonly length: number };

const RANGES_MAX = 10_000_000;

/** In order of their offsets, joined where they touch. */
export function parseChangedRanges(text: string, name: string): ChangedRange[] {
  const ranges: ChangedRange[] = [];
  let number = 0;
  for (const line of text.split('\n')) {
    number++;
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const match = /^(\d{1,15})\s+(\d{1,15})$/.exec(trimmed);
    if (match === null)
      throw new Fault('USAGE', `"${name}" line ${number} is not "offset length" in bytes: "${trimmed.slice(0, 80)}"`);
    ranges.push({ offset: Number(match[1]), length: Number(match[2]) });
    if (ranges.length > RANGES_MAX) throw new Fault('USAGE', `"${name}" has more than ${RANGES_MAX} ranges`);
  }
  return joinRanges(ranges);
}

export function joinRanges(ranges: readonly ChangedRange[]): ChangedRange[] {
  const sorted = ranges.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset);
  const joined: { offset: number; length: number }[] = [];
  for (const { offset, length } of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && offset <= last.offset + last.length)
      last.length = Math.max(last.length, offset + length - last.offset);
    else joined.push({ offset, length });
  }
  return joined;
}

export type TouchedLeaf = {
  readonly leaf: number;
  /** Of each unit of the leaf, 1 when a range touches it. */
  readonly units: Uint8Array;
};

/** Of each of `count` leaves from `first` on: its units, 1 for those that a range touches. `ranges`: in order and joined. */
export function unitsOfLeaves(
  ranges: readonly ChangedRange[],
  sizeBytes: number,
  unitBytes: number,
  unitsPerLeaf: number,
  { first, count }: { readonly first: number; readonly count: number },
): Uint8Array[] {
  const leafBytes = unitBytes * unitsPerLeaf;
  const [from, to] = [first * leafBytes, (first + count) * leafBytes];
  const leaves: Uint8Array[] = Array.from({ length: count }, (_, n) => {
    const length = Math.min(leafBytes, sizeBytes - (first + n) * leafBytes);
    return new Uint8Array(Math.ceil(length / unitBytes));
  });
  const within = ranges.flatMap(({ offset, length }) => {
    const [start, end] = [Math.max(from, offset), Math.min(to, offset + length)];
    return end > start ? [{ offset: start, length: end - start }] : [];
  });
  for (const { leaf, units } of touchedLeaves(within, sizeBytes, unitBytes, unitsPerLeaf)) leaves[leaf - first] = units;
  return leaves;
}

/** The leaves that ranges touch, in order, each once. */
export function* touchedLeaves(
  ranges: readonly ChangedRange[],
  sizeBytes: number,
  unitBytes: number,
  unitsPerLeaf: number,
): Generator<TouchedLeaf> {
  const leafBytes = unitBytes * unitsPerLeaf;
  let current: TouchedLeaf | undefined;
  for (const { offset, length } of ranges) {
    const end = Math.min(offset + length, sizeBytes);
    for (let at = offset; at < end; ) {
      const leaf = Math.floor(at / leafBytes);
      if (current?.leaf !== leaf) {
        if (current !== undefined) yield current;
        const leafLength = Math.min(leafBytes, sizeBytes - leaf * leafBytes);
        current = { leaf, units: new Uint8Array(Math.ceil(leafLength / unitBytes)) };
      }
      const leafEnd = Math.min(end, (leaf + 1) * leafBytes);
      const first = Math.floor((at - leaf * leafBytes) / unitBytes);
      const last = Math.floor((leafEnd - 1 - leaf * leafBytes) / unitBytes);
      current.units.fill(1, first, last + 1);
      at = leafEnd;
    }
  }
  if (current !== undefined) yield current;
}
