// Dangerous requests wait for a second person, or for as many as they need. States: pending -> approved -> executed, or rejected, or expired.
//
// - What is executed is the request as it was stored, never as somebody repeats it.
// - Nobody approves their own request, whatever roles they hold, nor what a token asked for that they made; programs and agents decide on
//   nothing.
// - Who was allowed to ask and to decide is roles.ts; here is what holds whatever the roles say.
// - Those who approved it count who still might when the last of them does, and when it is executed: who was disabled or lost the role meanwhile
//   does not. Where they are too few then, it is pending again, and others approve it.
// - Executed exactly once: the move to "executed" and what the request changes in the catalogue (for everything outside of it: a run in
//   the queue with the approval as its key) are one transaction.
// - Every step is in the audit, refused ones too.

import { Fault } from '../base/faults.ts';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import type { Approval, ApprovalAction } from '../model/approval.ts';
import { newId } from '../model/identifier.ts';
import { instantOf, laterBy } from '../model/instant.ts';
import type { Principal } from '../model/principal.ts';
import { nameOf, refusalOf, withdrawnFrom } from './approval-rules.ts';
import { appendAudit } from './audit-chain.ts';

/** Both for waiting and for being executed once approved. */
export const APPROVAL_MS = 24 * 60 * 60 * 1000;
const EXPIRED_AT_ONCE = 100;
const SYSTEM: Principal = { kind: 'system', id: 'system', label: 'system' };

export type ApprovalsOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
};

