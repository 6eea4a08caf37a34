// What agents and the service say to each other about enrolment and runs. Every message is checked by the side that gets it; keys that it
// does not know are dropped, because the other side may be one minor version newer (src/protocol/version.ts).
//
// A minor version may add optional keys and nothing else.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { HostFacts } from '../model/agent.ts';
import { Asset } from '../model/asset.ts';
import { Id, Label } from '../model/identifier.ts';
import { Instant } from '../model/instant.ts';
import { Progress, Run, RunFault } from '../model/run.ts';

export const AGENT_PATHS = {
  enrol: '/agent/v1/enrol',
  poll: '/agent/v1/poll',
  end: (runId: string): string => `/agent/v1/runs/${runId}/end`,
} as const;

/** Runs that one agent may hold at once. */
export const AGENT_RUNS_MAX = 64;
/** The longest that an agent may ask a poll to wait. */
export const POLL_WAIT_MS_MAX = 60_000;

const PublicKey = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
const Fence = Type.Integer({ minimum: 1 });

/** Signed with the key that it names: whoever sends it holds it. */
export const EnrolRequest = Type.Object({
  token: Type.String({ minLength: 1, maxLength: 200 }),
  publicKey: PublicKey,
  label: Type.Optional(Label),
  host: HostFacts,
});
export type EnrolRequest = Static<typeof EnrolRequest>;

export const EnrolAnswer = Type.Object({ agentId: Id, tenantId: Id, label: Label, at: Instant });
export type EnrolAnswer = Static<typeof EnrolAnswer>;

/** A run that the agent holds. */
export const HeldRun = Type.Object({
  runId: Id,
  fence: Fence,
  progress: Type.Optional(Progress),
  /** It is being stopped already: that it was canceled need not be said again. */
  isStopping: Type.Optional(Type.Boolean()),
});
export type HeldRun = Static<typeof HeldRun>;

export const PollRequest = Type.Object({
  /** One process of the agent: drawn when it starts. */
  instance: Type.String({ pattern: '^[A-Za-z0-9_-]{8,40}$' }),
  /** With the first poll and when they change. */
  host: Type.Optional(HostFacts),
  running: Type.Array(HeldRun, { maxItems: AGENT_RUNS_MAX }),
  /** Runs that it would begin now. */
  capacity: Type.Integer({ minimum: 0, maximum: AGENT_RUNS_MAX }),
  /** Kinds that it knows; all that its version knows when absent. */
  kinds: Type.Optional(Type.Array(Type.String({ maxLength: 40 }), { maxItems: 20 })),
  waitMs: Type.Integer({ minimum: 0, maximum: POLL_WAIT_MS_MAX }),
});
export type PollRequest = Static<typeof PollRequest>;

/** A command of the policy: executed as it is, without a shell. */
export const HookCommand = Type.Object({
  command: Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), { minItems: 1, maxItems: 100 }),
  timeoutMs: Type.Integer({ minimum: 1, maximum: 86_400_000 }),
  /** What its failure makes of the run. */
  onFailure: Type.Union([Type.Literal('fail'), Type.Literal('warn')]),
});
export type HookCommand = Static<typeof HookCommand>;

/** What the policy says about how a run is done. */
export const RunTerms = Type.Object({
  uploadBytesPerSecond: Type.Optional(Type.Integer({ minimum: 1 })),
  downloadBytesPerSecond: Type.Optional(Type.Integer({ minimum: 1 })),
  hooks: Type.Optional(
    Type.Object({
      /** Before the source is read. */
      before: Type.Array(HookCommand, { maxItems: 20 }),
      /** Afterwards, whatever the outcome was. */
      after: Type.Array(HookCommand, { maxItems: 20 }),
    }),
  ),
});
export type RunTerms = Static<typeof RunTerms>;

export const ClaimedRun = Type.Object({
  run: Run,
  asset: Type.Optional(Asset),
  terms: RunTerms,
  /** Of runs that look at, rehearse or carry out a plan: its text (YAML). */
  plan: Type.Optional(Type.String({ maxLength: 300_000 })),
});
export type ClaimedRun = Static<typeof ClaimedRun>;

export const PollAnswer = Type.Object({
  claimed: Type.Array(ClaimedRun, { maxItems: AGENT_RUNS_MAX }),
  /** Held runs that are to be stopped and ended as canceled. */
  cancel: Type.Array(Id, { maxItems: AGENT_RUNS_MAX }),
  /** Held runs that are somebody else's by now: stop at once and say nothing more about them. */
  fenced: Type.Array(Id, { maxItems: AGENT_RUNS_MAX }),
  /** How long a run stays the agent's after this. */
  leaseMs: Type.Integer({ minimum: 1 }),
  /** By the clock of the service. */
  at: Instant,
});
export type PollAnswer = Static<typeof PollAnswer>;

export const EndRequest = Type.Object({
  fence: Fence,
  state: Type.Union([Type.Literal('succeeded'), Type.Literal('warned'), Type.Literal('failed'), Type.Literal('canceled')]),
  result: Type.Optional(Type.Record(Type.String({ maxLength: 60 }), Type.Unknown())),
  fault: Type.Optional(RunFault),
});
export type EndRequest = Static<typeof EndRequest>;

/** `state`: of the run now; 'queued' when it will be tried again. */
export const EndAnswer = Type.Object({ state: Type.String({ maxLength: 40 }) });
export type EndAnswer = Static<typeof EndAnswer>;

/** Any answer that is not 2xx: problem details. */
export const ProblemAnswer = Type.Object({
  status: Type.Optional(Type.Integer()),
  code: Type.String({ maxLength: 60 }),
  detail: Type.Optional(Type.String({ maxLength: 4000 })),
  hint: Type.Optional(Type.String({ maxLength: 4000 })),
  /** Of AGENT_CLOCK_SKEW: the agent's clock less the service's. */
  skewMs: Type.Optional(Type.Number()),
});
export type ProblemAnswer = Static<typeof ProblemAnswer>;
