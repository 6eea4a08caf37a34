// Which policy applies to an asset: the stored ones of its city, district and tenant, and the one that it names, put together.
//
// Read anew with `refresh`; what is in between is from memory. A text is parsed once for each version, a combination is merged once. A text that
// cannot be read must not end somebody's backups: the version that could be read last stays in force, and `problems` says so.

import type { Catalog, StoredPolicy } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { eachItem } from '../model/page-items.ts';
import type { Tenant } from '../model/tenant.ts';
import { effectivePolicy, type PolicyLevel } from '../policy/effective-policy.ts';
import type { PolicyDocument } from '../policy/policy-document.ts';
import type { EffectivePolicy } from '../policy/policy-terms.ts';
import { readPolicy } from '../policy/read-policy.ts';

/** Policies that extend each other, at the most. */
const BASES_MAX = 8;
const MERGED_MAX = 10_000;

export type PolicyInForce = {
  /** Equal for equal policies: when it changes, what was derived from the policy is to be made anew. */
  readonly stamp: string;
  readonly policy: EffectivePolicy;
  /** False: something that belongs to it cannot be read, and what that promises is not known. */
  readonly isWhole: boolean;
};
export type UnreadablePolicy = { readonly id: string; readonly tenantId?: string; readonly name: string; readonly message: string };

type Read = { readonly version: number; readonly document: PolicyDocument };
type Known = { readonly stored: StoredPolicy; readonly read: Read | undefined };

export type PolicyBookOptions = {
  readonly catalog: Pick<Catalog, 'policies' | 'tenants'>;
  /** Policies that come with the program: what others extend, or assets get by name, when nothing stored has the name. */
  readonly shipped?: readonly PolicyDocument[];
};

export class PolicyBook {
  readonly #options: PolicyBookOptions;
  readonly #shipped: ReadonlyMap<string, PolicyDocument>;
  readonly #tenants = new Map<string, Tenant>();
  #known = new Map<string, Known>();
  #byName = new Map<string, Known>();
  #byScope = new Map<string, Known[]>();
  #merged = new Map<string, EffectivePolicy>();
  #problems: UnreadablePolicy[] = [];
  readonly #serials = new WeakMap<PolicyDocument, number>();
  #serial = 0;

  constructor(options: PolicyBookOptions) {
    this.#options = options;
    this.#shipped = new Map((options.shipped ?? []).map((document) => [document.name, document]));
  }

  /** Of the last refresh. */
  get problems(): readonly UnreadablePolicy[] {
    return this.#problems;
  }