export type ApprovalRequest = {
  readonly tenantId: string;
  readonly action: ApprovalAction;
  /** The resource and the whole change. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly reason: string;
  readonly lifetimeMs?: number;
};

export class Approvals {
  readonly #options: ApprovalsOptions;

  constructor(options: ApprovalsOptions) {
    this.#options = options;
  }

  request(by: Principal, { tenantId, action, request, reason, lifetimeMs }: ApprovalRequest, source?: string): Promise<Approval> {
    const { catalog, now, random } = this.#options;
    const at = now();
    const approval: Approval = {
      id: newId('approval', at, random),
      tenantId,
      action,
      request,
      reason,
      requestedBy: nameOf(by),
      requestedAt: instantOf(at),
      expiresAt: laterBy(instantOf(at), Math.min(lifetimeMs ?? APPROVAL_MS, APPROVAL_MS)),
      state: 'pending',
    };
    return catalog.transaction(async (tables) => {
      await tables.approvals.add(approval);
      await this.#note(tables, by, source, 'approval.request', approval, 'done');
      return approval;
    });
  }

  approve(by: Principal, tenantId: string, id: string, source?: string): Promise<Approval> {
    return this.#decide(by, tenantId, id, 'approved', source);
  }

  /** Who asked may take the request back. */
  reject(by: Principal, tenantId: string, id: string, source?: string): Promise<Approval> {
    return this.#decide(by, tenantId, id, 'rejected', source);
  }

  /** Does what was approved, at most once: `work` changes the catalogue through `tables` and nothing else. What it throws undoes all of it,
   *  and the approval can be executed again. */
  async execute<T>(
    by: Principal,
    tenantId: string,
    id: string,
    work: (tables: CatalogTables, approval: Approval) => Promise<T>,
    source?: string,
  ): Promise<T> {
    await this.expire();
    return this.#options.catalog.transaction(async (tables) => {
      const approval = await this.#get(tables, tenantId, id);
      const at = instantOf(this.#options.now());
      if (approval.expiresAt <= at || !(await tables.approvals.move(id, ['approved'], 'executed', nameOf(by), at)))
        throw new Fault('APPROVAL_NOT_OPEN', `The request ${id} is ${approval.state}, not approved`);
      if ((await withdrawnFrom(tables, approval)).length > 0)
        throw new Fault(
          'APPROVAL_NOT_OPEN',
          `Somebody who approved the request ${id} may not any more: it has to be approved again`,
        );
      const value = await work(tables, { ...approval, state: 'executed' });
      await this.#note(tables, by, source, 'approval.execute', approval, 'done');
      return value;
    });
  }

  /** Ends requests and approvals whose time is over. Answers them. */
  async expire(): Promise<readonly Approval[]> {
    const { catalog, now } = this.#options;
    const at = instantOf(now());
    if ((await catalog.approvals.overdue(at, 1)).length === 0) return [];
    return catalog.transaction(async (tables) => {
      const expired: Approval[] = [];
      for (const approval of await tables.approvals.overdue(at, EXPIRED_AT_ONCE)) {
        // Who approved it stays on record in the audit.
        await tables.approvals.move(approval.id, ['pending', 'approved'], 'expired', nameOf(SYSTEM), at);
        await this.#note(tables, SYSTEM, undefined, 'approval.expire', approval, 'done');
        expired.push({ ...approval, state: 'expired' });
      }
      return expired;
    });
  }

  async #decide(
    by: Principal,
    tenantId: string,
    id: string,
    to: 'approved' | 'rejected',
    source: string | undefined,
  ): Promise<Approval> {
    await this.expire();
    const action = to === 'approved' ? 'approval.approve' : 'approval.reject';
    const decided = await this.#options.catalog.transaction(async (tables) => {
      const approval = await this.#stillApproved(tables, await this.#get(tables, tenantId, id));
      const refused = await refusalOf(tables, by, approval, to);
      if (refused !== undefined) {
        // Committed, so that the attempt is on record; thrown below.
        await this.#note(tables, by, source, action, approval, 'denied');
        return refused;
      }
      const at = instantOf(this.#options.now());
      const isOpen = approval.state === 'pending' && approval.expiresAt > at;
      if (isOpen && to === 'approved') {
        const all = await tables.approvals.approve(id, nameOf(by), await withdrawnFrom(tables, approval));
        if (all === undefined) {
          await this.#note(tables, by, source, action, approval, 'denied');
          return new Fault('APPROVAL_TWICE', `${by.label} has approved the request ${id} already`);
        }
        if (all.length < (approval.needed ?? 1)) {
          await this.#note(tables, by, source, action, approval, 'done');
          return (await tables.approvals.get(tenantId, id))!;
        }
      }
      if (!isOpen || !(await tables.approvals.move(id, ['pending'], to, nameOf(by), at)))
        throw new Fault('APPROVAL_NOT_OPEN', `The request ${id} is ${approval.state}, nothing is left to decide`);
      await this.#note(tables, by, source, action, approval, 'done');
      return (await tables.approvals.get(tenantId, id))!;
    });
    if (decided instanceof Fault) throw decided;
    return decided;
  }

  /** Pending again when somebody's approval counts no more. */
  async #stillApproved(tables: CatalogTables, approval: Approval): Promise<Approval> {
    const isShort = approval.state === 'approved' && (await withdrawnFrom(tables, approval)).length > 0;
    if (!isShort) return approval;
    await tables.approvals.move(approval.id, ['approved'], 'pending', nameOf(SYSTEM), instantOf(this.#options.now()));
    await this.#note(tables, SYSTEM, undefined, 'approval.reopen', approval, 'done');
    return { ...approval, state: 'pending' };
  }

  async #get(tables: CatalogTables, tenantId: string, id: string): Promise<Approval> {
    const approval = await tables.approvals.get(tenantId, id);
    if (approval === undefined) throw new Fault('APPROVAL_NOT_FOUND', `There is no request ${id}`);
    return approval;
  }

  #note(
    tables: CatalogTables,
    by: Principal,
    source: string | undefined,
    action: string,
    { id, tenantId, action: what, reason, requestedBy }: Approval,
    outcome: 'done' | 'denied',
  ): Promise<unknown> {
    return appendAudit(tables, {
      at: instantOf(this.#options.now()),
      tenantId,
      actor: nameOf(by),
      actorLabel: by.label,
      ...(source === undefined ? {} : { source }),
      action,
      subject: id,
      outcome,
      details: { what, reason, requestedBy },
    });
  }
}
