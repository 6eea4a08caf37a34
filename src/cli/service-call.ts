// What every verb of the service starts with: where it is, who asks, and which tenant is meant.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '../base/faults.ts';
import type { Agent, Asset, Run, Tenant } from '../client/generated.ts';
import { ServiceClient } from '../client/service-client.ts';
import type { Environment } from './environment.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';

const URL_DEFAULT = 'http://127.0.0.1:8480';
const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

export type Service = {
  readonly client: ServiceClient;
  /** Of --tenant, HOLDFAST_TENANT, or the only one. */
  readonly tenant: () => Promise<Tenant>;
};

export async function withService(invocation: Invocation, work: (service: Service) => Promise<number>): Promise<number> {
  const client = clientOf(invocation, readSecret(invocation.environment));
  let found: Promise<Tenant> | undefined;
  return work({ client, tenant: () => (found ??= tenantOf(client, invocation)) });
}

export function clientOf({ options, environment, output, signal }: Invocation, secret: string | undefined): ServiceClient {
  const given = options.text('service') ?? environment.variables['HOLDFAST_SERVICE'] ?? URL_DEFAULT;
  if (!/^https?:\/\//.test(given) || !URL.canParse(given))
    throw usage(`"${given}" is no address of a service`, 'It looks like https://backup.example.org:8480.');
  const { protocol, hostname } = new URL(given);
  if (protocol === 'http:' && !LOOPBACK.test(hostname))
    output.warning(`the way to ${hostname} is not encrypted: whoever listens there gets the token`, { code: 'PLAIN_HTTP' });
  return new ServiceClient({ url: given, secret, newKey: randomUUID, signal });
}

/** Where `login` puts a session. */
export function tokenFileOf({ variables }: Environment): string {
  return (
    variables['HOLDFAST_TOKEN_FILE'] ||
    join(variables['XDG_CONFIG_HOME'] || join(variables['HOME'] || homedir(), '.config'), 'holdfast/token')
  );
}

function readSecret(environment: Environment): string {
  const { variables } = environment;
  const stated = variables['HOLDFAST_TOKEN'];
  if (!variables['HOLDFAST_TOKEN_FILE'] && stated) return stated.trim();
  const file = tokenFileOf(environment);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault('REQUEST_UNAUTHENTICATED', `There is no token: "${file}" cannot be read (${code})`, {
      hint: 'Run "holdfast login", or name a file with a token in HOLDFAST_TOKEN_FILE.',
    });
  }
}

async function tenantOf(client: ServiceClient, { options, environment }: Invocation): Promise<Tenant> {
  const named = options.text('tenant') ?? (environment.variables['HOLDFAST_TENANT'] || undefined);
  const { body: me } = await client.call('me', {});
  const isNamed = ({ id, name }: Tenant): boolean => named === id || named === name;
  const own = named === undefined ? me.tenants : me.tenants.filter(isNamed);
  if (own.length === 1) return own[0]!;
  if (named === undefined)
    throw usage(
      me.tenants.length === 0 ? 'This token has no role in any tenant' : 'This token has roles in several tenants',
      `Name one with --tenant${me.tenants.length === 0 ? '' : `: ${me.tenants.map(({ name }) => name).join(', ')}`}.`,
    );
  // Administrators of the provider have no role in tenants, and see them all the same.
  if (me.grants.some(({ tenantId }) => tenantId === undefined))
    for await (const tenant of client.each('listTenants', {})) if (isNamed(tenant)) return tenant;
  throw usage(`There is no tenant "${named}" for this token`, 'See "holdfast whoami".');
}

/** By id or name. */
export async function assetOf(client: ServiceClient, tenant: Tenant, named: string): Promise<Asset> {
  for await (const asset of client.each('listAssets', { tenant: tenant.id }))
    if (asset.id === named || asset.name === named) return asset;
  throw usage(`There is no asset "${named}" in ${tenant.name}`, 'See "holdfast asset list".');
}

/** By id: of those that there are. */
export async function assetNames(client: ServiceClient, tenant: Tenant): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for await (const { id, name } of client.each('listAssets', { tenant: tenant.id })) names.set(id, name);
  return names;
}

/** By id, or by what only one active agent has: a label, and where none has that, a host name. Several agents of one host are told apart by
 *  their labels, and that of the first one is the name of the host when nobody gave another. */
export async function agentOf(client: ServiceClient, tenant: Tenant, named: string): Promise<Agent> {
  const active: Agent[] = [];
  for await (const agent of client.each('listAgents', { tenant: tenant.id })) {
    if (agent.id === named) return agent;
    if (agent.state === 'active') active.push(agent);
  }
  const labelled = active.filter(({ label }) => label === named);
  const found = labelled.length > 0 ? labelled : active.filter(({ host }) => host.hostname === named);
  if (found.length === 1) return found[0]!;
  throw usage(
    found.length === 0 ? `There is no agent "${named}" in ${tenant.name}` : `Several agents are called "${named}"`,
    'Give the id; see "holdfast agents list".',
  );
}

/** A relative path would be one of the directory in which the agent was started. */
export function notOfTheAgent(path: string): Fault {
  return usage(`"${path}" does not begin with "/"`, "It is a path of the agent's host, which may be another one than this.");
}

export function isOver({ state }: Run): boolean {
  return state !== 'queued' && state !== 'running';
}
