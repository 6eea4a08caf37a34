// What a change of policies would mean: the policies in force before and after it, for everything of a tenant that it touches. A change that
// takes something away from what is promised needs a second person.

import { isFault } from '../base/faults.ts';
import type { CatalogTables, StoredPolicy } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { PAGE_ITEMS_MAX } from '../model/page.ts';
import type { Tenant } from '../model/tenant.ts';
import { effectivePolicy, type PolicyLevel, type PolicyProblem, weakenings } from '../policy/effective-policy.ts';
import { withBases } from '../policy/policy-bases.ts';
import type { PolicyDocument } from '../policy/policy-document.ts';
import type { EffectivePolicy } from '../policy/policy-terms.ts';
import { readPolicy } from '../policy/read-policy.ts';
import { PolicyBook, type PolicyInForce } from '../scheduler/policy-book.ts';
import { FieldFault } from './problem.ts';

type Source = { readonly tables: Pick<CatalogTables, 'policies'>; readonly shipped: readonly PolicyDocument[] };

/** The policies of one tenant and of the provider, with `instead` in place of the stored one of its id. */
export async function bookOf({ tables, shipped }: Source, tenant: Tenant, instead?: StoredPolicy): Promise<PolicyBook> {
  const list: CatalogTables['policies']['list'] = async (tenantId, page) => {
    const { items, ...rest } = await tables.policies.list(tenantId, page);
    if (instead === undefined || instead.tenantId !== tenantId) return { items, ...rest };
    const others = items.filter(({ id }) => id !== instead.id);
    return { items: page.after === undefined ? [...others, instead] : others, ...rest };
  };
  const catalog = { tenants: { ...NO_TENANTS, list: async () => ({ items: [tenant] }) }, policies: { ...tables.policies, list } };
  const book = new PolicyBook({ catalog, shipped });
  await book.refresh();
  return book;
}

/** What replacing (or adding) a policy takes away, from assets under any of the tenant's policies. */
export async function weakeningsOf(source: Source, tenant: Tenant, after: StoredPolicy): Promise<readonly PolicyProblem[]> {
  const [old, changed] = [await bookOf(source, tenant), await bookOf(source, tenant, after)];
  const own = (await everyPolicy(source.tables, tenant.id)).filter(({ level }) => level === 'asset');
  const found = new Map<string, PolicyProblem>();
  for (const asset of [{}, ...own.map(({ id }) => ({ policyId: id }))])
    for (const problem of weakenings(old.inForce(tenant, asset).policy, changed.inForce(tenant, asset).policy))
      found.set(problem.message, problem);
  return [...found.values()];
}

/** Whether an asset would be promised less under another policy, or paused. */
export async function attachmentWeakens(
  source: Source,
  tenant: Tenant,
  before: Asset,
  after: Asset,
): Promise<readonly PolicyProblem[]> {
  if (before.policyId === after.policyId) return [];
  const book = await bookOf(source, tenant);
  return weakenings(book.inForce(tenant, before).policy, book.inForce(tenant, after).policy);
}

export async function policyInForce(source: Source, tenant: Tenant, asset: Asset): Promise<PolicyInForce> {
  return (await bookOf(source, tenant)).inForce(tenant, asset);
}

/** Where a policy of a tenant says less than its city, its district or (of an asset's) its tenant requires. */
export async function contradictionsOf(source: Source, tenant: Tenant, after: StoredPolicy): Promise<readonly PolicyProblem[]> {
  const all = [...(await everyPolicy(source.tables, undefined)), ...(await everyPolicy(source.tables, tenant.id))];
  return problemsBelow(source, all, higherLevels(all, tenant, after), after);
}

/** Where a policy of a district says less than its city requires. */
export async function contradictionsOfProvider(source: Source, after: StoredPolicy): Promise<readonly PolicyProblem[]> {
  const all = await everyPolicy(source.tables, undefined);
  const city = after.scope?.split('/')[0];
  const higher = after.level === 'district' ? all.filter(({ level, scope }) => level === 'city' && scope === city) : [];
  return problemsBelow(source, all, higher, after);
}

/** What a change takes away from a policy of the provider and from those that extend it, each by itself. */
export async function weakeningsOfProvider(source: Source, after: StoredPolicy): Promise<readonly PolicyProblem[]> {
  const before = await everyPolicy(source.tables, undefined);
  const changed = [...before.filter(({ id }) => id !== after.id), after];
  const alone = (policy: StoredPolicy, among: readonly StoredPolicy[]): EffectivePolicy =>
    effectivePolicy(levelsOf(policy, source, among)).policy;
  return before.flatMap((policy) => {
    const now = changed.find(({ id }) => id === policy.id)!;
    return weakenings(alone(policy, before), alone(now, changed));
  });
}

