// Who may decide on a request: what holds whatever the roles say.

import { Fault } from '../base/faults.ts';
import type { CatalogTables } from '../catalog/catalog.ts';
import type { Approval } from '../model/approval.ts';
import type { Principal } from '../model/principal.ts';
import { judge } from './roles.ts';

/** Why `by` may not decide so on `approval`, or undefined. Who asked may take it back, and never approve it: not as the same person, not through a
 *  token of theirs, not as the person behind the token that asked. */
export async function refusalOf(
  tables: Pick<CatalogTables, 'tokens'>,
  by: Principal,
  approval: Approval,
  to: 'approved' | 'rejected',
): Promise<Fault | undefined> {
  if (to === 'rejected' && nameOf(by) === approval.requestedBy) return undefined;
  if (by.kind !== 'person') return new Fault('APPROVAL_OF_PERSONS', `A ${by.kind} cannot decide on the request ${approval.id}`);
  const asked = await whoAsked(tables, approval);
  if (to === 'approved' && (asked.has(nameOf(by)) || asked.has(by.id)))
    return new Fault('APPROVAL_OWN_REQUEST', `The request ${approval.id} is by ${by.label}, who cannot approve it`);
  return undefined;
}

/** Of those who have approved it: who might not any more. */
export async function withdrawnFrom(
  { people }: Pick<CatalogTables, 'people'>,
  { tenantId, approvedBy = [] }: Approval,
): Promise<readonly string[]> {
  const withdrawn: string[] = [];
  for (const name of approvedBy) {
    const person = await people.get(name.slice('person:'.length));
    const principal = person && ({ kind: 'person', id: person.id, label: person.label, grants: person.grants } as const);
    const mayDecide = principal !== undefined && judge(principal, 'approval.decide', tenantId) === 'allowed';
    if (person?.state !== 'active' || !mayDecide) withdrawn.push(name);
  }
  return withdrawn;
}

/** "person:per_..." */
export function nameOf(by: Principal): string {
  return `${by.kind}:${by.id}`;
}

/** The one who asked and, of a token, who made it, who made that, and so on. */
async function whoAsked(tables: Pick<CatalogTables, 'tokens'>, { requestedBy }: Approval): Promise<ReadonlySet<string>> {
  const asked = new Set([requestedBy]);
  // Grows while it is walked.
  for (const name of asked) {
    if (!name.startsWith('token:')) continue;
    const token = await tables.tokens.get(name.slice('token:'.length));
    if (token === undefined) continue;
    asked.add(token.createdBy);
    if (token.personId !== undefined) asked.add(`person:${token.personId}`);
  }
  return asked;
}
