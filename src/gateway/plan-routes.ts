// Evidence of drills and failovers, and journals of failovers, from the agents that carry them out. Registered behind agent-routes.ts, whose signatures it uses. What comes is
// verified as anybody could: form, signature, chain, attachments, and every sum done again; it must be of the very plan of the run.

import type { FastifyPluginAsync } from 'fastify';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Pack } from '../evidence/pack.ts';
import { verifyEvidence } from '../evidence/verify-pack.ts';
import type { Agent } from '../model/agent.ts';
import { EVIDENCE_ID, type Evidence, PACK_FILE } from '../model/evidence.ts';
import { instantOf } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';
import { EVIDENCE_BYTES_MAX, type EvidenceAnswer, EvidenceRequest, JournalRequest, PLAN_PATHS } from '../protocol/plan-messages.ts';
import { readMessage } from '../protocol/read-message.ts';
import { appendAudit } from '../trust/audit-chain.ts';
import { agentOf } from './agent-routes.ts';
import { heldRun } from './session-keeper.ts';
import { takeJournal } from './take-journal.ts';

const WITH_EVIDENCE: readonly RunKind[] = ['drill', 'failover'];
const JOURNAL_BYTES_MAX = 4 * 1024 * 1024;
const ID = new RegExp(EVIDENCE_ID);
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export type PlanRoutesOptions = { readonly catalog: Catalog; readonly now: () => Date };

export function planRoutes(options: PlanRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    app.post<{ Params: { run: string } }>(PLAN_PATHS.evidence(':run'), { bodyLimit: EVIDENCE_BYTES_MAX }, async (request) => {
      const message = readMessage(EvidenceRequest, request.body, 'The evidence of a run');
      return takeEvidence(options, agentOf(request), request.params.run, message);
    });
    app.post<{ Params: { run: string } }>(PLAN_PATHS.journal(':run'), { bodyLimit: JOURNAL_BYTES_MAX }, async (request) => {
      const message = readMessage(JournalRequest, request.body, 'The journal of a failover');
      await takeJournal(options, agentOf(request), request.params.run, message);
      return {};
    });
  };
}

/** RUN_FENCED, EVIDENCE_REFUSED. */
export async function takeEvidence(
  { catalog, now }: PlanRoutesOptions,
  agent: Agent,
  runId: string,
  { fence, pack: text, attachments }: EvidenceRequest,
): Promise<EvidenceAnswer> {
  const run = await heldRun(catalog, agent, runId, fence, WITH_EVIDENCE);
  const files = attachments.map(({ name, content }) => ({ name, content: new Uint8Array(Buffer.from(content, 'base64')) }));
  const bytes = new Uint8Array(Buffer.from(text));
  const attachment = (name: string): Uint8Array | undefined => files.find((one) => one.name === name)?.content;
  const { pack, problems } = verifyEvidence({ text: bytes, trusted: [], attachment });
  if (pack === undefined || problems.length > 0) throw refused(run, problems.map(({ message }) => message).join('; '));
  const stranger = await strangerTo(catalog, run, pack);
  if (stranger !== undefined) throw refused(run, stranger);
  const { body } = pack;
  const named = body.attachments.map(({ name }) => ({ name, content: attachment(name)! }));
  const all = [{ name: PACK_FILE, content: bytes }, ...named];
  if (!ID.test(body.id)) throw refused(run, 'its id is none that a file could have');
  if (all.some(({ name }) => !NAME.test(name)) || new Set(all.map(({ name }) => name)).size < all.length)
    throw refused(run, 'its attachments have names that no file could have');
  const evidence = evidenceOf(run, agent, pack, all, now());
  await catalog.transaction(async (tables) => {
    if ((await tables.evidence.add(evidence, all)) === 'exists') {
      const known = await tables.evidence.file(run.tenantId, evidence.id, PACK_FILE);
      if (known === undefined || Buffer.compare(known, bytes) !== 0) throw refused(run, `there is another one ${evidence.id}`);
      return;
    }
    const { id, plan, kind, outcome, planDigest, keyId } = evidence;
    await appendAudit(tables, {
      at: evidence.receivedAt,
      tenantId: run.tenantId,
      actor: `agent:${agent.id}`,
      actorLabel: agent.label,
      action: 'evidence.store',
      subject: id,
      outcome: 'done',
      details: { plan, kind, outcome, planDigest, keyId, run: run.id },
    });
  });
  return { id: evidence.id };
}

/** Why the pack is not of this run. */
async function strangerTo({ plans }: Catalog, { tenantId, kind, parameters }: Run, { body }: Pack): Promise<string | undefined> {
  const plan = await plans.version(tenantId, String(parameters['plan']), Number(parameters['version']));
  if (plan?.digest !== body.planDigest) return 'it is not of the plan of the run';
  if (body.tenant !== tenantId) return `it is of the tenant "${body.tenant}"`;
  return (kind === 'drill') === (body.kind === 'drill') ? undefined : `it is of a "${body.kind}", the run a ${kind}`;
}

function evidenceOf(
  run: Run,
  agent: Agent,
  { body, keyId, publicKey }: Pack,
  files: readonly { readonly name: string; readonly content: Uint8Array }[],
  at: Date,
): Evidence {
  const value = (id: string) => body.claims.claims.find((one) => one.id === id)?.value;
  const [rpoMs, rtoMs] = [value('rpo')?.ms, value('rto')?.ms];
  return {
    id: body.id,
    tenantId: run.tenantId,
    plan: body.plan.name,
    planVersion: body.plan.version,
    planDigest: body.planDigest,
    kind: body.kind,
    outcome: String(value('outcome')?.outcome),
    createdAt: instantOf(new Date(body.createdAt)),
    receivedAt: instantOf(at),
    runId: run.id,
    agentId: agent.id,
    keyId,
    publicKey: Buffer.from(publicKey).toString('base64url'),
    ...(typeof rpoMs === 'number' ? { rpoMs } : {}),
    ...(typeof rtoMs === 'number' ? { rtoMs } : {}),
    levels: body.claims.levels.map(({ edition, level }) => ({ edition, level })),
    files: files.map(({ name, content }) => ({ name, bytes: content.length })),
  };
}

function refused({ id }: Run, why: string): Fault {
  return new Fault('EVIDENCE_REFUSED', `The evidence of the run ${id} is not kept: ${why}`);
}
