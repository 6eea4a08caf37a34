// Lists snapshots.

import { EXIT } from '../base/faults.ts';
import { formatBytes } from '../base/units.ts';
import { displayPath } from '../model/entry-path.ts';
import { isOriginTag } from '../model/origin-tag.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { withRepository } from './open.ts';
import { selectSnapshots } from './select.ts';
import { shortId, snapshotFields } from './snapshot-fields.ts';
import { type Column, formatTime, tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

const COLUMNS: readonly Column[] = [
  { title: 'id' },
  { title: 'time' },
  { title: 'host' },
  { title: 'type' },
  { title: 'size', align: 'right' },
  { title: 'new', align: 'right' },
  { title: 'stored', align: 'right' },
  { title: 'tags' },
  { title: 'asset' },
  { title: 'paths' },
];
const PATHS_SHOWN = 3;

export function snapshots(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  return withRepository(invocation, async (repository) => {
    let damaged = 0;
    const selected = await selectSnapshots(repository, options, signal, ({ session, fault }) => {
      damaged++;
      output.warning(fault.message, { code: fault.code, snapshot: session });
    });
    for (const snapshot of selected) output.record('snapshot', snapshotFields(snapshot));
    if (selected.length === 0) output.notice('No snapshots');
    else for (const line of tableLines(COLUMNS, selected.map(rowOf))) output.line(line);
    output.summary('snapshots', { snapshots: selected.length, damaged });
    return damaged > 0 ? EXIT.damage : 0;
  });
}

function rowOf({ id, startedAt, host, type, root, statistics, tags, asset, paths, problems }: Snapshot): string[] {
  const shown = paths.slice(0, PATHS_SHOWN).map(displayPath);
  if (paths.length > PATHS_SHOWN) shown.push(`and ${paths.length - PATHS_SHOWN} more`);
  return [
    shortId(id),
    formatTime(startedAt),
    host,
    problems === 0 ? type : `${type} (!)`,
    formatBytes(root.contentBytes),
    formatBytes(statistics.bytesNew),
    formatBytes(statistics.bytesStored),
    tags.map((tag) => (isOriginTag(tag) ? '(copy)' : tag)).join(','),
    asset,
    shown.join(' '),
  ];
}
