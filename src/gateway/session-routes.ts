// The routes of the data path below /agent/v1. A Fastify plugin that is registered after `agentRoutes`, in the same scope, which proves who
// asks (`request.agent`). Objects come and go by secrets that prove themselves.

import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { instantOf } from '../model/instant.ts';
import { BLOCK_ID_BYTES, CHUNK_ID_BYTES } from '../protocol/presence-codec.ts';
import { readMessage } from '../protocol/read-message.ts';
import {
  BeginReadingRequest,
  BeginSessionRequest,
  CheckpointRequest,
  CommitRequest,
  GrantsRequest,
  INDEX_BYTES_MAX,
  PLACE_IDS_MAX,
  PRESENCE_IDS_MAX,
  type ReadingVerb,
  ReadsRequest,
  SESSION_PATHS,
  SessionKeyRequest,
  SessionKeysRequest,
  type SessionVerb,
} from '../protocol/session-messages.ts';
import { Gate } from '../store/gate.ts';
import type { TenantRepositories } from '../tenants/tenant-repositories.ts';
import { activeTenant } from './agent-auth.ts';
import type { EndsOptions } from './agent-ends.ts';
import { agentOf } from './agent-routes.ts';
import { logRoutes, type OnLogNote } from './log-routes.ts';
import type { OpenReading } from './open-reading.ts';
import type { OpenSession } from './open-session.ts';
import { ReadingKeeper } from './reading-keeper.ts';
import { digestOfSecret, OBJECT_TYPE, StoreDoors } from './session-door.ts';
import { SessionIndexes } from './session-index.ts';
import { SessionKeeper } from './session-keeper.ts';

/** Objects on their way through this process at a time: each is in memory until its digest is known to be right. */
const OBJECTS_MAX = 6;
const OBJECT_BYTES_MAX = 256 * 1024 * 1024;
const JSON_BYTES_MAX = 8 * 1024 * 1024;
const SWEEP_MS = 15_000;

export type SessionRoutesOptions = {
  readonly catalog: Catalog;
  readonly tenants: TenantRepositories;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Logger;
  readonly onRunEnded: EndsOptions['onRunEnded'];
  /** What captures of logs tell of. */
  readonly onLogNote?: OnLogNote;
};

type Params = { Params: { id: string } };

export function sessionRoutes(options: SessionRoutesOptions): FastifyPluginAsync {
  const doors = new StoreDoors(options);
  const indexes = new SessionIndexes();
  const keeper = new SessionKeeper({ ...options, doors, indexes });
  const readings = new ReadingKeeper({ ...options, doors, indexes });
  return async (app) => {
    app.addContentTypeParser(OBJECT_TYPE, (_, payload, done) => done(null, payload));
    const sweeping = setInterval(() => {
      Promise.all([keeper.sweep(), readings.sweep()]).catch((error: unknown) => options.log.warn({ err: error }, 'a sweep failed'));
    }, SWEEP_MS);
    sweeping.unref();
    app.addHook('onClose', async () => {
      clearInterval(sweeping);
      await Promise.all([keeper.close(), readings.close()]);
    });
    installSessions(app, keeper);
    installReadings(app, readings);
    installStore(app, options, doors, keeper);
    await app.register(logRoutes({ ...options, doors, onNote: options.onLogNote ?? (async () => {}) }));
  };
}

