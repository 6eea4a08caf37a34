// Failovers that the service is asked for. What works without it is in failover.ts.

import type { Failover, Run, Tenant } from '../client/generated.ts';
import type { ServiceClient } from '../client/service-client.ts';
import { momentOf } from './moment.ts';
import { usage } from './option.ts';
import { agentOf, withService } from './service-call.ts';
import { queued } from './service-rehearsal.ts';
import { showApproval, showList, whenOf } from './service-show.ts';
import { reasonOf } from './service-tenant.ts';
import { formatTime } from './table.ts';
import type { Invocation } from './verb.ts';

export function failoverRequest(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  const kind = options.text('kind') as Failover['kind'] | undefined;
  if (kind === undefined) throw usage('"holdfast failover request" needs --kind');
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const named = options.text('agent');
    const request = {
      plan: args[0]!,
      kind,
      reason: reasonOf(invocation),
      disaster: momentOf(options.text('disaster'))?.toISOString(),
      agentId: named === undefined ? undefined : (await agentOf(client, mine, named)).id,
    };
    const { body } = await client.call('requestFailover', { tenant: mine.id, body: request });
    output.record('failover', body);
    output.line(`Nothing is changed yet. ${body.id} (${body.kind} of ${body.plan}) waits for other people:`);
    output.line(`  holdfast approval approve ${body.approvalId}`);
    return 0;
  });
}

export function failoverList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const columns = [
      { title: 'id' },
      { title: 'plan' },
      { title: 'kind' },
      { title: 'state' },
      { title: 'asked for' },
      { title: 'heard of' },
      { title: 'reason' },
    ];
    const all = client.each('listFailovers', { tenant: (await tenant()).id });
    await showList(invocation.output, 'failover', all, columns, (one) => [
      one.id,
      `${one.plan} ${one.planVersion}`,
      one.kind,
      one.journal?.blockedBy.length ? `${one.state}, BLOCKED` : one.state,
      whenOf(one.requestedAt),
      whenOf(one.heardAt),
      one.reason,
    ]);
    return 0;
  });
}

export function failoverShow(invocation: Invocation): Promise<number> {
  const { args, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('getFailover', { tenant: (await tenant()).id, failover: args[0]! });
    output.record('failover', body);
    const { id, plan, planVersion, kind, state, reason, requestedBy, approvers, approvalId, runId, journal } = body;
    output.line(`${id}: ${kind} of ${plan} ${planVersion}, ${state}`);
    output.line(`Asked for by ${requestedBy}: ${reason}`);
    if (state === 'waiting') output.line(`It waits for other people: holdfast approval approve ${approvalId}`);
    else output.line(`Approved by ${approvers.join(', ') || 'nobody'}${runId === undefined ? '' : `, carried out by ${runId}`}`);
    if (journal === undefined) return 0;
    output.line(`From ${journal.from} to ${journal.to}:`);
    for (const entry of journal.entries) output.line(`  ${formatTime(entry.at)}  ${entry.state}`);
    for (const why of journal.blockedBy) output.line(`BLOCKED: ${why}`);
    if (journal.glass !== null) output.line(`The glass was broken: ${JSON.stringify(journal.glass)}`);
    return 0;
  });
}

export function failoverAnswer(invocation: Invocation): Promise<number> {
  const { args, options } = invocation;
  if (options.flag('yes') === options.flag('no')) throw usage('"holdfast failover answer" needs either --yes or --no');
  const answer = options.flag('yes') ? ('yes' as const) : ('no' as const);
  const body = { action: args[1]!, answer };
  return order(invocation, (client, tenant, failover) => client.call('decideFailover', { tenant, failover, body }));
}

export function failoverTakeBack(invocation: Invocation): Promise<number> {
  const body = { reason: reasonOf(invocation) };
  return order(invocation, (client, tenant, failover) => client.call('undoFailover', { tenant, failover, body }));
}

export function failoverRequestGlass(invocation: Invocation): Promise<number> {
  const { args, output } = invocation;
  const reason = { reason: reasonOf(invocation) };
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('breakGlass', { tenant: (await tenant()).id, failover: args[0]!, body: reason });
    showApproval(output, body);
    return 0;
  });
}

export function failoverResume(invocation: Invocation): Promise<number> {
  const { args, options } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const named = options.text('agent');
    const query = { agentId: named === undefined ? undefined : (await agentOf(client, mine, named)).id };
    const { body } = await client.call('resumeFailover', { tenant: mine.id, failover: args[0]!, query });
    return queued(invocation, client, mine, body);
  });
}

export function failoverReattach(invocation: Invocation): Promise<number> {
  return order(invocation, (client, tenant, failover) => client.call('rejoinFailover', { tenant, failover }));
}

function order(
  invocation: Invocation,
  ask: (client: ServiceClient, tenant: string, failover: string) => Promise<{ readonly body: Run }>,
): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine: Tenant = await tenant();
    const { body } = await ask(client, mine.id, invocation.args[0]!);
    return queued(invocation, client, mine, body);
  });
}
