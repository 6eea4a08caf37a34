// Who a signed request is from. In this order: version, clock, agent, (body is read,) signature, nonce. A nonce counts as used only when the
// signature was good, so that nobody can use up another's. Who is refused for version or clock, whatever else is wrong, is so when the
// signature was looked at: if it is good, somebody hears of that agent (agent-refusals.ts).
//
// Nothing about an agent is remembered between requests: the catalogue says each time whether it is active, so a revocation is effective
// with the next request. Nonces live in this process. A request from before its start is refused, so a restart opens a gap for replays of
// half a minute at most; a second control plane behind the same address would accept a replay of what the first one saw, within the clock's five
// minutes. What could be replayed there carries a fence (runs) or is single-use in the catalogue (grants).

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Fault, isFault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import type { Tenant } from '../model/tenant.ts';
import { CLOCK_SKEW_MS_MAX, isNonce, SIGNATURE_HEADERS, textToSign } from '../protocol/request-signature.ts';
import { checkVersion, VERSION_HEADER } from '../protocol/version.ts';
import { isSourceAllowed } from '../trust/allowed-sources.ts';
import { NonceCache } from './nonce-cache.ts';

const KEYS_MAX = 20_000;
/** By so much a request may seem to be signed before this process began: clocks are never exact, and an agent whose clock is a little
 *  behind must not lose its runs by a restart of the service. */
const START_GRACE_MS = 30_000;

export type AgentAuthOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  /** What this side speaks. */
  readonly version: string;
};

/** What the headers claim; proved by `proveSignature`. */
export type Claimed = {
  readonly time: string;
  readonly nonce: string;
  readonly signature: string;
  /** AGENT_VERSION_UNSUPPORTED, AGENT_CLOCK_SKEW: what it will be refused for. */
  readonly refusal?: Fault;
};

export class AgentAuth {
  readonly #options: AgentAuthOptions;
  readonly #nonces: NonceCache;
  readonly #startedMs: number;
  readonly #keys = new Map<string, KeyObject>();

  constructor(options: AgentAuthOptions) {
    this.#options = options;
    this.#startedMs = options.now().getTime();
    // A request may be signed five minutes ahead of our clock and stays good until five minutes after.
    this.#nonces = new NonceCache(2 * CLOCK_SKEW_MS_MAX, this.#startedMs);
  }