function installSessions(app: FastifyInstance, keeper: SessionKeeper): void {
  app.post<Params>(SESSION_PATHS.beginSession(':id'), async (request) =>
    keeper.begin(agentOf(request), request.params.id, readMessage(BeginSessionRequest, request.body, 'The beginning of a session')),
  );
  const on = (
    verb: SessionVerb,
    bodyLimit: number,
    answer: (open: OpenSession, request: FastifyRequest) => Promise<unknown>,
  ): void => {
    app.post<Params>(SESSION_PATHS.ofSession(':id', verb), { bodyLimit }, async (request, reply) => {
      const said = await answer(await keeper.get(agentOf(request), request.params.id), request);
      if (said instanceof Uint8Array) void reply.type('application/octet-stream');
      return said instanceof Uint8Array ? Buffer.from(said.buffer, said.byteOffset, said.length) : said;
    });
  };
  on('presence', PRESENCE_IDS_MAX * CHUNK_ID_BYTES, (open, request) => open.presence(idsOf(request, CHUNK_ID_BYTES)));
  on('places', PLACE_IDS_MAX * BLOCK_ID_BYTES, async (open, request) => open.blocks.places(idsOf(request, BLOCK_ID_BYTES)));
  on('reads', JSON_BYTES_MAX, async (open, { body }) => open.blocks.reads(readMessage(ReadsRequest, body, 'A read').ranges));
  on('key', JSON_BYTES_MAX, async (open, { body }) => {
    await open.storeKey(readMessage(SessionKeyRequest, body, 'The key of a session'));
    return { outcome: 'done' };
  });
  on('grants', JSON_BYTES_MAX, (open, { body }) => open.grants(readMessage(GrantsRequest, body, 'A request for grants').packs));
  on('indexes', INDEX_BYTES_MAX, async (open, request) => ({ id: await open.storeIndex(bytesOf(request)) }));
  on('checkpoint', JSON_BYTES_MAX, async (open, { body }) => {
    await open.checkpoint(readMessage(CheckpointRequest, body, 'A checkpoint').indexes);
    return { outcome: 'done' };
  });
  on('refresh', JSON_BYTES_MAX, async (open) => {
    await open.refresh();
    return { outcome: 'done' };
  });
  // Said again after it is over, these are answered as they went.
  app.post<Params>(SESSION_PATHS.ofSession(':id', 'commit'), { bodyLimit: JSON_BYTES_MAX }, async (request) => {
    const agent = agentOf(request);
    const message = readMessage(CommitRequest, request.body, 'A commit');
    const open = await unlessGone(keeper.get(agent, request.params.id));
    return open === undefined ? keeper.commitOf(agent, request.params.id) : open.commit(message);
  });
  app.post<Params>(SESSION_PATHS.ofSession(':id', 'abandon'), { bodyLimit: JSON_BYTES_MAX }, async (request) => {
    const agent = agentOf(request);
    const open = await unlessGone(keeper.get(agent, request.params.id));
    if (open !== undefined) return open.abandon();
    return (await unlessGone(keeper.commitOf(agent, request.params.id))) ?? { outcome: 'abandoned' };
  });
}

function installReadings(app: FastifyInstance, readings: ReadingKeeper): void {
  app.post<Params>(SESSION_PATHS.beginReading(':id'), async (request) =>
    readings.begin(
      agentOf(request),
      request.params.id,
      readMessage(BeginReadingRequest, request.body, 'The beginning of a reading'),
    ),
  );
  const on = (
    verb: ReadingVerb,
    bodyLimit: number,
    answer: (open: OpenReading, request: FastifyRequest) => Promise<unknown>,
  ): void => {
    app.post<Params>(SESSION_PATHS.ofReading(':id', verb), { bodyLimit }, async (request, reply) => {
      const said = await answer(await readings.get(agentOf(request), request.params.id), request);
      if (said instanceof Uint8Array) void reply.type('application/octet-stream');
      return said instanceof Uint8Array ? Buffer.from(said.buffer, said.byteOffset, said.length) : said;
    });
  };
  on('places', PLACE_IDS_MAX * BLOCK_ID_BYTES, async (open, request) => open.blocks.places(idsOf(request, BLOCK_ID_BYTES)));
  on('reads', JSON_BYTES_MAX, async (open, { body }) => open.blocks.reads(readMessage(ReadsRequest, body, 'A read').ranges));
  on('keys', JSON_BYTES_MAX, (open, { body }) => open.keys(readMessage(SessionKeysRequest, body, 'A request for keys')));
  on('refresh', JSON_BYTES_MAX, async (open) => {
    await open.refresh();
    return { outcome: 'done' };
  });
  app.post<Params>(SESSION_PATHS.ofReading(':id', 'end'), async (request) => {
    await readings.end(agentOf(request), request.params.id);
    return { outcome: 'done' };
  });
}

