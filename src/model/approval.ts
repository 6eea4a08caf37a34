// A dangerous request that waits for a second person. Nobody approves their own.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id } from './identifier.ts';
import { Instant } from './instant.ts';

export const APPROVAL_ACTIONS = [
  'asset.delete',
  'snapshot.delete',
  'policy.weaken',
  'plan.weaken',
  'hold.release',
  'tenant.close',
  'tenant.erase',
  'failover',
  'break-glass',
] as const;
export type ApprovalAction = (typeof APPROVAL_ACTIONS)[number];

export const Approval = Type.Object(
  {
    id: Id,
    tenantId: Id,
    action: Type.Unsafe<ApprovalAction>(Type.Union(APPROVAL_ACTIONS.map((one) => Type.Literal(one)))),
    /** What exactly is approved: the resource and the whole change. Executed as it stands here, never as it is repeated later. */
    request: Type.Record(Type.String(), Type.Unknown()),
    reason: Type.String({ minLength: 1, maxLength: 1000 }),
    requestedBy: Type.String(),
    requestedAt: Instant,
    expiresAt: Instant,
    state: Type.Union(['pending', 'approved', 'rejected', 'expired', 'executed'].map((state) => Type.Literal(state))),
    needed: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 9, description: 'people who have to approve it, each another one (1)' }),
    ),
    approvedBy: Type.Optional(Type.Array(Type.String(), { description: 'those who have' })),
    decidedBy: Type.Optional(Type.String()),
    decidedAt: Type.Optional(Instant),
  },
  { additionalProperties: false, $id: 'Approval' },
);
export type Approval = Omit<Static<typeof Approval>, 'state'> & {
  readonly state: 'pending' | 'approved' | 'rejected' | 'expired' | 'executed';
};

/** As it is shown: whoever decides has to know who asks, and not by a number. */
export const ShownApproval = Type.Object(
  {
    ...Approval.properties,
    logins: Type.Record(Type.String(), Type.String(), { description: 'of the people whom it names by their ids' }),
  },
  { additionalProperties: false, $id: 'ShownApproval' },
);
export type ShownApproval = Approval & { readonly logins: Readonly<Record<string, string>> };