  /** AGENT_VERSION_UNSUPPORTED or AGENT_SIGNATURE_BAD: headers are missing. */
  readHeaders(headers: IncomingHttpHeaders): Claimed {
    const unsupported = faultOf(() => checkVersion(this.#options.version, headerOf(headers, VERSION_HEADER), 'agent'));
    const time = headerOf(headers, SIGNATURE_HEADERS.time);
    const nonce = headerOf(headers, SIGNATURE_HEADERS.nonce);
    const signature = headerOf(headers, SIGNATURE_HEADERS.signature);
    if (time === undefined || nonce === undefined || signature === undefined || !isNonce(nonce) || signature.length > 100)
      throw (
        unsupported ??
        new Fault('AGENT_SIGNATURE_BAD', 'The request is not signed: a header of the signature is missing or not as it should be')
      );
    const refusal = unsupported ?? faultOf(() => this.#checkClock(time));
    return { time, nonce, signature, ...(refusal === undefined ? {} : { refusal }) };
  }

  /** The agent that the headers name. AGENT_UNKNOWN, AGENT_REVOKED, and what `checkTenant` says. */
  async agentOf(headers: IncomingHttpHeaders, address: string): Promise<Agent> {
    const id = headerOf(headers, SIGNATURE_HEADERS.agent);
    const agent = id === undefined || id.length > 40 ? undefined : await this.#options.catalog.agents.get(id);
    if (agent === undefined) throw new Fault('AGENT_UNKNOWN', 'No agent of this name is enrolled');
    if (agent.state !== 'active') throw new Fault('AGENT_REVOKED', `The agent ${agent.id} was revoked`);
    checkTenant(await this.#options.catalog.tenants.get(agent.tenantId), address);
    return agent;
  }

  /** AGENT_SIGNATURE_BAD, AGENT_REPLAYED, AGENT_BUSY. What it is refused for is answered when the signature is good, and thrown when not. */
  proveSignature(publicKey: string, claimed: Claimed, method: string, target: string, body: Uint8Array): Fault | undefined {
    const { time, nonce, signature, refusal } = claimed;
    const text = textToSign({ method, target, time, nonce, body });
    const isGood = this.#isGood(publicKey, text, signature);
    if (refusal !== undefined) {
      if (isGood) return refusal;
      throw refusal;
    }
    if (!isGood) throw new Fault('AGENT_SIGNATURE_BAD', 'The signature of the request is not one of this agent over this request');
    const outcome = this.#nonces.take(nonce, this.#options.now().getTime());
    if (outcome === 'used') throw new Fault('AGENT_REPLAYED', 'This signed request came before');
    if (outcome === 'full') throw new Fault('AGENT_BUSY', 'More signed requests came within ten minutes than can be remembered');
    return undefined;
  }

  #checkClock(time: string): void {
    const at = Date.parse(time);
    const now = this.#options.now();
    const skewMs = at - now.getTime();
    const isOld = at < this.#startedMs - START_GRACE_MS;
    if (Math.abs(skewMs) <= CLOCK_SKEW_MS_MAX && !isOld) return;
    throw new ClockSkew(Number.isNaN(skewMs) ? undefined : skewMs, now, isOld && Math.abs(skewMs) <= CLOCK_SKEW_MS_MAX);
  }

  #isGood(publicKey: string, text: string, signature: string): boolean {
    try {
      return verify(null, Buffer.from(text), this.#keyOf(publicKey), Buffer.from(signature, 'base64url'));
    } catch {
      // Bytes that are no key or no signature.
      return false;
    }
  }

  #keyOf(publicKey: string): KeyObject {
    const known = this.#keys.get(publicKey);
    if (known !== undefined) return known;
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
    // Making one again costs little.
    if (this.#keys.size >= KEYS_MAX) this.#keys.clear();
    this.#keys.set(publicKey, key);
    return key;
  }
}

/** Whether agents of this tenant may speak from this address. TENANT_SUSPENDED, TENANT_CLOSED, AGENT_SOURCE_DENIED. */
export function checkTenant(tenant: Tenant | undefined, address: string): void {
  if (!isSourceAllowed(activeTenant(tenant).allowedSources, address))
    throw new Fault('AGENT_SOURCE_DENIED', `The tenant does not admit agents from ${address}`);
}

/** Nothing goes into or comes out of a tenant that is not active. TENANT_SUSPENDED, TENANT_CLOSED. */
export function activeTenant(tenant: Tenant | undefined): Tenant {
  if (tenant === undefined || tenant.state === 'closed') throw new Fault('TENANT_CLOSED', 'The tenant of this agent is closed');
  if (tenant.state === 'suspended') throw new Fault('TENANT_SUSPENDED', `The tenant ${tenant.name} is suspended`);
  return tenant;
}

/** AGENT_CLOCK_SKEW that carries by how much. */
export class ClockSkew extends Fault {
  /** The agent's clock less the service's. */
  readonly skewMs: number | undefined;
  /** Clocks agree well enough: it is over by itself when the service has run for so long. */
  readonly isPassing: boolean;

  constructor(skewMs: number | undefined, now: Date, isBeforeStart: boolean) {
    const message =
      skewMs === undefined
        ? 'The time of the request is no time'
        : isBeforeStart
          ? `The request was signed ${Math.round(-skewMs / 1000)} s ago by the service's clock, before the service was started: it cannot be told from a replay. It is accepted when the clocks have passed that`
          : `The clock of the agent is ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'} the service's, which says ${now.toISOString()}`;
    super('AGENT_CLOCK_SKEW', message);
    this.skewMs = skewMs;
    this.isPassing = isBeforeStart;
  }
}

function faultOf(check: () => void): Fault | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (isFault(error)) return error;
    throw error;
  }
}

export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}
