// Finds entries by name in one snapshot or in all.

import { EntryFinder } from '../engine/find.ts';
import { compileExclude } from '../files/exclude.ts';
import { displayPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import { entryFields, longLine } from './ls.ts';
import { withRepository } from './open.ts';
import { selectSnapshot, selectSnapshots } from './select.ts';
import { shortId } from './snapshot-fields.ts';
import { formatTime } from './table.ts';
import type { Invocation } from './verb.ts';

export function find(invocation: Invocation): Promise<number> {
  const { args, options, output, signal } = invocation;
  const kind = options.text('type');
  const matches = compileExclude(args);
  const isWanted = (entry: StoredEntry): boolean =>
    entry.path !== '' && (kind === undefined || entry.kind === kind) && matches(entry.path, entry.kind === 'directory');
  return withRepository(invocation, async (repository) => {
    const name = options.text('snapshot');
    const selected =
      name === undefined
        ? await selectSnapshots(repository, options, signal)
        : [await selectSnapshot(repository, name, invocation)];
    await repository.openIndex({ signal });
    const finder = new EntryFinder(repository.readNode, isWanted);
    let found = 0;
    for (const snapshot of selected) {
      if (snapshot.type !== 'files') continue;
      let here = 0;
      for await (const entry of finder.find(snapshot.root.reference)) {
        signal.throwIfAborted();
        if (output.isJson) output.record('match', { snapshot: snapshot.id, ...entryFields(entry) });
        else {
          if (here === 0) output.line(titleOf(snapshot));
          output.line(`  ${options.flag('long') ? longLine(entry) : displayPath(entry.path)}`);
        }
        here++;
        if (output.isClosed) break;
      }
      found += here;
    }
    if (found === 0) output.notice('Nothing was found');
    output.summary('find', { snapshots: selected.length, found });
    return 0;
  });
}

function titleOf({ id, asset, startedAt }: Snapshot): string {
  return `${shortId(id)} of ${asset}, ${formatTime(startedAt)}`;
}
