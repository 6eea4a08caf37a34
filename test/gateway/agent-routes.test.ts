import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AGENT_PATHS, type EnrolAnswer, type PollAnswer, type PollRequest } from '../../src/protocol/agent-messages.ts';
import { SIGNATURE_HEADERS, textToSign } from '../../src/protocol/request-signature.ts';
import { PROTOCOL_VERSION, VERSION_HEADER } from '../../src/protocol/version.ts';
import { verifyAudit } from '../../src/trust/audit-chain.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../support/control-plane.ts';
import { scratchDirectory } from '../support/scratch.ts';

type Answer = { readonly status: number; readonly body: Record<string, unknown>; readonly version: string | undefined };
type Headers = Record<string, string>;
const HOST = { hostname: 'h', platform: 'linux', version: '0.1.0', cpus: 2, memoryBytes: 1 };
const POLL: PollRequest = { instance: 'instance-1', running: [], capacity: 1, waitMs: 0 };
const LOOPBACK = '127.0.0.1';

async function controlPlane(options: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
  const plane = await startControlPlane({ directory: scratchDirectory(), ...options });
  onTestFinished(() => plane.stop());
  return plane;
}

/** An agent that speaks the protocol by hand, so that a test can say what is wrong. */
class Speaker {
  readonly #plane: ControlPlane;
  readonly #privateKey: KeyObject;
  readonly publicKey: string;
  id = '';

  constructor(plane: ControlPlane) {
    this.#plane = plane;
    const pair = generateKeyPairSync('ed25519');
    this.#privateKey = pair.privateKey;
    this.publicKey = pair.publicKey.export({ format: 'jwk' }).x!;
  }

  static async enrolled(plane: ControlPlane): Promise<Speaker> {
    const speaker = new Speaker(plane);
    const { body, status } = await speaker.enrol(await plane.token());
    expect(status).toBe(200);
    speaker.id = (body as EnrolAnswer).agentId;
    return speaker;
  }

  enrol(token: string): Promise<Answer> {
    return this.post(AGENT_PATHS.enrol, { token, publicKey: this.publicKey, host: HOST });
  }

  poll(message: Partial<PollRequest> = {}): Promise<Answer & { body: PollAnswer }> {
    return this.post(AGENT_PATHS.poll, { ...POLL, ...message }) as Promise<Answer & { body: PollAnswer }>;
  }

  /** `change`: of headers, after they were signed. */
  post(path: string, message: unknown, change: Headers = {}, at = new Date()): Promise<Answer> {
    const body = Buffer.from(JSON.stringify(message));
    return this.send(path, body, { ...this.headers(path, body, at), ...change });
  }

  headers(path: string, body: Uint8Array, at = new Date()): Headers {
    const time = at.toISOString();
    const nonce = randomBytes(16).toString('base64url');
    const text = textToSign({ method: 'POST', target: path, time, nonce, body });
    return {
      'content-type': 'application/json',
      [VERSION_HEADER]: PROTOCOL_VERSION,
      [SIGNATURE_HEADERS.agent]: this.id,
      [SIGNATURE_HEADERS.time]: time,
      [SIGNATURE_HEADERS.nonce]: nonce,
      [SIGNATURE_HEADERS.signature]: sign(null, Buffer.from(text), this.#privateKey).toString('base64url'),
    };
  }

  send(path: string, body: Uint8Array, headers: Headers): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = requestHttp(`${this.#plane.url}${path}`, { method: 'POST', headers }, async (response) => {
        const pieces: Buffer[] = [];
        for await (const piece of response) pieces.push(piece as Buffer);
        const version = response.headers[VERSION_HEADER];
        const answered = JSON.parse(Buffer.concat(pieces).toString()) as Record<string, unknown>;
        resolve({ status: response.statusCode!, body: answered, version: version as string | undefined });
      });
      request.on('error', reject).end(body);
    });
  }
}

