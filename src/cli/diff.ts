// What differs between two snapshots.

import { formatBytes } from '../base/units.ts';
import { type Difference, diffTrees } from '../engine/diff.ts';
import { diffVolumes } from '../engine/diff-volumes.ts';
import { displayPath } from '../model/entry-path.ts';
import { bytesEqual } from '../model/reference.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { entryFields } from './ls.ts';
import { withRepository } from './open.ts';
import { usage } from './option.ts';
import { pathFields } from './paths.ts';
import { selectSnapshot } from './select.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';

export function diff(invocation: Invocation): Promise<number> {
  const { args, signal } = invocation;
  return withRepository(invocation, async (repository) => {
    const before = await selectSnapshot(repository, args[0]!, invocation);
    const after = await selectSnapshot(repository, args[1]!, invocation);
    if (before.type !== after.type)
      throw usage(
        `${shortId(before.id)} is of ${nounOf(before)} and ${shortId(after.id)} of ${nounOf(after)}: they cannot be compared`,
      );
    await repository.openIndex({ signal });
    if (before.type === 'files') await compareTrees(invocation, repository, before, after);
    else if (before.type === 'volume') await compareVolumes(invocation, repository, before, after);
    else compareStreams(invocation, before, after);
    return 0;
  });
}

function nounOf({ type }: Snapshot): string {
  return type === 'files' ? 'files' : `a ${type}`;
}

const SIGNS: Readonly<Record<Difference['change'], string>> = { added: '+', removed: '-', changed: 'M', metadata: 'm' };

async function compareTrees(
  { output, signal }: Invocation,
  { readNode }: Repository,
  before: Snapshot,
  after: Snapshot,
): Promise<void> {
  const counts = { added: 0, removed: 0, changed: 0, metadata: 0 };
  let bytesAdded = 0;
  let bytesRemoved = 0;
  for await (const difference of diffTrees(before.root.reference, after.root.reference, readNode)) {
    signal.throwIfAborted();
    counts[difference.change]++;
    if (difference.change !== 'removed') bytesAdded += difference.change === 'metadata' ? 0 : difference.after.sizeBytes;
    if (difference.change !== 'added') bytesRemoved += difference.change === 'metadata' ? 0 : difference.before.sizeBytes;
    if (output.isJson) output.record('difference', differenceFields(difference));
    else output.line(lineOf(difference, output.options.verbose));
    if (output.isClosed) break;
  }
  const { added, removed, changed, metadata } = counts;
  output.notice(
    `${added} added, ${removed} removed, ${changed} changed, ${metadata} with other metadata; ${formatBytes(bytesAdded)} came, ${formatBytes(bytesRemoved)} went`,
  );
  output.summary('diff', { before: before.id, after: after.id, ...counts, bytesAdded, bytesRemoved });
}

function lineOf(difference: Difference, verbose: boolean): string {
  const { change, path } = difference;
  const fields = verbose && 'fields' in difference ? `  (${difference.fields.join(', ')})` : '';
  return `${SIGNS[change]} ${displayPath(path === '' ? '.' : path)}${fields}`;
}

function differenceFields(difference: Difference): Readonly<Record<string, unknown>> {
  const { change, path } = difference;
  return {
    ...pathFields(path),
    change,
    ...('fields' in difference ? { fields: difference.fields } : {}),
    ...('before' in difference ? { before: entryFields(difference.before) } : {}),
    ...('after' in difference ? { after: entryFields(difference.after) } : {}),
  };
}

/** Lines of "offset length", as "backup --changed-ranges" reads them. */
async function compareVolumes(
  { output, signal }: Invocation,
  { readNode, parameters }: Repository,
  before: Snapshot,
  after: Snapshot,
): Promise<void> {
  const mapOf = ({ root }: Snapshot) => ({ root: root.reference, sizeBytes: root.contentBytes });
  let ranges = 0;
  let bytes = 0;
  for await (const { offset, length } of diffVolumes(mapOf(before), mapOf(after), parameters.paged.unitBytes, readNode)) {
    signal.throwIfAborted();
    ranges++;
    bytes += length;
    if (output.isJson) output.record('range', { offset, length });
    else output.line(`${offset} ${length}`);
    if (output.isClosed) break;
  }
  output.notice(`${ranges} ranges, ${formatBytes(bytes)} of ${formatBytes(after.root.contentBytes)}`);
  output.summary('diff', { before: before.id, after: after.id, ranges, bytes, unitBytes: parameters.paged.unitBytes });
}

function compareStreams({ output }: Invocation, before: Snapshot, after: Snapshot): void {
  const same =
    before.root.contentBytes === after.root.contentBytes &&
    bytesEqual(before.root.reference.subarray(16), after.root.reference.subarray(16));
  output.line(
    same
      ? 'The streams are equal'
      : `The streams differ: ${formatBytes(before.root.contentBytes)}, then ${formatBytes(after.root.contentBytes)}`,
  );
  output.summary('diff', { before: before.id, after: after.id, same });
}
