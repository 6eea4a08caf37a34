// The way back for a database: which base, which log, and where exactly it ends is found out, and said, before anything is moved. What cannot be
// restored is refused with the window in the message.

import { Fault } from '../base/faults.ts';
import type { Asset } from '../model/asset.ts';
import type { ClusterExtract, ClusterExtractOrder, RecoveryPlace } from '../model/cluster-restore.ts';
import { microsOfText, textOfMicros } from '../model/instant-text.ts';
import { formatLsn, parseLsn } from '../model/lsn.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { LogPlan, LogTarget } from '../scheduler/log-windows.ts';
import { fieldFault } from './problem.ts';
import type { Call } from './route.ts';

export type ClusterWay = {
  readonly point: RecoveryPoint;
  readonly plan: LogPlan;
  /** As it was asked for. */
  readonly requested: string;
  readonly target: LogTarget;
};

/** RECOVERY_REFUSED, LOG_GAP. `at`: an instant; without both: the latest. */
export async function wayOf(
  call: Call,
  asset: Asset,
  place: RecoveryPlace | undefined,
  at: string | undefined,
): Promise<ClusterWay> {
  const { catalog, tenant, logs } = call;
  if (place !== undefined && at !== undefined) throw fieldFault('body', 'has both a point and an instant; one is enough');
  const target = targetOf(place ?? (at === undefined ? { latest: true } : { time: at }));
  const plan = await logs.plan(asset, target);
  if (plan.kind !== 'plan')
    throw new Fault(
      plan.kind === 'gap' ? 'LOG_GAP' : 'RECOVERY_REFUSED',
      `"${asset.name}" cannot be brought back there: ${plan.reason}. ${await windowText(call, asset)}`,
      { hint: 'See the recovery window of the asset: "holdfast window", or GET .../recovery-window.' },
    );
  const point = await catalog.recoveryPoints.get(tenant.id, plan.base.snapshot);
  if (point === undefined)
    throw new Fault(
      'REQUEST_CONFLICT',
      `The catalogue does not know the base backup ${plan.base.snapshot} yet; try again in a moment`,
    );
  return { point, plan, requested: requestedText(target), target };
}

export function clusterOrder<Wish extends object>(
  { point, plan, requested }: ClusterWay,
  wish: Wish,
): Wish & Omit<ClusterExtractOrder, 'extract'> {
  const { base, legs, stopAt, timeline, incarnation } = plan;
  return {
    snapshot: point.snapshot,
    ...wish,
    requested,
    incarnation,
    plan: {
      base: { ...base },
      legs: legs.map((leg) => ({ ...leg })),
      ...(stopAt === undefined ? {} : { stopAt: { ...stopAt } }),
      timeline,
    },
  };
}

/** With the name that what is extracted gets: one that says of when it is, when none was asked for. */
export function namedExtract(extract: ClusterExtract, at: Date): ClusterExtractOrder['extract'] {
  const stamp = at.toISOString().replace(/\D/g, '').slice(0, 14);
  const prefix = extract.tables === undefined ? `${extract.database.slice(0, 38)}_restored` : 'restored';
  return { ...extract, as: extract.as ?? `${prefix}_${stamp}` };
}

function targetOf({ time, lsn, xid, name }: RecoveryPlace): LogTarget {
  if (time !== undefined) {
    const micros = microsOfText(time);
    if (micros === undefined)
      throw fieldFault('body/point/time', 'is no RFC 3339 time with an offset: nobody knows which moment it means');
    return { kind: 'time', time: micros };
  }
  if (lsn !== undefined) {
    const position = parseLsn(lsn);
    if (position === undefined) throw fieldFault('body/point/lsn', 'is no position in a log');
    return { kind: 'position', position };
  }
  if (xid !== undefined) return { kind: 'transaction', id: xid };
  return name === undefined ? { kind: 'latest' } : { kind: 'point', name };
}

function requestedText(target: LogTarget): string {
  switch (target.kind) {
    case 'time':
      return textOfMicros(target.time);
    case 'position':
      return formatLsn(target.position);
    case 'transaction':
      return `transaction ${target.id}`;
    case 'point':
      return `restore point ${target.name}`;
    case 'latest':
      return 'latest';
  }
}

async function windowText({ logs }: Call, asset: Asset): Promise<string> {
  const { intervals } = await logs.of(asset);
  if (intervals.length === 0) return 'Nothing can be restored yet.';
  const texts = intervals.slice(-20).map(({ from, to }) => `${textOfMicros(from.time)} to ${textOfMicros(to.time)}`);
  return `What can be restored: ${texts.join('; ')}.`;
}