describe('enrolment', () => {
  it('makes an agent of a key, once for each token, with an entry in the audit', async () => {
    const plane = await controlPlane();
    const token = await plane.token();
    const speaker = new Speaker(plane);
    const first = await speaker.enrol(token);
    expect(first).toMatchObject({ status: 200, body: { tenantId: plane.tenant.id, label: 'a host' } });
    const agent = await plane.catalog.agents.get((first.body as EnrolAnswer).agentId);
    expect(agent).toMatchObject({ publicKey: speaker.publicKey, state: 'active', host: HOST });
    expect(await speaker.enrol(token)).toMatchObject({ status: 403, body: { code: 'AGENT_ENROLMENT_REFUSED' } });
    const audit = await plane.catalog.audit.after(0, plane.tenant.id, 10);
    expect(audit.map(({ action, subject, source }) => ({ action, subject, source }))).toEqual([
      { action: 'agent.enrol', subject: agent!.id, source: LOOPBACK },
    ]);
    expect(await verifyAudit(await plane.catalog.audit.after(0, undefined, 10), [])).toMatchObject({ kind: 'whole' });
    expect(JSON.stringify(audit)).not.toContain(token);
  });

  it('refuses a token that is over, one that never was, and a key that the sender does not hold', async () => {
    const plane = await controlPlane();
    const refused = { status: 403, body: { code: 'AGENT_ENROLMENT_REFUSED' } };
    expect(await new Speaker(plane).enrol(await plane.token(-1))).toMatchObject(refused);
    expect(await new Speaker(plane).enrol('hf_nothing')).toMatchObject(refused);
    const [mine, other] = [new Speaker(plane), new Speaker(plane)];
    const stolen = { token: await plane.token(), publicKey: other.publicKey, host: HOST };
    expect(await mine.post(AGENT_PATHS.enrol, stolen)).toMatchObject({ status: 401, body: { code: 'AGENT_SIGNATURE_BAD' } });
    expect(await other.enrol(stolen.token)).toMatchObject({ status: 200 });
  });

  it('leaves a token unused that came from an address which the tenant does not admit', async () => {
    const plane = await controlPlane({ tenant: { allowedSources: ['10.9.0.0/16'] } });
    const token = await plane.token();
    expect(await new Speaker(plane).enrol(token)).toMatchObject({ status: 403, body: { code: 'AGENT_SOURCE_DENIED' } });
    await plane.catalog.tenants.change({ ...plane.tenant, allowedSources: ['127.0.0.0/8'] });
    expect(await new Speaker(plane).enrol(token)).toMatchObject({ status: 200 });
  });
});

