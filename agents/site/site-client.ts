// The port of src/dr/site-control.ts to a daemon, its own or another's, over signed messages (site-message.ts). Every call ends with its
// answer, a fault, or its signal; a daemon that was restarted is asked anew by itself.

import { type ClientRequest, Agent as HttpAgent, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { FAULTS, Fault, type FaultCode } from '../../src/base/faults.ts';
import type { SigningPair } from '../../src/codec/signature.ts';
import type { SiteCall, SiteControl } from '../../src/dr/site-control.ts';
import { NONCE_BYTES, SIGNATURE_HEADERS } from '../../src/protocol/request-signature.ts';
import {
  ANSWER_BYTES_MAX,
  CALL_PATH,
  type CallAnswer,
  HELLO_PATH,
  type Hello,
  HOLD_MS,
  isAnswerSigned,
  signRequest,
  timeOfLife,
} from './site-message.ts';

const TIMEOUT_MS = HOLD_MS + 10_000;
const CONNECT_TIMEOUT_MS = 3_000;
const SOCKETS_MAX = 16;
const AGAIN_MS = 20;
/** A connection that was kept had ended meanwhile: what was asked may be asked anew, on another one. */
const BROKEN = Symbol('broken');

export type SiteClientOptions = {
  /** The site that is asked. */
  readonly site: string;
  readonly url: string;
  /** Its public key, 32 bytes. */
  readonly key: Uint8Array;
  /** Whose key signs. */
  readonly from: string;
  readonly pair: SigningPair;
  readonly random: (bytes: number) => Uint8Array;
  /** Never goes back. */
  readonly nowMs: () => number;
};

export class SiteClient implements SiteControl {
  readonly site: string;
  readonly #options: SiteClientOptions;
  readonly #base: URL;
  readonly #agent: HttpAgent;
  #life: { readonly name: string; readonly aheadMs: number } | undefined;

  constructor(options: SiteClientOptions) {
    this.site = options.site;
    this.#options = options;
    this.#base = new URL(options.url);
    const keeping = { keepAlive: true, maxSockets: SOCKETS_MAX };
    this.#agent = this.#base.protocol === 'https:' ? new HttpsAgent({ ...keeping, minVersion: 'TLSv1.2' }) : new HttpAgent(keeping);
  }

  readonly status: SiteControl['status'] = (asset, call) => this.#ask('status', asset, null, call);
  readonly demote: SiteControl['demote'] = (asset, of, call) => this.#ask('demote', asset, of, call);
  readonly revoke: SiteControl['revoke'] = (asset, of, call) => this.#ask('revoke', asset, of, call);
  readonly seal: SiteControl['seal'] = (asset, of, call) => this.#ask('seal', asset, of, call);
  readonly unseal: SiteControl['unseal'] = (asset, of, call) => this.#ask('unseal', asset, of, call);
  readonly catchUp: SiteControl['catchUp'] = (asset, sealed, call) => this.#ask('catchUp', asset, sealed, call);
  readonly loss: SiteControl['loss'] = (asset, call) => this.#ask('loss', asset, null, call);
  readonly promoted: SiteControl['promoted'] = (asset, of, call) => this.#ask('promoted', asset, of, call);
  readonly writeTest: SiteControl['writeTest'] = (asset, call) => this.#ask('writeTest', asset, null, call);
  readonly verifyPages: SiteControl['verifyPages'] = (asset, call) => this.#ask('verifyPages', asset, null, call);
  readonly protect: SiteControl['protect'] = (asset, of, call) => this.#ask('protect', asset, of, call);
  readonly rejoin: SiteControl['rejoin'] = (asset, of, call) => this.#ask('rejoin', asset, of, call);
  readonly point: SiteControl['point'] = (asset, wish, call) => this.#ask('point', asset, wish, call);
  readonly keep: SiteControl['keep'] = (asset, of, call) => this.#ask('keep', asset, of, call);
  readonly bring: SiteControl['bring'] = (asset, of, call) => this.#ask('bring', asset, of, call);
  readonly compare: SiteControl['compare'] = (asset, of, call) => this.#ask('compare', asset, of, call);
  readonly admit: SiteControl['admit'] = (asset, candidate, call) => this.#ask('admit', asset, candidate, call);
  readonly promise: SiteControl['promise'] = (asset, request, call) => this.#ask('promise', asset, request, call);

  close(): void {
    this.#agent.destroy();
  }

  async #ask<T>(verb: string, asset: string, argument: unknown, { signal }: SiteCall): Promise<T> {
    const body = Buffer.from(JSON.stringify({ verb, asset, argument }));
    for (let isFresh = false; ; ) {
      signal.throwIfAborted();
      this.#life ??= await this.#hello(signal);
      const answer = this.#life === undefined ? BROKEN : await this.#send(body, this.#life, signal);
      if (answer === BROKEN) continue;
      if (answer.kind === 'done') return answer.value as T;
      if (answer.kind === 'fault') throw new Fault(knownCode(answer.code), `${this.site}: ${answer.message}`);
      if (answer.kind === 'waiting') {
        await sleep(AGAIN_MS, undefined, { signal }).catch(() => {});
        continue;
      }
      if (isFresh) throw this.#unreachable('it does not take what was just signed for it');
      this.#life = undefined;
      isFresh = true;
    }
  }

  async #hello(signal: AbortSignal): Promise<{ readonly name: string; readonly aheadMs: number } | undefined> {
    const nonce = this.#nonce();
    const headers = { [SIGNATURE_HEADERS.nonce]: nonce };
    const answer = await this.#exchange('GET', HELLO_PATH, headers, undefined, nonce, signal);
    if (answer === BROKEN) return undefined;
    const { life, nowMs, site } = answer as Hello;
    if (site !== this.site) throw this.#denied(`there is the daemon of the site "${site}"`);
    return { name: life, aheadMs: nowMs - this.#options.nowMs() };
  }

  async #send(
    body: Buffer,
    life: { readonly name: string; readonly aheadMs: number },
    signal: AbortSignal,
  ): Promise<CallAnswer | typeof BROKEN> {
    const { pair, from, nowMs } = this.#options;
    const nonce = this.#nonce();
    const time = timeOfLife(life.name, nowMs() + life.aheadMs);
    const headers = signRequest(pair, from, { method: 'POST', target: CALL_PATH, time, nonce, body });
    return (await this.#exchange('POST', CALL_PATH, headers, body, nonce, signal)) as CallAnswer | typeof BROKEN;
  }

  #exchange(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: Buffer | undefined,
    nonce: string,
    signal: AbortSignal,
  ): Promise<unknown> {
    const open = this.#base.protocol === 'https:' ? requestHttps : requestHttp;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        reject(signal.aborted ? signal.reason : this.#unreachable(why));
        request.destroy();
      };
      const request: ClientRequest = open(new URL(path, this.#base), {
        method,
        agent: this.#agent,
        signal: limit,
        headers: { ...headers, 'content-length': String(body?.length ?? 0) },
      });
      limitConnecting(request, () => fail(`no connection within ${CONNECT_TIMEOUT_MS} ms`));
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (request.reusedSocket && !limit.aborted) resolve(BROKEN);
        else fail(error.code ?? error.message);
      });
      request.on('response', (response) => {
        const pieces: Buffer[] = [];
        let length = 0;
        response.on('error', (error) => fail(error.message));
        response.on('data', (piece: Buffer) => {
          length += piece.length;
          if (length > ANSWER_BYTES_MAX) fail('its answer is too long');
          else pieces.push(piece);
        });
        response.on('end', () => {
          const bytes = Buffer.concat(pieces);
          const signature = String(response.headers[SIGNATURE_HEADERS.signature] ?? '');
          if (response.statusCode === 401) reject(this.#denied('it does not know the key that signed'));
          else if (response.statusCode !== 200) reject(this.#unreachable(`it answered with the status ${response.statusCode}`));
          else if (!isAnswerSigned(this.#options.key, nonce, bytes, signature))
            reject(this.#denied('its answer is signed by another key'));
          else resolve(JSON.parse(bytes.toString('utf8')));
        });
      });
      request.end(body);
    });
  }

  #nonce(): string {
    return Buffer.from(this.#options.random(NONCE_BYTES)).toString('base64url');
  }

  #unreachable(why: string): Fault {
    return new Fault('SITE_UNREACHABLE', `The daemon of the site "${this.site}" at ${this.#options.url}: ${why}`);
  }

  #denied(why: string): Fault {
    return new Fault('SITE_DENIED', `The daemon of the site "${this.site}" at ${this.#options.url}: ${why}`);
  }
}

function limitConnecting(request: ClientRequest, onTimeout: () => void): void {
  request.on('socket', (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(onTimeout, CONNECT_TIMEOUT_MS);
    const over = (): void => clearTimeout(timer);
    socket.once('connect', over);
    socket.once('close', over);
  });
}

/** Of a newer daemon this program may not know all. */
function knownCode(code: string): FaultCode {
  return Object.hasOwn(FAULTS, code) ? (code as FaultCode) : 'INTERNAL';
}
