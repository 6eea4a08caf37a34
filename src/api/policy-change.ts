// What a change of policies would mean: the policies in force before and after it, for everything of a tenant that it touches. A change that
// takes something away from what is promised needs a second person.

import type { CatalogTables, StoredPolicy } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { PAGE_ITEMS_MAX } from '../model/page.ts';
import type { Tenant } from '../model/tenant.ts';
import { effectivePolicy, type PolicyLevel, type PolicyProblem, weakenings } from '../policy/effective-policy.ts';
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
  const own = (await source.tables.policies.list(tenant.id, { limit: 500 })).items.filter(({ level }) => level === 'asset');
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
  const higher = await higherLevels(source.tables, tenant, after);
  const levels = [...higher, after].flatMap((policy) => levelsOf(policy, source.shipped));
  return effectivePolicy(levels).problems;
}

async function higherLevels(
  { policies }: Source['tables'],
  { id, city, district }: Tenant,
  after: StoredPolicy,
): Promise<StoredPolicy[]> {
  const all: StoredPolicy[] = [];
  for (const owner of [undefined, id]) {
    let page = await policies.list(owner, { limit: PAGE_ITEMS_MAX });
    for (all.push(...page.items); page.next !== undefined; all.push(...page.items))
      page = await policies.list(owner, { limit: PAGE_ITEMS_MAX, after: page.next });
  }
  const of = (level: StoredPolicy['level'], scope: string): StoredPolicy[] =>
    all.filter((one) => one.level === level && one.scope === scope && one.id !== after.id);
  return [
    ...(city === undefined ? [] : of('city', city)),
    ...(city === undefined || district === undefined ? [] : of('district', `${city}/${district}`)),
    ...(after.level === 'asset' ? of('tenant', id) : []),
  ];
}

/** What it extends among the shipped ones stands above it. */
function levelsOf({ level, text, name, scope }: StoredPolicy, shipped: readonly PolicyDocument[]): PolicyLevel[] {
  const { document } = readDocument(text);
  const base = shipped.find((one) => one.name === document.extends && one.name !== name);
  const own: PolicyLevel = { level, ...(scope === undefined ? {} : { scope }), document };
  return base === undefined ? [own] : [{ level: 'base', scope: base.name, document: base }, own];
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

/** What a stored policy says by itself, with what it extends among the shipped ones. */
export function documentAlone(policy: StoredPolicy, shipped: readonly PolicyDocument[]): EffectivePolicy {
  return effectivePolicy(levelsOf(policy, shipped)).policy;
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
