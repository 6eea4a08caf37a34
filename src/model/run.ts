// One execution of a task, with progress and outcome. Its idempotency key is asset + kind + due time: no crash, restart or second
// scheduler makes it twice.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id, Name } from './identifier.ts';
import { Instant } from './instant.ts';
import { isDuty, RUN_KINDS, type RunKind } from './run-kind.ts';
import { RUN_STATES, type RunState } from './run-state.ts';

/** Begins the key of a run that somebody asked for. */
export const MANUAL_KEY = 'manual:';

/** A run that loses its holder so often is what kills it. */
export const LOST_MAX = 20;
/** Where the service went away too, every run under way is lost, and one at the most is to blame: nobody's work ends by a service that is restarted, but
 *  a run that kills it does not do so for ever. */
export const LOST_WITH_SERVICE_MAX = 200;

/** Who went away: who held the run and nobody else, or the service (and perhaps its holder as well). */
export type Loss = 'holder' | 'service';

/** Whether another attempt may follow one that failed, or was lost. What was asked for once (a restore) is never done again by itself: what
 *  it has written may have been changed since. */
export function mayTryAgain(run: Run, loss: Loss | undefined): boolean {
  const { kind, attempt, lost = 0, attemptsMax, cancelRequestedAt } = run;
  // Whoever sees to a duty queues the next one at once.
  if (cancelRequestedAt !== undefined || isDuty(kind) || attemptsMax === 1) return false;
  return loss === undefined ? attempt - lost < attemptsMax : !isLastLoss(run, loss);
}

/** Such a loss, were it the next, is the last. */
export function isLastLoss({ lost = 0, lostWithService = 0 }: Pick<Run, 'lost' | 'lostWithService'>, loss: Loss): boolean {
  return loss === 'service' ? lostWithService + 1 >= LOST_WITH_SERVICE_MAX : lost - lostWithService + 1 >= LOST_MAX;
}

export const Progress = Type.Object(
  {
    phase: Type.String({ maxLength: 40 }),
    bytesDone: Type.Integer({ minimum: 0 }),
    bytesTotal: Type.Optional(Type.Integer({ minimum: 0 })),
    bytesStored: Type.Optional(Type.Integer({ minimum: 0 })),
    entriesDone: Type.Optional(Type.Integer({ minimum: 0 })),
    current: Type.Optional(Type.String({ maxLength: 1000 })),
    at: Instant,
  },
  { additionalProperties: false },
);
export type Progress = Static<typeof Progress>;

export const RunFault = Type.Object(
  { code: Type.String({ maxLength: 60 }), message: Type.String({ maxLength: 4000 }), hint: Type.String({ maxLength: 1000 }) },
  { additionalProperties: false },
);
export type RunFault = Static<typeof RunFault>;

export const Run = Type.Object(
  {
    id: Id,
    tenantId: Id,
    /** Absent for a run on a whole repository (prune). */
    assetId: Type.Optional(Id),
    agentId: Type.Optional(Id),
    kind: Type.Unsafe<RunKind>(Type.Union(RUN_KINDS.map((kind) => Type.Literal(kind)))),
    key: Type.String({ maxLength: 300, description: 'idempotency key, unique in the tenant' }),
    /** What the kind needs: a restore's snapshot and target, ... */
    parameters: Type.Record(Type.String(), Type.Unknown()),
    /** Greater goes first. */
    priority: Type.Integer({ minimum: 0, maximum: 100 }),
    state: Type.Unsafe<RunState>(Type.Union(RUN_STATES.map((state) => Type.Literal(state)))),
    dueAt: Instant,
    /** Not to be claimed before. */
    notBefore: Instant,
    /** Not to be started after; absent: whenever. */
    startBy: Type.Optional(Instant),
    attempt: Type.Integer({ minimum: 0 }),
    attemptsMax: Type.Integer({ minimum: 1 }),
    /** Attempts that ended because who held the run went away: they do not count among those that may fail. Limited by LOST_MAX, without those of
     *  `lostWithService`. */
    lost: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Of those, the ones in which the service went away. Limited by LOST_WITH_SERVICE_MAX. */
    lostWithService: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Not to be claimed while so many runs are under way on its host, or at the site of its host. */
    perHostMax: Type.Optional(Type.Integer({ minimum: 1 })),
    perSiteMax: Type.Optional(Type.Integer({ minimum: 1 })),
    /** Of the host that claimed it. */
    site: Type.Optional(Name),
    /** Grows with each claim of this run; whoever holds an older one is refused. */
    fence: Type.Integer({ minimum: 0 }),
    claimedBy: Type.Optional(Type.String()),
    leaseUntil: Type.Optional(Instant),
    cancelRequestedAt: Type.Optional(Instant),
    progress: Type.Optional(Progress),
    result: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    fault: Type.Optional(RunFault),
    requestedBy: Type.String(),
    createdAt: Instant,
    startedAt: Type.Optional(Instant),
    endedAt: Type.Optional(Instant),
  },
  { additionalProperties: false, $id: 'Run' },
);
export type Run = Static<typeof Run>;