describe('a signed request', () => {
  it('is refused when it comes twice', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const body = Buffer.from(JSON.stringify(POLL));
    const headers = speaker.headers(AGENT_PATHS.poll, body);
    expect(await speaker.send(AGENT_PATHS.poll, body, headers)).toMatchObject({ status: 200 });
    expect(await speaker.send(AGENT_PATHS.poll, body, headers)).toMatchObject({ status: 401, body: { code: 'AGENT_REPLAYED' } });
  });

  it('is refused when its body, path, time or nonce was changed, or another agent is named', async () => {
    const plane = await controlPlane();
    const [speaker, other] = [await Speaker.enrolled(plane), await Speaker.enrolled(plane)];
    const body = Buffer.from(JSON.stringify(POLL));
    const bad = { status: 401, body: { code: 'AGENT_SIGNATURE_BAD' } };
    const path = AGENT_PATHS.poll;
    const changed = Buffer.from(JSON.stringify({ ...POLL, capacity: 2 }));
    expect(await speaker.send(path, changed, speaker.headers(path, body))).toMatchObject(bad);
    expect(await speaker.send(`${path}?x=1`, body, speaker.headers(path, body))).toMatchObject(bad);
    const later = new Date(Date.now() + 1000).toISOString();
    expect(await speaker.post(path, POLL, { [SIGNATURE_HEADERS.time]: later })).toMatchObject(bad);
    const nonce = randomBytes(16).toString('base64url');
    expect(await speaker.post(path, POLL, { [SIGNATURE_HEADERS.nonce]: nonce })).toMatchObject(bad);
    expect(await speaker.post(path, POLL, { [SIGNATURE_HEADERS.agent]: other.id })).toMatchObject(bad);
    const { [SIGNATURE_HEADERS.signature]: _, ...unsigned } = speaker.headers(path, body);
    expect(await speaker.send(path, body, unsigned)).toMatchObject(bad);
    expect(await speaker.poll()).toMatchObject({ status: 200 });
  });

  it('by a wrong clock is refused and told by how much', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    for (const skewMs of [-3_600_000, 3_600_000]) {
      const answer = await speaker.post(AGENT_PATHS.poll, POLL, {}, new Date(Date.now() + skewMs));
      expect(answer).toMatchObject({ status: 401, body: { code: 'AGENT_CLOCK_SKEW' } });
      expect(Math.abs((answer.body.skewMs as number) - skewMs)).toBeLessThan(60_000);
    }
    expect(await speaker.post(AGENT_PATHS.poll, POLL, {}, new Date(Date.now() + 120_000))).toMatchObject({ status: 200 });
  });

  it('that is refused for clock or version although it is its agent is an event, once, and one more when the agent is heard again', async () => {
    const plane = await controlPlane();
    const [speaker, other] = [await Speaker.enrolled(plane), await Speaker.enrolled(plane)];
    const told = async () =>
      (await plane.catalog.events.after(0, plane.tenant.id, 100)).filter(({ kind }) => kind.startsWith('agent.'));
    const hourAhead = (): Date => new Date(Date.now() + 3_600_000);
    // Somebody else who only names it.
    await other.post(AGENT_PATHS.poll, POLL, { [SIGNATURE_HEADERS.agent]: speaker.id }, hourAhead());
    // Good again within minutes after a start of the service.
    await speaker.post(AGENT_PATHS.poll, POLL, {}, new Date(Date.now() - 120_000));
    expect(await told()).toEqual([]);
    for (let n = 0; n < 3; n++) await speaker.post(AGENT_PATHS.poll, POLL, {}, hourAhead());
    expect(await told()).toMatchObject([
      {
        kind: 'agent.refused',
        severity: 'critical',
        cause: expect.stringMatching(/ahead of .* \[AGENT_CLOCK_SKEW\]/),
        action: expect.stringContaining('NTP'),
        details: { agent: speaker.id },
      },
    ]);
    for (let n = 0; n < 2; n++) expect(await speaker.poll()).toMatchObject({ status: 200 });
    expect((await told()).map(({ kind }) => kind)).toEqual(['agent.refused', 'agent.accepted']);
    const old = { [VERSION_HEADER]: '99.0' };
    expect(await speaker.post(AGENT_PATHS.poll, POLL, old)).toMatchObject({ status: 426 });
    expect((await told()).at(-1)).toMatchObject({ kind: 'agent.refused', details: { code: 'AGENT_VERSION_UNSUPPORTED' } });
  });

  it('from before the start of the service is refused: it may be a replay of what the one before saw', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const answer = await speaker.post(AGENT_PATHS.poll, POLL, {}, new Date(Date.now() - 120_000));
    expect(answer).toMatchObject({ status: 401, body: { code: 'AGENT_CLOCK_SKEW' } });
  });

  it('works one minor version apart and is refused by name at two', async () => {
    const plane = await controlPlane({ routes: { version: '3.4' } });
    const speaker = new Speaker(plane);
    const token = await plane.token();
    const enrolment = { token, publicKey: speaker.publicKey, host: { ...HOST, somethingNew: true }, also: 'new' };
    const as = (version: string): Promise<Answer> => speaker.post(AGENT_PATHS.enrol, enrolment, { [VERSION_HEADER]: version });
    for (const version of ['3.2', '3.6', '2.4', '4.4', 'x', '']) {
      const answer = await as(version);
      expect(answer).toMatchObject({ status: 426, body: { code: 'AGENT_VERSION_UNSUPPORTED' }, version: '3.4' });
    }
    expect(await as('3.5')).toMatchObject({ status: 200 });
  });

  it('of a revoked agent is refused at once, also while its poll waits', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const waiting = speaker.poll({ waitMs: 30_000 });
    while (plane.waker.count === 0) await new Promise((resolve) => setImmediate(resolve));
    await plane.catalog.agents.revoke(speaker.id, new Date().toISOString());
    plane.waker.wake(speaker.id);
    const refused = { status: 403, body: { code: 'AGENT_REVOKED' } };
    expect(await waiting).toMatchObject(refused);
    expect(await speaker.poll()).toMatchObject(refused);
  });

  it('of an agent of a suspended or closed tenant is refused, also while its poll waits', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const asset = await plane.asset(speaker.id, { kind: 'files', paths: ['/etc'] });
    let { tenant } = plane;
    const become = async (state: 'active' | 'suspended' | 'closed'): Promise<void> => {
      tenant = (await plane.catalog.tenants.change({ ...tenant, state })) as typeof tenant;
    };
    const waiting = speaker.poll({ waitMs: 30_000 });
    while (plane.waker.count === 0) await new Promise((resolve) => setImmediate(resolve));
    await become('suspended');
    const run = await plane.queue({ agentId: speaker.id, assetId: asset.id });
    const suspended = { status: 403, body: { code: 'TENANT_SUSPENDED' } };
    expect(await waiting).toMatchObject(suspended);
    expect(await speaker.poll()).toMatchObject(suspended);
    expect(await new Speaker(plane).enrol(await plane.token())).toMatchObject(suspended);
    expect((await plane.run(run.id)).state).toBe('queued');
    await become('active');
    expect((await speaker.poll()).body.claimed).toMatchObject([{ run: { id: run.id, attempt: 1 } }]);
    await become('closed');
    expect(await speaker.poll()).toMatchObject({ status: 403, body: { code: 'TENANT_CLOSED' } });
  });

  it('that makes no sense is refused without an internal fault', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const invalid = { status: 400, body: { code: 'MESSAGE_INVALID' } };
    for (const message of [null, 1, [], {}, { ...POLL, capacity: -1 }, { ...POLL, running: [{ runId: 'x', fence: 1 }] }])
      expect(await speaker.post(AGENT_PATHS.poll, message)).toMatchObject(invalid);
    const text = Buffer.from('{"a":');
    expect(await speaker.send(AGENT_PATHS.poll, text, speaker.headers(AGENT_PATHS.poll, text))).toMatchObject(invalid);
  });
});

