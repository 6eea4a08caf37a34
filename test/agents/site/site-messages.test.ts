// Messages between sites: what is not signed by a known key, is old, or was seen before does nothing.

import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ReplayGuard } from '../../../agents/site/replay-guard.ts';
import { SiteClient } from '../../../agents/site/site-client.ts';
import {
  BODY_BYTES_MAX,
  CALL_PATH,
  type CallMessage,
  HELLO_PATH,
  type Hello,
  signRequest,
  timeOfLife,
  WINDOW_MS,
} from '../../../agents/site/site-message.ts';
import { SiteServer } from '../../../agents/site/site-server.ts';
import { generateSigningPair } from '../../../src/codec/signature.ts';

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(20_000) });
const nonce = (): string => randomBytes(16).toString('base64url');

describe('A site daemon', () => {
  const [own, peer, stranger] = [generateSigningPair(), generateSigningPair(), generateSigningPair()];
  let server: SiteServer;
  let port: number;
  let nowMs: number;
  let obeyed: CallMessage[];
  let release: (() => void) | undefined;

  function newServer(life: string): SiteServer {
    return new SiteServer({
      site: 'b',
      pair: own,
      callers: new Map([['a', peer.verifyKey]]),
      life,
      nowMs: () => nowMs,
      answer: async (_from, message) => {
        obeyed.push(message);
        if (message.verb === 'revoke') await new Promise<void>((resolve) => (release = resolve));
        return { is: message.verb };
      },
    });
  }

  beforeEach(async () => {
    nowMs = 1_000_000;
    obeyed = [];
    server = newServer('first');
    port = await server.listen('127.0.0.1', 0);
  });
  afterEach(() => server.close());

  function client(pair = peer, key = own.verifyKey, site = 'b'): SiteClient {
    return new SiteClient({ site, url: `http://127.0.0.1:${port}`, key, from: 'a', pair, random: randomBytes, nowMs: () => nowMs });
  }

  async function post(headers: Record<string, string>, body: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`http://127.0.0.1:${port}${CALL_PATH}`, { method: 'POST', headers, body });
    return { status: response.status, text: await response.text() };
  }

  function signed(body: string, time: string, pair = peer): Record<string, string> {
    return signRequest(pair, 'a', { method: 'POST', target: CALL_PATH, time, nonce: nonce(), body: Buffer.from(body) });
  }

  it('obeys a peer, and is believed by it', async () => {
    expect(await client().unseal('pg/a', { epoch: 1, failover: 'f' }, call())).toEqual({ is: 'unseal' });
    expect(obeyed).toEqual([{ verb: 'unseal', asset: 'pg/a', argument: { epoch: 1, failover: 'f' } }]);
  });

  it('refuses a key that it does not know, and is refused by a peer that knows another one of it, or another site', async () => {
    const denied = { code: 'SITE_DENIED' };
    await expect(client(stranger).unseal('pg/a', { epoch: 1, failover: 'f' }, call())).rejects.toMatchObject(denied);
    await expect(client(peer, stranger.verifyKey).unseal('pg/a', { epoch: 1, failover: 'f' }, call())).rejects.toMatchObject(
      denied,
    );
    await expect(client(peer, own.verifyKey, 'c').unseal('pg/a', { epoch: 1, failover: 'f' }, call())).rejects.toMatchObject(
      denied,
    );
    expect(obeyed).toEqual([]);
  });

  it('refuses a message that is sent again, changed, for another life or another time', async () => {
    const body = JSON.stringify({ verb: 'unseal', asset: 'pg/a', argument: null });
    const headers = signed(body, timeOfLife('first', nowMs));
    expect((await post(headers, body)).status).toBe(200);
    expect((await post(headers, body)).status).toBe(409);
    expect((await post(signed(body, timeOfLife('first', nowMs)), body.replace('unseal', 'demote'))).status).toBe(401);
    expect((await post({ ...signed(body, timeOfLife('first', nowMs)), 'holdfast-nonce': nonce() }, body)).status).toBe(401);
    expect(obeyed.length).toBe(1);
    for (const time of [
      timeOfLife('second', nowMs),
      timeOfLife('first', nowMs - WINDOW_MS - 1),
      timeOfLife('first', nowMs + WINDOW_MS + 1),
      'now',
    ])
      expect(JSON.parse((await post(signed(body, time), body)).text), time).toEqual({ kind: 'stale' });
    // Its nonce may be forgotten by then, it is too old all the same.
    nowMs += 3 * WINDOW_MS;
    expect(JSON.parse((await post(headers, body)).text)).toEqual({ kind: 'stale' });
    expect(obeyed.length).toBe(1);
  });

  it('that was restarted is asked anew by itself, and takes nothing that was signed for its former life', async () => {
    const asking = client();
    await asking.unseal('pg/a', { epoch: 1, failover: 'f' }, call());
    await server.close();
    server = newServer('second');
    expect(await server.listen('127.0.0.1', port)).toBe(port);
    nowMs += 60 * 60_000;
    await asking.unseal('pg/a', { epoch: 2, failover: 'f' }, call());
    expect(obeyed.length).toBe(2);
  });

  it('answers what takes long when it is done, to all who ask the same', async () => {
    const asked = [1, 2].map(() => client().revoke('pg/a', { epoch: 1, failover: 'f' }, call()));
    while (release === undefined) await new Promise((resolve) => setImmediate(resolve));
    await client().unseal('pg/a', { epoch: 1, failover: 'f' }, call());
    release();
    expect(await Promise.all(asked)).toEqual([{ is: 'revoke' }, { is: 'revoke' }]);
    expect(obeyed.filter(({ verb }) => verb === 'revoke').length).toBeLessThanOrEqual(2);
  });

  it('reads no long bodies, and tells strangers nothing', async () => {
    const body = 'x'.repeat(BODY_BYTES_MAX + 1);
    expect((await post(signed(body, timeOfLife('first', nowMs)), body).catch(() => ({ status: 413 }))).status).toBe(413);
    const bare = await fetch(`http://127.0.0.1:${port}${HELLO_PATH}`);
    expect([bare.status, await bare.text()]).toEqual([404, '']);
    const hello = await fetch(`http://127.0.0.1:${port}${HELLO_PATH}`, { headers: { 'holdfast-nonce': nonce() } });
    expect((await hello.json()) as Hello).toEqual({ site: 'b', life: 'first', nowMs });
    expect(obeyed).toEqual([]);
  });
});

describe('What was seen before', () => {
  it('is remembered for as long as it could count', () => {
    let now = 5 * WINDOW_MS;
    const guard = new ReplayGuard('life', () => now);
    // Ahead by all that is allowed: it counts for two windows.
    const [time, word] = [timeOfLife('life', now + WINDOW_MS), nonce()];
    expect(guard.admit(time, word)).toBe('fresh');
    for (let i = 0; i < 4; i++) {
      now += WINDOW_MS / 2;
      expect(guard.admit(time, word)).toBe('replayed');
    }
    now += 1;
    expect(guard.admit(time, word)).toBe('stale');
  });
});
