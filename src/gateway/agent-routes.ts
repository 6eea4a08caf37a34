// The routes of agents below /agent/v1. A Fastify plugin for a scope of its own: it brings signatures, and `request.agent`, to every route of
// that scope, those of other plugins that are registered after it included. A route with `config: { agentAuth: 'none' }` proves who asks
// by itself (enrolment; grants).

import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import { AGENT_PATHS, EndRequest, EnrolRequest, PollRequest, type RunTerms } from '../protocol/agent-messages.ts';
import { readMessage } from '../protocol/read-message.ts';
import { PROTOCOL_VERSION, VERSION_HEADER } from '../protocol/version.ts';
import { AgentAuth, type Claimed } from './agent-auth.ts';
import { type EndsOptions, endRun } from './agent-ends.ts';
import { enrol } from './agent-enrolment.ts';
import { AgentPolls, POLL_LIMITS, type PollLimits, type PollsOptions } from './agent-polls.ts';
import { sendAgentProblem } from './agent-problem.ts';
import { noteAccepted, noteRefusal, type RefusalsOptions } from './agent-refusals.ts';
import type { AgentWaker } from './agent-waker.ts';

const JSON_BYTES_MAX = 1024 * 1024;
const NO_BODY = new Uint8Array(0);

declare module 'fastify' {
  interface FastifyRequest {
    /** Who signed the request; null on routes that prove it otherwise. */
    agent: Agent | null;
    /** As it came; what the signature is over. */
    bodyBytes: Uint8Array | null;
    /** What the headers claim, until the signature is proved. */
    signatureClaim: Claimed | null;
  }
  interface FastifyContextConfig {
    agentAuth?: 'none';
  }
}

export type AgentRoutesOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Logger;
  readonly wake: AgentWaker;
  readonly onRunEnded: EndsOptions['onRunEnded'];
  readonly termsOf?: PollsOptions['termsOf'];
  readonly limits?: Partial<PollLimits>;
  readonly retryFirstMs?: number;
  /** Of the protocol; for tests. */
  readonly version?: string;
};

const NO_TERMS: RunTerms = {};

export function agentRoutes(options: AgentRoutesOptions): FastifyPluginAsync {
  const { wake: waker, version = PROTOCOL_VERSION } = options;
  const auth = new AgentAuth({ ...options, version });
  const polls = new AgentPolls({
    ...options,
    waker,
    termsOf: options.termsOf ?? (async () => NO_TERMS),
    limits: { ...POLL_LIMITS, ...options.limits },
  });
  const plugin: FastifyPluginAsync = async (app) => {
    installBodies(app);
    installAuth(app, auth, version, options);
    app.addHook('preClose', async () => waker.close());
    app.post(AGENT_PATHS.enrol, { config: { agentAuth: 'none' }, bodyLimit: JSON_BYTES_MAX }, async (request) => {
      const claimed = auth.readHeaders(request.headers);
      if (claimed.refusal !== undefined) throw claimed.refusal;
      const message = readMessage(EnrolRequest, request.body, 'The enrolment');
      auth.proveSignature(message.publicKey, claimed, request.method, request.url, request.bodyBytes ?? NO_BODY);
      return enrol(options, message, request.ip);
    });
    app.post(AGENT_PATHS.poll, { bodyLimit: JSON_BYTES_MAX }, async (request, reply) => {
      const message = readMessage(PollRequest, request.body, 'The poll');
      const agent = agentOf(request);
      await noteAccepted(options, agent);
      return polls.poll(agent, message, signalOf(reply));
    });
    app.post<{ Params: { run: string } }>(AGENT_PATHS.end(':run'), { bodyLimit: JSON_BYTES_MAX }, async (request) => {
      const message = readMessage(EndRequest, request.body, 'The end of a run');
      return endRun(options, agentOf(request), request.params.run, message);
    });
  };
  // What it brings is for the scope that it is registered in, not for one below.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true });
}

/** Who signed the request. */
export function agentOf(request: FastifyRequest): Agent {
  if (request.agent === null) throw new Fault('AGENT_SIGNATURE_BAD', 'The request is not signed by an agent');
  return request.agent;
}

/** Made once: a reason with a stack for every answer would cost more than the answer. */
const GONE = new Error('The client is gone');

/** Fires when the client is gone (or has its answer). */
export function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort(GONE));
  return controller.signal;
}

/** Bodies are kept as they came: JSON beside what it says, all else as bytes. */
function installBodies(app: FastifyInstance): void {
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    request.bodyBytes = body;
    try {
      done(null, body.length === 0 ? undefined : JSON.parse(body.toString('utf8')));
    } catch {
      done(new Fault('MESSAGE_INVALID', 'The body is not JSON'));
    }
  });
  if (app.hasContentTypeParser('application/octet-stream')) return;
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    request.bodyBytes = body;
    done(null, body);
  });
}

function installAuth(app: FastifyInstance, auth: AgentAuth, version: string, refusals: RefusalsOptions): void {
  app.decorateRequest('agent', null);
  app.decorateRequest('bodyBytes', null);
  app.decorateRequest('signatureClaim', null);
  app.setErrorHandler(sendAgentProblem);
  app.addHook('onRequest', async (request, reply) => {
    void reply.header(VERSION_HEADER, version);
    if (request.routeOptions.config.agentAuth === 'none') return;
    const claimed = auth.readHeaders(request.headers);
    request.signatureClaim = claimed;
    request.agent = await auth.agentOf(request.headers, request.ip).catch((error: unknown) => {
      throw claimed.refusal ?? error;
    });
  });
  app.addHook('preValidation', async ({ agent, signatureClaim, bodyBytes, method, url }) => {
    if (agent === null || signatureClaim === null) return;
    const refusal = auth.proveSignature(agent.publicKey, signatureClaim, method, url, bodyBytes ?? NO_BODY);
    if (refusal === undefined) return;
    await noteRefusal(refusals, agent, refusal);
    throw refusal;
  });
}
