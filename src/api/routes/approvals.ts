// Requests that wait for a second person. What is approved is executed at once, as it was written down.

import { Fault, isFault } from '../../base/faults.ts';
import { type Approval, ShownApproval } from '../../model/approval.ts';
import { withdrawnFrom } from '../../trust/approval-rules.ts';
import { Approvals } from '../../trust/approvals.ts';
import { loginOf } from '../../trust/login-of.ts';
import { executeApproved } from '../approved-actions.ts';
import { answerPage } from '../page.ts';
import { notFound } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';

const ONE = { 200: { description: 'The request', schema: ShownApproval } };

export const APPROVAL_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/approvals',
    name: 'listApprovals',
    tag: 'approvals',
    summary: 'List requests and how they were decided',
    action: 'approval.read',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(ShownApproval) } },
    handle: (call) =>
      answerPage(call, 'approvals', async (page) => {
        const { items, ...rest } = await call.catalog.approvals.list(call.tenant.id, page);
        return { ...rest, items: await Promise.all(items.map((one) => withLogins(call, one))) };
      }),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/approvals/{approval}',
    name: 'getApproval',
    tag: 'approvals',
    summary: 'Show a request',
    action: 'approval.read',
    answers: ONE,
    handle: async (call) => ({ status: 200, body: await withLogins(call, await approvalOf(call)) }),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/approvals/{approval}/approve',
    name: 'approve',
    tag: 'approvals',
    summary: 'Approve the request of somebody else, which is executed once as many have as it needs',
    description:
      'Only a person who is logged in, and never who asked. When what was to be changed has changed meanwhile it stays approved and is not executed.',
    action: 'approval.decide',
    isForClosed: true,
    answers: ONE,
    handle: async (call) => {
      const approval = await decidableOf(call);
      const approvals = approvalsOf(call);
      // Approved before, and not executed then: that is done now, if those who approved it still might.
      if (approval.state !== 'approved' || (await withdrawnFrom(call.catalog, approval)).length > 0) {
        const decided = await approvals.approve(call.principal, call.tenant.id, call.params['approval']!, call.source);
        if (decided.state === 'pending') return { status: 200, body: await withLogins(call, decided) };
      } else if (call.principal.kind !== 'person') throw new Fault('REQUEST_FORBIDDEN', 'Only a person executes what was approved');
      return execute(call, approvals);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/approvals/{approval}/reject',
    name: 'reject',
    tag: 'approvals',
    summary: 'Reject a request, or take back the own one',
    action: 'approval.decide',
    isForClosed: true,
    answers: ONE,
    handle: async (call) => {
      await decidableOf(call);
      const decided = await approvalsOf(call).reject(call.principal, call.tenant.id, call.params['approval']!, call.source);
      return { status: 200, body: await withLogins(call, decided) };
    },
  }),
];

async function execute(call: Call, approvals: Approvals): Promise<Answer> {
  const id = call.params['approval']!;
  try {
    await approvals.execute(
      call.principal,
      call.tenant.id,
      id,
      (tables, approval) => executeApproved(tables, approval, call),
      call.source,
    );
  } catch (error) {
    if (isFault(error, 'REQUEST_STALE', 'REQUEST_NOT_FOUND'))
      throw new Fault('REQUEST_STALE', 'It was approved, but what it is about has changed since it was asked for; ask again');
    throw error;
  }
  call.wake();
  const executed = await approvalOf(call);
  const { failoverId } = executed.request;
  const failover = typeof failoverId === 'string' ? await call.catalog.failovers.get(call.tenant.id, failoverId) : undefined;
  if (failover !== undefined) call.wake(failover.agentId);
  return { status: 200, body: await withLogins(call, executed) };
}

async function withLogins({ catalog }: Pick<Call, 'catalog'>, approval: Approval): Promise<ShownApproval> {
  const { requestedBy, approvedBy = [], decidedBy } = approval;
  const names = new Set([requestedBy, ...approvedBy, ...(decidedBy === undefined ? [] : [decidedBy])]);
  const logins = await Promise.all([...names].map(async (name) => [name, await loginOf(catalog, name)] as const));
  return { ...approval, logins: Object.fromEntries(logins.filter(([name, login]) => login !== name)) };
}

function approvalsOf({ catalog, now, random }: Call): Approvals {
  return new Approvals({ catalog, now, random });
}

/** REQUEST_CONFLICT for anything but the erasure of a tenant that is closed. */
async function decidableOf(call: Call): Promise<Approval> {
  const approval = await approvalOf(call);
  if (call.tenant.state === 'closed' && approval.action !== 'tenant.erase')
    throw new Fault('REQUEST_CONFLICT', 'The tenant is closed: nothing in it can be changed');
  return approval;
}

async function approvalOf({ catalog, tenant, params }: Call): Promise<Approval> {
  const approval = await catalog.approvals.get(tenant.id, params['approval']!);
  if (approval === undefined) throw notFound();
  return approval;
}
