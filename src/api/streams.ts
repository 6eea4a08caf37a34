// Server-sent events: bounded in number and life, with heartbeats, and never faster than their reader. A stream ends by itself after a while;
// the client comes back with Last-Event-ID, is authorised anew, and misses nothing.

import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../base/faults.ts';
import type { ApiConfig } from './config.ts';
import type { Streamer } from './route.ts';
import { secureHeaders } from './safety.ts';

export type Serving = {
  readonly streamer: Streamer;
  readonly actor: string;
  /** Rejects when the reader may not read on. */
  readonly check: () => Promise<unknown>;
};

export class EventStreams {
  readonly #limits: ApiConfig['streams'];
  readonly #open = new Map<AbortController, { readonly actor: string; readonly ended: Promise<unknown> }>();

  constructor(limits: ApiConfig['streams']) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Takes the response over. REQUEST_RATE_LIMITED when there are too many. */
  async serve({ streamer, actor, check }: Serving, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { totalMax, perPrincipalMax } = this.#limits;
    const own = [...this.#open.values()].filter((one) => one.actor === actor).length;
    if (this.#open.size >= totalMax || own >= perPrincipalMax)
      throw new Fault('REQUEST_RATE_LIMITED', 'Too many event streams are open; close one first');
    const controller = new AbortController();
    secureHeaders(request, reply);
    const headers = reply.getHeaders();
    reply.hijack();
    const ended = this.#pump({ streamer, actor, check }, controller, request, reply, headers);
    this.#open.set(controller, { actor, ended });
    await ended.finally(() => this.#open.delete(controller));
    return reply;
  }

  /** Ends all of them; their clients come back elsewhere. */
  async close(): Promise<void> {
    for (const controller of this.#open.keys()) controller.abort();
    await Promise.allSettled([...this.#open.values()].map(({ ended }) => ended));
  }

  async #pump(
    { streamer, check }: Serving,
    controller: AbortController,
    request: FastifyRequest,
    { raw }: FastifyReply,
    headers: Readonly<Record<string, number | string | string[] | undefined>>,
  ): Promise<void> {
    const { heartbeatMs, lifeMs } = this.#limits;
    const { signal } = controller;
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) raw.setHeader(name, value);
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      // Kept alive after its end, the connection would keep a service that stops from stopping.
      connection: 'close',
    });
    raw.on('close', () => controller.abort());
    raw.on('error', () => controller.abort());
    // Who was revoked, suspended or has lost the role meanwhile is shown nothing that comes after that.
    const mayReadOn = async (): Promise<void> => {
      if (!signal.aborted) await check().catch(() => controller.abort());
    };
    const write = async (text: string): Promise<void> => {
      await mayReadOn();
      if (signal.aborted) return;
      if (!raw.write(text)) await once(raw, 'drain', { signal }).catch(() => {});
    };
    const heartbeat = setInterval(() => {
      // A reader that is behind hears from us anyway.
      if (!raw.writableNeedDrain) raw.write(': here\n\n');
      void mayReadOn();
    }, heartbeatMs);
    const end = setTimeout(() => controller.abort(), lifeMs);
    try {
      await write(': here\n\n');
      const last = request.headers['last-event-id'];
      await streamer({ lastEventId: typeof last === 'string' ? last : undefined, signal, write });
    } catch (error) {
      if (!signal.aborted) request.log.error({ err: error }, 'an event stream failed');
    } finally {
      clearInterval(heartbeat);
      clearTimeout(end);
      raw.end();
    }
  }
}

/** One event as it goes over the line. Line breaks within the data cannot be: JSON has none. */
export function eventText(id: string | number, kind: string, data: unknown): string {
  return `id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
}
