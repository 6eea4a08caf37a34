// Which snapshots a verb is about: those that its filters let through, or the one that is named.

import { Fault } from '../base/faults.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { isAhead } from '../policy/retention.ts';
import type { Repository } from '../repository/repository.ts';
import { type DamagedSnapshot, listSnapshots, resolveSnapshot } from '../repository/snapshots.ts';
import type { OptionValues } from './option.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';

type Head = Parameters<typeof listSnapshots>[1];

/** Oldest first. `onDamaged`: see `listSnapshots`. */
export async function selectSnapshots(
  repository: Repository,
  options: OptionValues,
  signal: AbortSignal,
  onDamaged?: (damaged: DamagedSnapshot) => void,
): Promise<Snapshot[]> {
  return selectFrom(repository, await repository.heads.read({ signal }), options, signal, onDamaged);
}

async function selectFrom(
  repository: Repository,
  head: Head,
  options: OptionValues,
  signal: AbortSignal,
  onDamaged?: (damaged: DamagedSnapshot) => void,
): Promise<Snapshot[]> {
  const asset = options.text('asset');
  const assetId = asset === undefined ? undefined : repository.keyring.assetId(asset);
  const isWanted = filterOf(options);
  return (await listSnapshots(repository, head, { signal }, assetId, onDamaged)).filter(isWanted);
}

/** SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS, SNAPSHOT_DAMAGED: of "latest" also when another is, since that one may be newer. The filters
 *  decide what "latest" means, and must let through what is named otherwise. */
export async function selectSnapshot(
  repository: Repository,
  name: string,
  invocation: Pick<Invocation, 'options' | 'output' | 'signal'>,
): Promise<Snapshot> {
  const { options, signal } = invocation;
  const { location } = repository.store;
  const described = describeFilters(options);
  const latest = /^latest(?:~(\d{1,6}))?$/.exec(name);
  if (latest !== null) {
    const head = await repository.heads.read({ signal });
    const snapshots = await selectFrom(repository, head, options, signal);
    const found = fromTheEnd(snapshots, Number(latest[1] ?? 0), name, head, invocation);
    if (found === undefined)
      throw new Fault(
        'SNAPSHOT_NOT_FOUND',
        `The repository at ${location} has ${snapshots.length} snapshots${described}, no "${name}"`,
      );
    return found;
  }
  const snapshot = await resolveSnapshot(repository, name, { signal });
  if (!filterOf(options)(snapshot)) throw new Fault('SNAPSHOT_NOT_FOUND', `The snapshot ${snapshot.id} is not one${described}`);
  return snapshot;
}

/** By their times. One that lies in the future says that a clock is wrong, here or there: then they follow each other as they were stored. */
function fromTheEnd(
  snapshots: readonly Snapshot[],
  count: number,
  name: string,
  head: Head,
  { output }: Pick<Invocation, 'output'>,
): Snapshot | undefined {
  const byTime = snapshots.at(-1 - count);
  const now = new Date();
  const ahead = snapshots.findLast(({ startedAt }) => isAhead(startedAt, now));
  if (ahead === undefined) return byTime;
  const places = new Map(head.snapshots.map(({ session }, place) => [session, place]));
  const stored = snapshots.toSorted((a, b) => places.get(a.id)! - places.get(b.id)!).at(-1 - count);
  if (stored !== undefined && stored !== byTime)
    output.warning(
      `The snapshot ${shortId(ahead.id)} has a time in the future, ${ahead.startedAt}; it is ${now.toISOString()} here. "${name}" is ${shortId(stored.id)}, by the order in which they were stored`,
      { snapshot: stored.id, ahead: ahead.id },
    );
  return stored;
}

function filterOf(options: OptionValues): (snapshot: Snapshot) => boolean {
  const asset = options.text('asset');
  const host = options.text('host');
  const tags = options.texts('tag');
  return (snapshot) =>
    (asset === undefined || snapshot.asset === asset) &&
    (host === undefined || snapshot.host === host) &&
    tags.every((tag) => snapshot.tags.includes(tag));
}

function describeFilters(options: OptionValues): string {
  const words = ['asset', 'host', 'tag'].flatMap((name) => options.texts(name).map((value) => ` with ${name} "${value}"`));
  return words.join(' and');
}