/** The names of those that stand on this one. */
export async function extendedBy({ tables }: Source, { id, tenantId, name }: StoredPolicy): Promise<readonly string[]> {
  const others = (await everyPolicy(tables, tenantId)).filter((one) => one.id !== id);
  return others.filter(({ text }) => readStored(text)?.extends === name).map((one) => one.name);
}

/** What is stored already and cannot be read must not keep anybody from putting it right: it says nothing here. */
function problemsBelow(
  source: Source,
  all: readonly StoredPolicy[],
  higher: readonly StoredPolicy[],
  after: StoredPolicy,
): readonly PolicyProblem[] {
  const among = [...all.filter(({ id }) => id !== after.id), after];
  const own = withBases(ownLevel(after, readDocument(after.text).document), finder(source, among, after.tenantId));
  return effectivePolicy([...higher.flatMap((policy) => levelsOf(policy, source, among)), ...own]).problems;
}

async function everyPolicy({ policies }: Source['tables'], owner: string | undefined): Promise<StoredPolicy[]> {
  const all: StoredPolicy[] = [];
  let page = await policies.list(owner, { limit: PAGE_ITEMS_MAX });
  for (all.push(...page.items); page.next !== undefined; all.push(...page.items))
    page = await policies.list(owner, { limit: PAGE_ITEMS_MAX, after: page.next });
  return all;
}

function higherLevels(all: readonly StoredPolicy[], { id, city, district }: Tenant, after: StoredPolicy): StoredPolicy[] {
  const of = (level: StoredPolicy['level'], scope: string): StoredPolicy[] =>
    all.filter((one) => one.level === level && one.scope === scope && one.id !== after.id);
  return [
    ...(city === undefined ? [] : of('city', city)),
    ...(city === undefined || district === undefined ? [] : of('district', `${city}/${district}`)),
    ...(after.level === 'asset' ? of('tenant', id) : []),
  ];
}

/** With everything that it extends above it, step by step; as far as that can be found, for it is stored already. */
function levelsOf(policy: StoredPolicy, source: Source, among: readonly StoredPolicy[]): readonly PolicyLevel[] {
  const document = readStored(policy.text);
  if (document === undefined) return [];
  const own = ownLevel(policy, document);
  try {
    return withBases(own, finder(source, among, policy.tenantId));
  } catch (error) {
    if (!isFault(error, 'POLICY_NOT_FOUND', 'POLICY_INVALID')) throw error;
    return [own];
  }
}

function ownLevel({ level, scope }: StoredPolicy, document: PolicyDocument): PolicyLevel {
  return { level, ...(scope === undefined ? {} : { scope }), document };
}

/** A policy by its name, as the scheduler's book finds it: the owner's, the provider's, one that came with the program. */
function finder({ shipped }: Source, among: readonly StoredPolicy[], owner: string | undefined) {
  return (name: string): PolicyDocument | undefined => {
    const named = (tenantId: string | undefined): StoredPolicy | undefined =>
      among.find((one) => one.name === name && one.tenantId === tenantId);
    const stored = (owner === undefined ? undefined : named(owner)) ?? named(undefined);
    return (stored === undefined ? undefined : readStored(stored.text)) ?? shipped.find((one) => one.name === name);
  };
}

function readStored(text: string): PolicyDocument | undefined {
  const read = readPolicy(text);
  return read.kind === 'policy' ? read.document : undefined;
}

/** One that assets of the tenant may name: its own, or one that the provider offers to all. */
export async function attachablePolicy(
  { policies }: Pick<CatalogTables, 'policies'>,
  tenantId: string,
  name: string,
): Promise<StoredPolicy | undefined> {
  const own = await policies.byName(tenantId, name);
  if (own !== undefined) return own;
  const offered = await policies.byName(undefined, name);
  return offered?.level === 'asset' ? offered : undefined;
}

/** The document, or REQUEST_INVALID with a line and column for every problem. */
export function readDocument(text: string): { readonly document: PolicyDocument; readonly warnings: readonly string[] } {
  const read = readPolicy(text);
  if (read.kind === 'policy')
    return { document: read.document, warnings: read.warnings.map(({ line, message }) => `line ${line}: ${message}`) };
  throw new FieldFault(
    read.problems.slice(0, 20).map(({ line, column, field, message }) => ({
      field: `body/text${field === '' ? '' : `/${field.replaceAll('.', '/')}`}`,
      message: `(line ${line}, column ${column}) ${message}`,
    })),
  );
}

const unused = async (): Promise<never> => {
  throw new Error('Invariant broken: a policy book asks for a list of tenants only');
};
const NO_TENANTS: Omit<CatalogTables['tenants'], 'list'> = { add: unused, get: unused, byName: unused, change: unused };
