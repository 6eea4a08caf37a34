// Approvals, audit, usage, events and the posture.

import { EXIT } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { Event, Replica } from '../client/generated.ts';
import { roughSpan } from '../policy/duration.ts';
import { withService } from './service-call.ts';
import { showList, showOne, whenOf } from './service-show.ts';
import type { Invocation } from './verb.ts';

export function approvalList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const columns = [
      { title: 'id' },
      { title: 'state' },
      { title: 'action' },
      { title: 'asked' },
      { title: 'by' },
      { title: 'reason' },
    ];
    const approvals = client.each('listApprovals', { tenant: (await tenant()).id });
    await showList(
      invocation.output,
      'approval',
      approvals,
      columns,
      ({ id, state, action, requestedAt, requestedBy, logins, reason }) => [
        id,
        state,
        action,
        whenOf(requestedAt),
        logins[requestedBy] ?? requestedBy,
        reason,
      ],
    );
    return 0;
  });
}

export function approvalShow(invocation: Invocation): Promise<number> {
  return decide(invocation, 'getApproval');
}

export function approvalApprove(invocation: Invocation): Promise<number> {
  return decide(invocation, 'approve');
}

export function approvalReject(invocation: Invocation): Promise<number> {
  return decide(invocation, 'reject');
}

function decide(invocation: Invocation, operation: 'getApproval' | 'approve' | 'reject'): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call(operation, { tenant: (await tenant()).id, approval: invocation.args[0]! });
    showOne(invocation.output, 'approval', body);
    return 0;
  });
}

export function auditList(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const query = { since: options.count('since'), limit: options.count('limit') };
    const { body } = options.flag('all')
      ? await client.call('listAudit', { query })
      : await client.call('listTenantAudit', { tenant: (await tenant()).id, query });
    const columns = [
      { title: 'no', align: 'right' as const },
      { title: 'at' },
      { title: 'who' },
      { title: 'from' },
      { title: 'what' },
      { title: 'on' },
      { title: 'outcome' },
    ];
    await showList(output, 'audit', body.items, columns, (one) => [
      String(one.sequence),
      whenOf(one.at),
      one.actorLabel,
      one.source ?? '',
      one.action,
      one.subject ?? '',
      one.outcome,
    ]);
    return 0;
  });
}

export function auditVerify(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = options.flag('all')
      ? await client.call('verifyAudit', {})
      : await client.call('verifyTenantAudit', { tenant: (await tenant()).id });
    output.record('proof', body);
    output.line(
      body.state === 'whole'
        ? `The audit is whole: ${body.entries} entries, ${body.checkpoints} signed checkpoints`
        : `THE AUDIT IS BROKEN at entry ${body.sequence}: ${body.what}`,
    );
    return body.state === 'whole' ? 0 : EXIT.damage;
  });
}

export function showUsage(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const query = { from: options.text('from'), to: options.text('to'), month: options.text('month') };
    if (options.flag('all') && output.isJson) {
      for (const one of (await client.call('getAllUsage', { query })).body.tenants) output.record('usage', one);
      return 0;
    }
    if (options.flag('csv') || options.flag('all')) {
      const { body } = options.flag('all')
        ? await client.call('getAllUsageCsv', { query })
        : await client.call('getUsageCsv', { tenant: (await tenant()).id, query });
      output.line(body.trimEnd());
      return 0;
    }
    const { body } = await client.call('getUsage', { tenant: (await tenant()).id, query });
    const right = (title: string) => ({ title, align: 'right' as const });
    const columns = [{ title: 'day' }, right('protected'), right('stored'), right('egress'), right('runs'), right('drills')];
    await showList(output, 'usage', body.days, columns, (one) => [
      one.day,
      formatBytes(one.protectedBytes),
      formatBytes(one.storedBytes),
      formatBytes(one.egressBytes),
      String(one.runs),
      one.drillSeconds === 0 ? '-' : formatDuration(one.drillSeconds * 1000),
    ]);
    return 0;
  });
}

export function events(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { id } = await tenant();
    const since = options.count('since');
    if (!options.flag('follow')) {
      const { body } = await client.call('listEvents', { tenant: id, query: { since, limit: options.count('limit') } });
      for (const event of body.items) showEvent(invocation, event);
      if (body.items.length === 0) output.notice('Nothing there');
      return 0;
    }
    for await (const event of client.stream('streamEvents', { tenant: id, query: { since } }, () => false, signal))
      showEvent(invocation, JSON.parse(event.data) as Event);
    return 0;
  });
}

function showEvent({ output }: Invocation, event: Event): void {
  output.record('event', event);
  output.line(`${event.sequence}  ${whenOf(event.at)}  ${event.severity}  ${event.kind}: ${event.message}`);
  if (event.cause !== undefined) output.line(`    because ${event.cause}`);
  if (event.action !== undefined) output.line(`    do: ${event.action}`);
}

export function posture(invocation: Invocation): Promise<number> {
  const { output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const { body } = await client.call('getPosture', { tenant: mine.id });
    const names = new Map<string, string>();
    for await (const { id, name } of client.each('listAssets', { tenant: mine.id })) names.set(id, name);
    const columns = [
      { title: 'asset' },
      { title: 'objective' },
      { title: 'kept' },
      { title: 'measured', align: 'right' as const },
      { title: 'promised', align: 'right' as const },
      { title: 'since' },
    ];
    await showList(output, 'promise', body.items, columns, (one) => [
      names.get(one.assetId) ?? one.assetId,
      one.objective,
      one.isKept ? 'yes' : 'NO',
      one.measured === undefined ? '-' : `${one.measured} s`,
      `${one.promised} s`,
      whenOf(one.since),
    ]);
    output.line(
      `${body.kept} objectives kept, ${body.broken} broken; ${body.unpromised.length} of ${body.assets} assets without a promise`,
    );
    output.summary('posture', { kept: body.kept, broken: body.broken, assets: body.assets, unpromised: body.unpromised });
    return 0;
  });
}

function lacksOf({ lackingSnapshots: count, lackingBytes = 0 }: Replica): string {
  if (count === undefined || count === 0) return count === undefined ? '-' : '0';
  return `${count} (${formatBytes(lackingBytes)})`;
}

export function replicaList(invocation: Invocation): Promise<number> {
  const { output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('listReplicas', { tenant: (await tenant()).id });
    const columns = [
      { title: 'site' },
      { title: 'state' },
      { title: 'holds all until' },
      { title: 'snapshots', align: 'right' as const },
      { title: 'lacks', align: 'right' as const },
      { title: 'locked for' },
      { title: 'seen' },
      { title: 'trouble' },
    ];
    await showList(output, 'replica', body.items, columns, (one) => [
      one.site,
      one.state,
      whenOf(one.asOf),
      one.snapshots === undefined ? '-' : String(one.snapshots),
      lacksOf(one),
      one.lockedForSeconds === undefined ? '-' : roughSpan(one.lockedForSeconds * 1000),
      whenOf(one.seenAt),
      one.trouble ?? '-',
    ]);
    return 0;
  });
}
