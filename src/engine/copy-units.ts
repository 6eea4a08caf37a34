// Copying content by position: leaf by leaf, some at a time. Of a leaf only the units are read that differ from those of the original of
// the parent; the others keep the place that they have in the parent.

import { invariant } from '../base/invariant.ts';
import { decodeUnitsLeaf, UNITS_PER_LEAF, type UnitsLeaf } from '../format/units-node.ts';
import { bytesEqual, NO_REFERENCES, type References, referenceAt } from '../model/reference.ts';
import type { FileTask } from '../worker/file-task.ts';
import { UnitsMapBuilder, unitsLeaves } from './content-map.ts';
import type { CopyRun } from './copy-run.ts';
import { comparableLeaves, leafReference, type PagedParent } from './large-content.ts';

/** Leaves in flight: 4 MiB each. */
const LEAVES_AHEAD = 4;

/** The same content in the other repository. */
export type UnitsBase = { readonly original: PagedParent; readonly copy: PagedParent };

/** Answers the root of the copy. Units are of one size in both repositories. */
export async function copyUnits(
  run: CopyRun,
  cut: 'paged' | 'volume',
  map: PagedParent,
  base: UnitsBase | undefined,
): Promise<References> {
  const { from, to, pipeline, progress, signal } = run;
  const { unitBytes } = from.parameters.paged;
  invariant(to.parameters.paged.unitBytes === unitBytes, 'units are of one size in both repositories');
  const builder = new UnitsMapBuilder((node) => pipeline.putNode(node));
  const units = Math.ceil(map.sizeBytes / unitBytes);
  const comparable = base === undefined ? 0 : comparableLeaves(base.original, map.sizeBytes, unitBytes);
  const originals =
    base === undefined ? undefined : unitsLeaves(base.original.root, Math.ceil(base.original.sizeBytes / unitBytes), from.readNode);
  const copies =
    base === undefined ? undefined : unitsLeaves(base.copy.root, Math.ceil(base.copy.sizeBytes / unitBytes), to.readNode);
  const ahead: Promise<References>[] = [];
  let leaf = 0;
  for await (const reference of unitsLeaves(map.root, units, from.readNode)) {
    signal.throwIfAborted();
    const isComparable = leaf < comparable;
    const original = isComparable ? ((await originals!.next()).value ?? NO_REFERENCES) : undefined;
    const copy = isComparable ? ((await copies!.next()).value ?? NO_REFERENCES) : undefined;
    const offset = leaf * UNITS_PER_LEAF * unitBytes;
    const length = Math.min(UNITS_PER_LEAF * unitBytes, map.sizeBytes - offset);
    leaf++;
    await pipeline.room();
    const work = copyLeaf(run, { cut, reference, offset, length, unitBytes, original, copy }).then((done) => {
      progress.bytesDone += length;
      return done;
    });
    work.catch(() => {});
    ahead.push(work);
    if (ahead.length >= LEAVES_AHEAD) builder.add(await ahead.shift()!);
  }
  for (const work of ahead) builder.add(await work);
  return builder.finish(units);
}

type LeafCopy = {
  readonly cut: 'paged' | 'volume';
  readonly reference: References;
  readonly offset: number;
  readonly length: number;
  readonly unitBytes: number;
  /** Of the base, where it has this leaf; none when all of it is zero. */
  readonly original: References | undefined;
  readonly copy: References | undefined;
};

async function copyLeaf(run: CopyRun, leaf: LeafCopy): Promise<References> {
  const { from, to, pipeline } = run;
  const { cut, reference, length, original, copy } = leaf;
  if (reference.length === 0) return NO_REFERENCES;
  if (original !== undefined && copy !== undefined && bytesEqual(reference, original)) return copy;
  const before = original === undefined || original.length === 0 ? undefined : unitsOf(await from.readNode(original), leaf);
  const { bytes, changed } = await readUnits(run, leaf, unitsOf(await from.readNode(reference), leaf), before);
  const parent = before === undefined || copy === undefined || copy.length === 0 ? undefined : await to.readNode(copy);
  const task: FileTask = {
    file: 0,
    root: '',
    path: '',
    bytes,
    cut,
    offset: 0,
    length,
    expected: undefined,
    parentLeaves: [parent ?? null],
    ...(parent === undefined ? {} : { changedUnits: [changed] }),
  };
  const result = (await pipeline.runFiles([task]))[0]!;
  return leafReference(pipeline, result.leaves[0]!, copy);
}

/** The reference of each unit; none where it is zero. */
function unitsOf(node: Uint8Array, { length, unitBytes }: LeafCopy): References[] {
  const units = Math.ceil(length / unitBytes);
  const { set, references }: UnitsLeaf = decodeUnitsLeaf(node, units, unitBytes, length - (units - 1) * unitBytes);
  let n = 0;
  return Array.from({ length: units }, (_, u) => (set[u] === 1 ? referenceAt(references, n++) : NO_REFERENCES));
}

/** The bytes of the units that differ from `before`, at their places; zeros elsewhere. */
async function readUnits(
  run: CopyRun,
  leaf: LeafCopy,
  units: readonly References[],
  before: readonly References[] | undefined,
): Promise<{ readonly bytes: Uint8Array; readonly changed: Uint8Array }> {
  const { from, progress } = run;
  const bytes = new Uint8Array(leaf.length);
  const changed = new Uint8Array(units.length);
  for (let u = 0; u < units.length; u++) {
    const reference = units[u]!;
    if (before !== undefined && bytesEqual(reference, before[u]!)) continue;
    changed[u] = 1;
    if (reference.length === 0) continue;
    const unit = await from.reader.read(reference);
    bytes.set(unit, u * leaf.unitBytes);
    progress.bytesRead += unit.length;
  }
  return { bytes, changed };
}