/** Objects of directory stores. The secret in the path is all that is needed, once and for this object. */
function installStore(
  app: FastifyInstance,
  { catalog, tenants, now }: SessionRoutesOptions,
  doors: StoreDoors,
  keeper: SessionKeeper,
): void {
  const gate = new Gate(OBJECTS_MAX);
  const config = { agentAuth: 'none' } as const;
  app.put<Params>(SESSION_PATHS.store(':id'), { config, bodyLimit: OBJECT_BYTES_MAX }, async (request) => {
    const grant = await catalog.sessions.takeGrant(digestOfSecret(request.params.id), instantOf(now()));
    if (grant === undefined) throw new Fault('GRANT_REFUSED', 'This grant is used, over or unknown');
    const session = await catalog.sessions.get(grant.session);
    if (session === undefined) throw new Fault('GRANT_REFUSED', 'The session of this grant is unknown');
    activeTenant(await catalog.tenants.get(session.tenantId));
    if (Number(request.headers['content-length']) !== grant.lengthBytes)
      throw new Fault('SESSION_REFUSED', `The grant for ${grant.key} is for ${grant.lengthBytes} bytes`);
    await gate.pass(undefined, async () => {
      const bytes = await collect(request.body as Readable, grant.lengthBytes);
      mustBe(grant.key, bytes, grant.sha256);
      await tenants.use(session.tenantId, ({ store }) => store.put(grant.key, bytes));
    });
    keeper.stored(grant.session, grant.key.slice(grant.key.lastIndexOf('/') + 1));
    return { outcome: 'done' };
  });
  app.put<{ Querystring: { of?: unknown } }>('/agent/v1/store', { config, bodyLimit: OBJECT_BYTES_MAX }, async (request) => {
    const { tenantId, key, lengthBytes, sha256 } = doors.openWriteSecret(String(request.query.of));
    await gate.pass(undefined, async () => {
      const bytes = await collect(request.body as Readable, lengthBytes);
      mustBe(key, bytes, sha256);
      await tenants.use(tenantId, ({ store }) => store.put(key, bytes));
    });
    return { outcome: 'done' };
  });
  app.get<{ Querystring: { of?: unknown } }>('/agent/v1/store', { config }, async (request, reply) => {
    const { tenantId, key, offset, length } = doors.openReadSecret(String(request.query.of));
    activeTenant(await catalog.tenants.get(tenantId));
    const bytes = await gate.pass(undefined, () => tenants.use(tenantId, ({ store }) => store.get(key, { offset, length })));
    void reply.type('application/octet-stream');
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  });
}

function mustBe(key: string, bytes: Uint8Array, sha256: string): void {
  if (createHash('sha256').update(bytes).digest('hex') !== sha256)
    throw new Fault('SESSION_REFUSED', `The bytes for ${key} are not those that the grant is for`);
}

/** SESSION_REFUSED when there are more or fewer bytes. */
async function collect(body: Readable, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  let have = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if (have + chunk.length > length) break;
    bytes.set(chunk, have);
    have += chunk.length;
  }
  if (have !== length) throw new Fault('SESSION_REFUSED', `The grant is for ${length} bytes`);
  return bytes;
}

function bytesOf({ body }: FastifyRequest): Uint8Array {
  if (!(body instanceof Uint8Array)) throw new Fault('MESSAGE_INVALID', 'The body is not application/octet-stream');
  return body;
}

function idsOf(request: FastifyRequest, idBytes: number): Uint8Array {
  const bytes = bytesOf(request);
  if (bytes.length === 0 || bytes.length % idBytes !== 0)
    throw new Fault('MESSAGE_INVALID', `The body has ${bytes.length} bytes: no list of ids`);
  return bytes;
}

async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Fault && error.code === 'SESSION_GONE') return undefined;
    throw error;
  }
}
