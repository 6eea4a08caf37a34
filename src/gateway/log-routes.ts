// The routes of logs below /agent/v1, for captures and for restores that need the log. Registered as session-routes.ts is. Stateless: every
// message names a run and its fence, and is let through as long as that agent holds that run.

import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { Fault } from '../base/faults.ts';
import { sealToPublicKey } from '../codec/sealed-box.ts';
import { encodeRepositoryObject } from '../format/repository-object.ts';
import type { Agent } from '../model/agent.ts';
import type { Asset } from '../model/asset.ts';
import type { Run } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';
import type { Tenant } from '../model/tenant.ts';
import {
  type BeginLogAnswer,
  BeginLogRequest,
  LOG_PATHS,
  LogKeyRequest,
  LogKeysRequest,
  LogListRequest,
  LogNoteMessage,
  LogPutRequest,
  LogReadRequest,
  LogSwapRequest,
  type LogVerb,
} from '../protocol/log-messages.ts';
import { readMessage } from '../protocol/read-message.ts';
import { type SessionKeysAnswer, SessionKeysRequest } from '../protocol/session-messages.ts';
import { Keyring } from '../repository/keyring.ts';
import { hex, unhex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { agentOf } from './agent-routes.ts';
import type { KeeperOptions } from './keeper-options.ts';
import { OpenLog } from './open-log.ts';
import { base64, sealKeys } from './sealed-keys.ts';
import { heldRun } from './session-keeper.ts';
import { SessionQuota } from './session-quota.ts';

const BODY_BYTES_MAX = 16 * 1024 * 1024;
const WRITERS: readonly RunKind[] = ['capture'];
/** Of what is stored and marked, none of which opens without a key; and of the keys. */
const READERS: readonly RunKind[] = ['capture', 'backup', 'restore', 'restore-test'];
const OPENERS: readonly RunKind[] = ['restore', 'restore-test'];
const OF_WRITERS: readonly LogVerb[] = ['put', 'key', 'swap', 'delete', 'note'];
/** A message is let through without another look at the run for so long. */
const HELD_MS = 2_000;
const REMEMBERED_MAX = 10_000;

export type OnLogNote = (note: LogNoteMessage, run: Run, asset: Asset) => Promise<void>;
export type LogRoutesOptions = Omit<KeeperOptions, 'indexes'> & { readonly onNote: OnLogNote };

type Params = { Params: { id: string; fence: string } };
type Held = { readonly run: Run; readonly asset: Asset; readonly tenant: Tenant };

/** Who may touch which log, and by what run. */
class LogHolders {
  readonly #options: LogRoutesOptions;
  readonly #quota: SessionQuota;
  readonly #known = new Map<string, { readonly held: Held; readonly untilMs: number }>();

  constructor(options: LogRoutesOptions) {
    this.#options = options;
    this.#quota = new SessionQuota(options.catalog, options.now);
  }

  /** RUN_FENCED. */
  async held(agent: Agent, runId: string, fence: number, kinds: readonly RunKind[]): Promise<Held> {
    const { catalog, now } = this.#options;
    const name = `${agent.id} ${runId} ${fence}`;
    const known = this.#known.get(name);
    if (known !== undefined && known.untilMs > now().getTime() && kinds.includes(known.held.run.kind)) return known.held;
    this.#known.delete(name);
    const run = await heldRun(catalog, agent, runId, fence, kinds);
    const [tenant, asset] = await Promise.all([
      catalog.tenants.get(agent.tenantId),
      run.assetId === undefined ? undefined : catalog.assets.get(agent.tenantId, run.assetId),
    ]);
    if (tenant === undefined || asset === undefined || (run.kind === 'capture' && asset.agentId !== agent.id))
      throw new Fault('RUN_FENCED', `The run ${run.id} is of no asset of this agent`);
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    const held = { run, asset, tenant };
    this.#known.set(name, { held, untilMs: now().getTime() + HELD_MS });
    return held;
  }

  async use<T>({ asset, tenant }: Held, work: (log: OpenLog, repository: Repository) => Promise<T>): Promise<T> {
    const { tenants, doors } = this.#options;
    const door = doors.of(tenant.id, await tenants.place(tenant.id));
    return tenants.use(tenant.id, (repository) =>
      work(new OpenLog({ repository, tenant, asset: asset.name, door, quota: this.#quota }), repository),
    );
  }

  async begin(held: Held, { boxKey, fence }: BeginLogRequest): Promise<BeginLogAnswer> {
    await this.#quota.check(held.tenant);
    return this.use(held, async (_, { keyring, keys, parameters }) => {
      await keys.mustBeCurrent();
      const payload = keyring.writerPayload(held.asset.name);
      const own = new Keyring(hex(this.#options.random(8)), payload, parameters);
      return {
        repository: base64(encodeRepositoryObject(parameters)),
        keys: sealKeys(own, parameters.id, boxKey, `${held.run.id} ${fence}`),
      };
    });
  }

  /** Data keys of epochs of this log. */
  keys(held: Held, { sessions, boxKey }: SessionKeysRequest): Promise<SessionKeysAnswer> {
    return this.use(held, async (log, repository) => {
      const epochs = await log.epochs();
      const boxes = sessions.map(async (name) => {
        if (!epochs.has(name)) throw new Fault('SESSION_REFUSED', `The log of "${held.asset.name}" has no epoch ${name}`);
        const dataKey = await repository.keys.dataKey(unhex(name));
        return base64(sealToPublicKey(Buffer.from(boxKey, 'base64'), dataKey, repository.parameters.id, unhex(name)));
      });
      return { boxes: await Promise.all(boxes) };
    });
  }
}

export function logRoutes(options: LogRoutesOptions): FastifyPluginAsync {
  const holders = new LogHolders(options);
  const plugin: FastifyPluginAsync = async (app) => {
    app.post<Params>(LOG_PATHS.begin(':id'), async (request) => {
      const message = readMessage(BeginLogRequest, request.body, 'The beginning of a log');
      return holders.begin(await holders.held(agentOf(request), request.params.id, message.fence, READERS), message);
    });
    installVerbs(app, options, holders);
  };
  // In the scope of whoever registers it.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true });
}

function installVerbs(app: FastifyInstance, options: LogRoutesOptions, holders: LogHolders): void {
  const on = (verb: LogVerb, answer: (held: Held, body: unknown) => Promise<unknown>): void => {
    app.post<Params>(LOG_PATHS.of(':id', ':fence', verb), { bodyLimit: BODY_BYTES_MAX }, async (request) => {
      const { id, fence } = request.params;
      const kinds = verb === 'keys' ? OPENERS : OF_WRITERS.includes(verb) ? WRITERS : READERS;
      return answer(await holders.held(agentOf(request), id, Number(fence), kinds), request.body);
    });
  };
  const done = { outcome: 'done' };
  on('list', (held, body) =>
    holders.use(held, async (log) => ({ objects: await log.list(readMessage(LogListRequest, body, 'A listing of a log').prefix) })),
  );
  on('sizes', (held, body) =>
    holders.use(held, async (log) => ({ sizes: await log.sizes(readMessage(LogKeysRequest, body, 'A question for sizes').keys) })),
  );
  on('reads', (held, body) => holders.use(held, (log) => log.read(readMessage(LogReadRequest, body, 'A read of a log'))));
  on('put', (held, body) => holders.use(held, async (log) => log.put(readMessage(LogPutRequest, body, 'A piece of a log'))));
  on('key', (held, body) =>
    holders.use(held, async (log) => {
      await log.storeKey(readMessage(LogKeyRequest, body, 'The key of an epoch'));
      return done;
    }),
  );
  on('register', (held) => holders.use(held, (log) => log.register()));
  on('swap', (held, body) => holders.use(held, (log) => log.swap(readMessage(LogSwapRequest, body, 'A change of a log'))));
  on('delete', (held, body) =>
    holders.use(held, async (log) => {
      await log.delete(readMessage(LogKeysRequest, body, 'A deletion of ranges').keys);
      return done;
    }),
  );
  on('keys', (held, body) => holders.keys(held, readMessage(SessionKeysRequest, body, 'A request for keys')));
  on('note', async ({ run, asset }, body) => {
    await options.onNote(readMessage(LogNoteMessage, body, 'A note of a capture'), run, asset);
    return done;
  });
}
