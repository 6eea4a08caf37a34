// Runs: what was done, what is being done, and what is to be done now.

import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import type { NewRun } from '../../catalog/catalog.ts';
import { Id, newId } from '../../model/identifier.ts';
import { Instant, instantOf } from '../../model/instant.ts';
import { MANUAL_KEY, Run } from '../../model/run.ts';
import { AGENT_RUN_KINDS, RUN_KINDS, type RunKind } from '../../model/run-kind.ts';
import { isOver, RUN_STATES, type RunState } from '../../model/run-state.ts';
import { erasureSetting } from '../../trust/erasure-certificate.ts';
import { pauseOf } from '../event-feed.ts';
import { joinRun } from '../join-run.ts';
import { answerPage } from '../page.ts';
import { fieldFault, notFound } from '../problem.ts';
import { type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { eventText } from '../streams.ts';

const STARTABLE = ['backup', 'restore-test', 'verify', 'forget', 'prune'] as const;
const PRIORITY_DEFAULT = 70;
const ATTEMPTS_MAX = 3;
const kindSchema = Type.Unsafe<RunKind>(Type.Union(RUN_KINDS.map((kind) => Type.Literal(kind))));
const stateSchema = Type.Unsafe<RunState>(Type.Union(RUN_STATES.map((state) => Type.Literal(state))));
const NewRunBody = Type.Object(
  {
    kind: Type.Unsafe<(typeof STARTABLE)[number]>(Type.Union(STARTABLE.map((kind) => Type.Literal(kind)))),
    assetId: Type.Optional(Type.String({ ...Id, description: 'of what a backup, restore test or forget is' })),
    priority: Type.Optional(Type.Integer({ minimum: 0, maximum: 100, description: `greater goes first (${PRIORITY_DEFAULT})` })),
    verify: Type.Optional(
      Type.Object(
        {
          mode: Type.Union([Type.Literal('structure'), Type.Literal('sampled'), Type.Literal('full'), Type.Literal('scrub')]),
          share: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'of the packs, when sampled' })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false, $id: 'NewRun' },
);
const ONE = { 200: { description: 'The run', schema: Run } };

export const RUN_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/runs',
    name: 'listRuns',
    tag: 'runs',
    summary: 'List runs, the newest first',
    action: 'run.read',
    query: {
      ...PAGE_QUERY,
      assetId: Type.Optional(Id),
      kind: Type.Optional(kindSchema),
      state: Type.Optional(stateSchema),
      since: Type.Optional(Instant),
    },
    answers: { 200: { description: 'A page', schema: pageSchema(Run) } },
    handle: (call) => {
      const { assetId, kind, state, since } = call.query;
      const filter = {
        ...(assetId === undefined ? {} : { assetId }),
        ...(kind === undefined ? {} : { kind }),
        ...(state === undefined ? {} : { states: [state] }),
        ...(since === undefined ? {} : { since }),
      };
      return answerPage(call, `runs ${JSON.stringify(filter)}`, (page) => call.catalog.runs.list(call.tenant.id, filter, page));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/runs',
    name: 'startRun',
    tag: 'runs',
    summary: 'Start a run now: a backup, a restore test, verify, forget or prune',
    description:
      'One of the same that is queued already is answered, and goes now: it will hold all that is there now. One that runs has begun before; the new one begins when that is over.',
    action: 'run.start',
    body: NewRunBody,
    isIdempotent: true,
    answers: {
      200: { description: 'It was queued already, and goes now', schema: Run },
      201: { description: 'Queued', schema: Run },
    },
    handle: async (call) => {
      const { kind, assetId, priority = PRIORITY_DEFAULT, verify } = call.body;
      if (verify !== undefined && kind !== 'verify') throw fieldFault('body/verify', 'is for runs of kind "verify"');
      const ofAsset = await assetParts(call, kind, assetId);
      const id = newId('run', call.at, call.random);
      const at = instantOf(call.at);
      const run: NewRun = {
        id,
        tenantId: call.tenant.id,
        ...ofAsset.parts,
        kind,
        key: `${MANUAL_KEY}${id}`,
        parameters: { ...verify, ...ofAsset.parameters },
        priority,
        dueAt: at,
        notBefore: at,
        attemptsMax: ATTEMPTS_MAX,
        requestedBy: call.actor,
      };
      const details = { kind, ...(assetId === undefined ? {} : { assetId }) };
      return call.change(
        ({ status, body }) => ({ action: status === 200 ? 'run.hasten' : 'run.start', subject: (body as Run).id, details }),
        async (tables) => {
          const joined = await joinRun(tables, run, at);
          const body = joined ?? (await tables.runs.add(run, at)).run;
          return { status: joined === undefined ? 201 : 200, body, headers: { location: locationOf(call, body.id) } };
        },
        () => call.wake(ofAsset.parts.agentId),
      );
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/runs/{run}',
    name: 'getRun',
    tag: 'runs',
    summary: 'Show a run',
    action: 'run.read',
    answers: ONE,
    handle: async (call) => ({ status: 200, body: await runOf(call) }),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/runs/{run}/stream',
    name: 'streamRun',
    tag: 'runs',
    summary: 'Follow a run until it is over: an event "run" for every change',
    action: 'run.read',
    answers: { 200: { description: 'Events whose data is the run', schema: Type.String(), media: 'text/event-stream' } },
    handle: async (call) => {
      await runOf(call);
      return { status: 200 };
    },
    stream:
      (call) =>
      async ({ signal, write }) => {
        let [shown, count] = ['', 0];
        while (!signal.aborted) {
          const run = await runOf(call);
          const text = JSON.stringify(run);
          if (text !== shown) await write(eventText(++count, 'run', run));
          shown = text;
          if (isOver(run.state)) return;
          await pauseOf(call.config.streams.pollMs, signal);
        }
      },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/runs/{run}/cancel',
    name: 'cancelRun',
    tag: 'runs',
    summary: 'Cancel a run: a queued one at once, a running one is asked to stop',
    action: 'run.cancel',
    isForClosed: true,
    isIdempotent: true,
    answers: ONE,
    handle: async (call) => {
      const before = await runOf(call);
      if (isOver(before.state)) throw new Fault('REQUEST_CONFLICT', `The run is over: it ${before.state}`);
      return call.change(
        { action: 'run.cancel', subject: before.id },
        async ({ runs, settings }) => {
          if (before.kind === 'erase' && (await settings.get(erasureSetting(call.tenant.id))) !== undefined)
            throw new Fault('REQUEST_CONFLICT', 'The erasure has begun: it goes on to its end');
          const run = await runs.cancel(call.tenant.id, before.id, instantOf(call.at));
          if (run === undefined) throw notFound();
          return { status: 200, body: run };
        },
        () => call.wake(before.agentId),
      );
    },
  }),
];

export function locationOf({ tenant }: Call, runId: string): string {
  return `/v1/tenants/${tenant.id}/runs/${runId}`;
}

async function runOf({ catalog, tenant, params }: Call): Promise<Run> {
  const run = await catalog.runs.get(tenant.id, params['run']!);
  if (run === undefined) throw notFound();
  return run;
}

type AssetParts = {
  readonly parts: { readonly assetId?: string; readonly agentId?: string };
  readonly parameters?: Readonly<Record<string, unknown>>;
};

async function assetParts({ catalog, tenant }: Call, kind: RunKind, assetId: string | undefined): Promise<AssetParts> {
  const isOfAgent = AGENT_RUN_KINDS.includes(kind);
  if (assetId === undefined) {
    if (isOfAgent || kind === 'forget') throw fieldFault('body/assetId', `is missing: a ${kind} is of an asset`);
    return { parts: {} };
  }
  if (kind === 'prune' || kind === 'verify')
    throw fieldFault('body/assetId', `does not go with ${kind}, which is of the whole repository`);
  const asset = await catalog.assets.get(tenant.id, assetId);
  if (asset === undefined) throw fieldFault('body/assetId', 'names no asset of this tenant');
  if (asset.state === 'retired') throw new Fault('REQUEST_CONFLICT', 'A retired asset is not backed up any more');
  if (!isOfAgent) return { parts: { assetId } };
  const agent = await catalog.agents.get(asset.agentId, tenant.id);
  if (agent?.state !== 'active') throw new Fault('REQUEST_CONFLICT', 'The agent of this asset was revoked; give it another one');
  const parts = { assetId, agentId: asset.agentId };
  if (kind !== 'restore-test') return { parts };
  const point = await catalog.recoveryPoints.latest(assetId);
  if (point === undefined) throw new Fault('REQUEST_CONFLICT', 'It has no recovery point yet that could be tested');
  return { parts, parameters: { snapshot: point.snapshot, target: 'scratch' } };
}
