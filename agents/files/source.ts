// A tree of files as the source of a backup. One root: paths in the snapshot are relative to it. Several roots: paths are absolute without
// the leading "/", and the directories above the roots are entries of their own.

import { resolve } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { FileSource, SourceEntry, SourceProblem } from '../../src/engine/file-source.ts';
import { SourceTree } from '../../src/files/source-tree.ts';
import { type WalkOptions, walk } from '../../src/files/walk.ts';
import type { Xattr } from '../../src/model/entry.ts';
import { comparePaths, isWithinPath } from '../../src/model/entry-path.ts';

type Root = { readonly location: string; readonly prefix: string };

/** Of all roots, or of each: `root` is absolute, latin1. */
export type SourceOptions = WalkOptions | ((root: string) => WalkOptions);

/** `paths`: latin1, absolute or relative to the working directory. */
export function openFileSource(paths: readonly string[], options: SourceOptions = {}): FileSource {
  const locations = [...new Set(paths.map((path) => absolute(path)))].sort(comparePaths);
  const tops = locations.filter((location) => !locations.some((other) => other !== location && isWithinPath(location, other)));
  if (tops.length === 0) throw new Fault('USAGE', 'Nothing to back up was named');
  const single = tops.length === 1;
  const roots = tops.map((location): Root => ({ location, prefix: single ? '' : location.slice(1) }));
  const trees = new Map<string, SourceTree>();
  const optionsOf = (root: string): WalkOptions => (typeof options === 'function' ? options(root) : options);

  const rootOf = (path: string): Root => {
    if (single) return roots[0]!;
    const root = roots.find(({ prefix }) => isWithinPath(path, prefix));
    // A directory above the roots.
    return root ?? { location: `/${path}`, prefix: path };
  };
  const locate = (path: string): { readonly root: string; readonly path: string } => {
    const { location, prefix } = rootOf(path);
    return { root: location, path: prefix === '' ? path : path.slice(prefix.length + 1) };
  };

  function* items(): Generator<SourceEntry | SourceProblem> {
    const made = new Set<string>();
    for (const { location, prefix } of roots) {
      if (!single) yield* above(prefix, made);
      for (const item of walk([location], optionsOf(location))) {
        if (prefix === '') yield item;
        else yield { ...item, path: item.path === '' ? prefix : `${prefix}/${item.path}` };
      }
    }
  }

  function* above(prefix: string, made: Set<string>): Generator<SourceEntry | SourceProblem> {
    for (let slash = prefix.indexOf('/'); slash !== -1; slash = prefix.indexOf('/', slash + 1)) {
      const path = prefix.slice(0, slash);
      if (made.has(path)) continue;
      made.add(path);
      for (const item of walk([`/${path}`], optionsOf(`/${path}`))) {
        yield { ...item, path };
        break;
      }
    }
  }

  return {
    roots: tops,
    items,
    locate,
    readXattrs: (path: string): readonly Xattr[] => {
      const place = locate(path);
      let tree = trees.get(place.root);
      if (tree === undefined) {
        tree = new SourceTree(place.root);
        trees.set(place.root, tree);
      }
      return tree.readXattrs(place.path);
    },
  };
}

function absolute(path: string): string {
  // `resolve` works on any chars; latin1 bytes are chars here.
  return resolve(Buffer.from(process.cwd()).toString('latin1'), path);
}