  get tenants(): readonly Tenant[] {
    return [...this.#tenants.values()];
  }

  tenant(id: string): Tenant | undefined {
    return this.#tenants.get(id);
  }

  async refresh(): Promise<void> {
    const { catalog } = this.#options;
    const tenants: Tenant[] = [];
    for await (const tenant of eachItem((page) => catalog.tenants.list(page))) tenants.push(tenant);
    const problems: UnreadablePolicy[] = [];
    const known: Known[] = [];
    for (const tenantId of [undefined, ...tenants.map(({ id }) => id)]) known.push(...(await this.#load(tenantId, problems)));
    this.#tenants.clear();
    for (const tenant of tenants) this.#tenants.set(tenant.id, tenant);
    this.#index(known);
    this.#problems = problems;
  }

  /** What concerns one tenant, for a decision that must not be made with what was known a minute ago. */
  async refreshTenant(tenantId: string): Promise<void> {
    const tenant = await this.#options.catalog.tenants.get(tenantId);
    const fresh = [...(await this.#load(undefined, [])), ...(await this.#load(tenantId, []))];
    const others = [...this.#known.values()].filter(({ stored }) => stored.tenantId !== undefined && stored.tenantId !== tenantId);
    if (tenant === undefined) this.#tenants.delete(tenantId);
    else this.#tenants.set(tenantId, tenant);
    this.#index([...fresh, ...others]);
  }

  async #load(tenantId: string | undefined, problems: UnreadablePolicy[]): Promise<Known[]> {
    const { catalog } = this.#options;
    const known: Known[] = [];
    for await (const stored of eachItem((page) => catalog.policies.list(tenantId, page)))
      known.push({ stored, read: this.#read(stored, problems) });
    return known;
  }

  #index(all: readonly Known[]): void {
    this.#known = new Map(all.map((one) => [one.stored.id, one]));
    this.#byName = new Map(all.map((one) => [nameKey(one.stored.tenantId, one.stored.name), one]));
    this.#byScope = Map.groupBy(all, ({ stored }) => scopeKey(stored.level, stored.scope ?? stored.tenantId));
  }

  /** What applies to an asset, or, without one, to a tenant as such. */
  inForce(tenant: Tenant, asset?: Pick<Asset, 'policyId'>): PolicyInForce {
    const chain = this.#chainOf(tenant, asset);
    const stamp = chain.map((known) => this.#stampOf(known)).join(' ');
    let policy = this.#merged.get(stamp);
    if (policy === undefined) {
      ({ policy } = effectivePolicy(chain.flatMap((known) => this.#levelsOf(known))));
      // Versions pass: what is not asked for any more does not stay for ever.
      if (this.#merged.size >= MERGED_MAX) this.#merged = new Map();
      this.#merged.set(stamp, policy);
    }
    return { stamp, policy, isWhole: chain.every((known) => this.#isWhole(known)) };
  }

  #isWhole({ stored, read }: Known): boolean {
    let above = read?.document.extends;
    for (let n = 0; above !== undefined && n < BASES_MAX; n++) {
      const known = this.#knownAs(above, stored.tenantId);
      const base = known === undefined ? this.#shipped.get(above) : known.read?.document;
      if (base === undefined) return false;
      above = base.extends;
    }
    return read !== undefined;
  }

  #chainOf({ id, city, district }: Tenant, asset: Pick<Asset, 'policyId'> | undefined): readonly Known[] {
    const chain: Known[] = [];
    if (city !== undefined) chain.push(...this.#scoped('city', city));
    if (city !== undefined && district !== undefined) chain.push(...this.#scoped('district', `${city}/${district}`));
    chain.push(...this.#scoped('tenant', id));
    const own = asset?.policyId === undefined ? undefined : this.#known.get(asset.policyId);
    const isForeign = own?.stored.tenantId !== undefined && own.stored.tenantId !== id;
    if (own !== undefined && !isForeign && !chain.includes(own)) chain.push(own);
    return chain;
  }

  #scoped(level: StoredPolicy['level'], scope: string): readonly Known[] {
    // A tenant's own policies speak for that tenant only, whatever they say.
    const isAllowed = ({ stored }: Known): boolean =>
      stored.tenantId === undefined || (level === 'tenant' && stored.tenantId === scope);
    return (this.#byScope.get(scopeKey(level, scope)) ?? []).filter(isAllowed);
  }

  #levelsOf({ stored, read }: Known): PolicyLevel[] {
    if (read === undefined) return [];
    const scope = stored.scope ?? stored.name;
    const bases = this.#basesOf(read.document, stored.tenantId).map(
      (document): PolicyLevel => ({ level: 'base', scope: document.name, document }),
    );
    return [...bases, { level: stored.level, scope, document: read.document }];
  }

  /** The highest first. What a policy of the provider extends is the provider's too: a tenant that has a policy of the same name takes nothing
   *  from what its city requires. */
  #basesOf(document: PolicyDocument, tenantId: string | undefined): PolicyDocument[] {
    const bases: PolicyDocument[] = [];
    for (let name = document.extends; name !== undefined && bases.length < BASES_MAX; ) {
      const base = this.#named(name, tenantId);
      if (base === undefined || base === document || bases.includes(base)) break;
      bases.unshift(base);
      name = base.extends;
    }
    return bases;
  }

  #named(name: string, tenantId: string | undefined): PolicyDocument | undefined {
    return this.#knownAs(name, tenantId)?.read?.document ?? this.#shipped.get(name);
  }

  #knownAs(name: string, tenantId: string | undefined): Known | undefined {
    return this.#byName.get(nameKey(tenantId, name)) ?? this.#byName.get(nameKey(undefined, name));
  }

  /** What a policy extends may change without it. */
  #stampOf({ stored, read }: Known): string {
    if (read === undefined) return `${stored.id}@0`;
    const bases = this.#basesOf(read.document, stored.tenantId).map((base) => `<${this.#serialOf(base)}`);
    return `${stored.id}@${read.version}${bases.join('')}`;
  }

  /** A number for each parsed document. */
  #serialOf(document: PolicyDocument): number {
    let serial = this.#serials.get(document);
    if (serial === undefined) this.#serials.set(document, (serial = ++this.#serial));
    return serial;
  }

  #read(stored: StoredPolicy, problems: UnreadablePolicy[]): Read | undefined {
    const before = this.#known.get(stored.id)?.read;
    if (before?.version === stored.version) return before;
    const answer = readPolicy(stored.text);
    if (answer.kind === 'policy') return { version: stored.version, document: answer.document };
    const [first] = answer.problems;
    problems.push({
      id: stored.id,
      ...(stored.tenantId === undefined ? {} : { tenantId: stored.tenantId }),
      name: stored.name,
      message: first === undefined ? 'it cannot be read' : `line ${first.line}: ${first.message}`,
    });
    return before;
  }
}

function nameKey(tenantId: string | undefined, name: string): string {
  return `${tenantId ?? ''} ${name}`;
}

function scopeKey(level: string, scope: string | undefined): string {
  return `${level} ${scope ?? ''}`;
}