describe('a poll', () => {
  it('waits, and is answered when something is queued', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const asset = await plane.asset(speaker.id, { kind: 'files', paths: ['/etc'] });
    const waiting = speaker.poll({ waitMs: 30_000 });
    while (plane.waker.count === 0) await new Promise((resolve) => setImmediate(resolve));
    const run = await plane.queue({ agentId: speaker.id, assetId: asset.id });
    const { body } = await waiting;
    expect(body.claimed).toMatchObject([{ run: { id: run.id, fence: 1, state: 'running' }, asset, terms: {} }]);
  });

  it('finds by itself what another control plane queued', async () => {
    const plane = await controlPlane({ routes: { limits: { lookMs: 50 } } });
    const speaker = await Speaker.enrolled(plane);
    const waiting = speaker.poll({ waitMs: 30_000 });
    while (plane.waker.count === 0) await new Promise((resolve) => setImmediate(resolve));
    const at = new Date().toISOString();
    const { run } = await plane.catalog.runs.add(
      {
        ...{
          id: `run_${'0'.repeat(26)}`,
          tenantId: plane.tenant.id,
          agentId: speaker.id,
          kind: 'restore',
          key: 'k',
          parameters: {},
        },
        ...{ priority: 1, dueAt: at, notBefore: at, attemptsMax: 1, requestedBy: 'test' },
      },
      at,
    );
    expect((await waiting).body.claimed).toMatchObject([{ run: { id: run.id } }]);
  });

  it('gives a run to one of two processes of the same agent, and nothing of other agents', async () => {
    const plane = await controlPlane();
    const [speaker, other] = [await Speaker.enrolled(plane), await Speaker.enrolled(plane)];
    const runs: string[] = [];
    for (let i = 0; i < 3; i++) {
      const asset = await plane.asset(speaker.id, { kind: 'files', paths: ['/etc'] });
      runs.push((await plane.queue({ agentId: speaker.id, assetId: asset.id })).id);
    }
    const answers = await Promise.all([
      speaker.poll({ instance: 'instance-1', capacity: 5 }),
      speaker.poll({ instance: 'instance-2', capacity: 5 }),
      other.poll({ capacity: 5 }),
    ]);
    const claimed = answers.map(({ body }) => body.claimed.map(({ run }) => run.id));
    expect(claimed.flat().sort()).toEqual([...runs].sort());
    expect(claimed[2]).toEqual([]);
  });

  it('tells a claim again whose answer did not arrive, and not to another process', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const run = await plane.queue({ agentId: speaker.id, kind: 'restore' });
    const { body: lost } = await speaker.poll();
    expect(lost.claimed.length).toBe(1);
    expect((await speaker.poll({ instance: 'instance-2' })).body.claimed).toEqual([]);
    expect((await speaker.poll()).body.claimed).toMatchObject([{ run: { id: run.id, fence: 1 } }]);
    const running = [{ runId: run.id, fence: 1 }];
    expect((await speaker.poll({ running })).body).toMatchObject({ claimed: [], fenced: [] });
    expect((await speaker.poll({ running: [] })).body.claimed).toEqual([]);
  });

  it('that replaces another of the same process hears what that one claimed', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    for (let round = 0; round < 20; round++) {
      // As an agent that has just ended a run: it gives up its poll for a new one while something is queued.
      const body = Buffer.from(JSON.stringify({ ...POLL, waitMs: 30_000 }));
      const headers = speaker.headers(AGENT_PATHS.poll, body);
      const before = requestHttp(`${plane.url}${AGENT_PATHS.poll}`, { method: 'POST', headers, agent: false });
      before.on('error', () => {}).end(body);
      while (plane.waker.count === 0) await new Promise((resolve) => setImmediate(resolve));
      const queued = plane.queue({ agentId: speaker.id, kind: 'restore' });
      for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve));
      before.destroy();
      const { body: heard } = await speaker.poll({ waitMs: 30_000 });
      const run = await queued;
      expect(heard.claimed.map(({ run: { id } }) => id)).toEqual([run.id]);
      const end = { fence: 1, state: 'succeeded' };
      expect(await speaker.post(AGENT_PATHS.end(run.id), end)).toMatchObject({ status: 200 });
    }
  });

  it('keeps the lease, stores progress, and says what was canceled or given to another', async () => {
    const plane = await controlPlane({ routes: { limits: { leaseMs: 60_000 } } });
    const [speaker, other] = [await Speaker.enrolled(plane), await Speaker.enrolled(plane)];
    const run = await plane.queue({ agentId: speaker.id, kind: 'restore' });
    await speaker.poll();
    const before = (await plane.run(run.id)).leaseUntil!;
    const progress = { phase: 'writing', bytesDone: 7, at: new Date().toISOString() };
    const held = { runId: run.id, fence: 1, progress };
    expect((await speaker.poll({ running: [held] })).body).toMatchObject({ cancel: [], fenced: [] });
    const after = await plane.run(run.id);
    expect(after.progress).toEqual(progress);
    expect(after.leaseUntil! >= before).toBe(true);
    // Another agent knows the run's name and fence, and gets nothing for it.
    expect((await other.poll({ running: [held] })).body.fenced).toEqual([run.id]);
    const waiting = speaker.poll({ running: [held], capacity: 0, waitMs: 30_000 });
    while (plane.waker.count === 0) await new Promise((resolve) => setImmediate(resolve));
    await plane.catalog.runs.cancel(plane.tenant.id, run.id, new Date().toISOString());
    plane.waker.wake(speaker.id);
    expect((await waiting).body.cancel).toEqual([run.id]);
    // Said once the agent knows: it is not woken for it again.
    expect((await speaker.poll({ running: [{ ...held, isStopping: true }] })).body.cancel).toEqual([]);
    expect((await speaker.poll({ running: [{ ...held, fence: 2 }] })).body.fenced).toEqual([run.id]);
  });
});

