// Finds entries by name in one snapshot or in all.

import { EntryFinder } from '../engine/find.ts';
import { compileExclude } from '../files/exclude.ts';
import { displayPath, joinPaths } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import { entryFields, longLine } from './ls.ts';
import { withRepository } from './open.ts';
import { pathFields } from './paths.ts';
import { selectSnapshot, selectSnapshots } from './select.ts';
import { shortId } from './snapshot-fields.ts';
import { sourceName } from './snapshot-path.ts';
import { formatTime } from './table.ts';
import type { Invocation } from './verb.ts';

export function find(invocation: Invocation): Promise<number> {
  const { args, options, output, signal } = invocation;
  const kind = options.text('type');
  const matches = compileExclude(args);
  return withRepository(invocation, async (repository) => {
    const name = options.text('snapshot');
    const selected =
      name === undefined
        ? await selectSnapshots(repository, options, signal)
        : [await selectSnapshot(repository, name, invocation)];
    await repository.openIndex({ signal });
    const finders = new Map<string, EntryFinder>();
    const finderOf = (snapshot: Snapshot): EntryFinder => {
      const source = sourceOf(snapshot);
      const isWanted = (entry: StoredEntry): boolean => {
        if (kind !== undefined && entry.kind !== kind) return false;
        const paths = [entry.path, joinPaths(source, entry.path)].filter((path) => path !== '');
        return paths.some((path) => matches(path, entry.kind === 'directory'));
      };
      const finder = finders.get(source) ?? new EntryFinder(repository.readNode, isWanted);
      finders.set(source, finder);
      return finder;
    };
    let found = 0;
    for (const snapshot of selected) {
      let here = 0;
      const tell = (text: string, fields: Readonly<Record<string, unknown>>): void => {
        if (output.isJson) output.record('match', { snapshot: snapshot.id, ...fields });
        else {
          if (here === 0) output.line(titleOf(snapshot));
          output.line(`  ${text}`);
        }
        here++;
      };
      if (snapshot.type !== 'files') {
        const source = sourceOf(snapshot);
        const { type, root, paths } = snapshot;
        if ((kind ?? 'file') === 'file' && source !== '' && matches(source, false))
          tell(displayPath(paths[0]!), { ...pathFields(sourceName(snapshot)), type, size: root.contentBytes });
      } else
        for await (const entry of finderOf(snapshot).find(snapshot.root.reference)) {
          signal.throwIfAborted();
          const path = entry.path === '' ? (snapshot.paths[0] ?? '.') : entry.path;
          tell(options.flag('long') ? longLine(entry) : displayPath(path), entryFields(entry));
          if (output.isClosed) break;
        }
      found += here;
    }
    if (found === 0) output.notice('Nothing was found');
    output.summary('find', { snapshots: selected.length, found });
    return 0;
  });
}

/** What its entries lie below, without the "/" before it; '' when they have their whole paths. A pattern may name either. */
function sourceOf({ paths }: Snapshot): string {
  return paths.length === 1 ? paths[0]!.replace(/^\/+|\/+$/g, '') : '';
}

function titleOf({ id, asset, startedAt }: Snapshot): string {
  return `${shortId(id)} of ${asset}, ${formatTime(startedAt)}`;
}
