// Enrolment: a token that works once makes an agent of a public key. Token, agent and audit entry are one transaction, so an answer that
// was lost leaves an agent that nobody uses, never a token that works twice.

import { createHash } from 'node:crypto';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import { newId } from '../model/identifier.ts';
import { instantOf } from '../model/instant.ts';
import type { EnrolAnswer, EnrolRequest } from '../protocol/agent-messages.ts';
import { appendAudit } from '../trust/audit-chain.ts';
import { checkTenant } from './agent-auth.ts';

export type Enrolment = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
};

/** AGENT_ENROLMENT_REFUSED, AGENT_SOURCE_DENIED. */
export async function enrol({ catalog, now, random }: Enrolment, request: EnrolRequest, address: string): Promise<EnrolAnswer> {
  const date = now();
  const at = instantOf(date);
  const digest = createHash('sha256').update(request.token).digest('hex');
  const agent = await catalog.transaction(async (tables): Promise<Agent> => {
    const enrolment = await tables.tokens.takeEnrolment(digest, at);
    // A token that is expired, used or wrong: whoever guesses learns nothing.
    if (enrolment === undefined)
      throw new Fault('AGENT_ENROLMENT_REFUSED', 'This token enrols nobody: it is wrong, was used, or is over');
    const made: Agent = {
      id: newId('agent', date, random),
      tenantId: enrolment.tenantId,
      label: request.label ?? enrolment.label,
      publicKey: request.publicKey,
      host: request.host,
      ...(enrolment.site === undefined ? {} : { site: enrolment.site }),
      state: 'active',
      enrolledAt: at,
      lastSeenAt: at,
    };
    // Undoes the taking of the token as well.
    checkTenant(await tables.tenants.get(made.tenantId), address);
    if ((await tables.agents.add(made)) === 'exists')
      throw new Fault('AGENT_ENROLMENT_REFUSED', 'An agent with this key is enrolled already');
    await appendAudit(tables, {
      at,
      tenantId: made.tenantId,
      actor: `enrolment:${enrolment.id}`,
      actorLabel: enrolment.label,
      source: address,
      action: 'agent.enrol',
      subject: made.id,
      outcome: 'done',
      details: { label: made.label, hostname: made.host.hostname, publicKey: made.publicKey, tokenBy: enrolment.createdBy },
    });
    return made;
  });
  return { agentId: agent.id, tenantId: agent.tenantId, label: agent.label, at };
}