describe('the end of a run', () => {
  it('is told once, however often it is said', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const run = await plane.queue({ agentId: speaker.id, kind: 'restore' });
    await speaker.poll();
    const end = { fence: 1, state: 'succeeded', result: { bytes: 1 } };
    for (let i = 0; i < 2; i++)
      expect(await speaker.post(AGENT_PATHS.end(run.id), end)).toMatchObject({ status: 200, body: { state: 'succeeded' } });
    expect(plane.ended.map(({ id, state }) => ({ id, state }))).toEqual([{ id: run.id, state: 'succeeded' }]);
    expect(await plane.run(run.id)).toMatchObject({ state: 'succeeded', result: { bytes: 1 } });
  });

  it('counts for the agent that holds it and for nobody else', async () => {
    const plane = await controlPlane();
    const [speaker, other] = [await Speaker.enrolled(plane), await Speaker.enrolled(plane)];
    const run = await plane.queue({ agentId: speaker.id, kind: 'restore' });
    await speaker.poll();
    const fenced = { status: 409, body: { code: 'RUN_FENCED' } };
    expect(await other.post(AGENT_PATHS.end(run.id), { fence: 1, state: 'succeeded' })).toMatchObject(fenced);
    expect(await speaker.post(AGENT_PATHS.end(run.id), { fence: 2, state: 'succeeded' })).toMatchObject(fenced);
    expect((await plane.run(run.id)).state).toBe('running');
    expect(plane.ended).toEqual([]);
  });

  it('that came because agent or service went away uses up no attempt', async () => {
    const plane = await controlPlane({ routes: { retryFirstMs: 0 } });
    const speaker = await Speaker.enrolled(plane);
    const run = await plane.queue({ agentId: speaker.id, kind: 'backup', attemptsMax: 2 });
    const codes = ['SESSION_GONE', 'AGENT_INTERRUPTED', 'SERVICE_UNREACHABLE', 'STORE_UNREACHABLE', 'SERVICE_STOPPING'];
    for (const [n, code] of codes.entries()) {
      plane.waker.wake(speaker.id);
      expect((await speaker.poll()).body.claimed).toMatchObject([{ run: { id: run.id, fence: n + 1 } }]);
      const end = { fence: n + 1, state: 'failed', fault: { code, message: 'm', hint: 'h' } };
      expect(await speaker.post(AGENT_PATHS.end(run.id), end)).toMatchObject({ body: { state: 'queued' } });
    }
    expect(await plane.run(run.id)).toMatchObject({ attempt: 5, lost: 4 });
    plane.waker.wake(speaker.id);
    await speaker.poll();
    const end = { fence: 6, state: 'failed', fault: { code: 'STORE_UNREACHABLE', message: 'm', hint: 'h' } };
    expect(await speaker.post(AGENT_PATHS.end(run.id), end), 'the second failure of two').toMatchObject({
      body: { state: 'failed' },
    });
  });

  it('that came because its agent went away is followed soon by the next, later each time', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const queued = await plane.queue({ agentId: speaker.id, kind: 'backup' });
    const { runs } = plane.catalog;
    const fault = { code: 'AGENT_INTERRUPTED', message: 'The agent died during the run', hint: 'h' };
    for (const [n, seconds] of [1, 2, 4, 8, 16, 30, 30].entries()) {
      const fence = n + 1;
      const claim = { by: `agent:${speaker.id}`, kinds: ['backup'], agentId: speaker.id, leaseMs: 60_000 } as const;
      const limits = { perAgentMax: 4, perTenantMax: 4, totalMax: 4 };
      expect(await runs.claim({ ...claim, ...limits, at: (await plane.run(queued.id)).notBefore })).toMatchObject({ fence });
      const toldAtMs = Date.now();
      expect(await speaker.post(AGENT_PATHS.end(queued.id), { fence, state: 'failed', fault })).toMatchObject({ status: 200 });
      const { notBefore } = await plane.run(queued.id);
      expect(Date.parse(notBefore)).toBeLessThanOrEqual(Date.now() + 1250 * seconds);
      expect(Date.parse(notBefore)).toBeGreaterThanOrEqual(toldAtMs + 750 * seconds - 1);
    }
  });

  it('queues a failure again when it may pass, and not when it cannot', async () => {
    const plane = await controlPlane();
    const speaker = await Speaker.enrolled(plane);
    const failures = [
      ['STORE_UNREACHABLE', 'queued'],
      ['A_CODE_OF_A_NEWER_AGENT', 'queued'],
      ['SOURCE_NOT_FOUND', 'failed'],
    ] as const;
    for (const [code, state] of failures) {
      const run = await plane.queue({ agentId: speaker.id, kind: 'restore' });
      await speaker.poll();
      const end = { fence: 1, state: 'failed', fault: { code, message: 'm', hint: 'h' } };
      expect(await speaker.post(AGENT_PATHS.end(run.id), end)).toMatchObject({ status: 200, body: { state } });
      if (state === 'queued') expect((await plane.run(run.id)).notBefore > new Date().toISOString()).toBe(true);
    }
  });
});
