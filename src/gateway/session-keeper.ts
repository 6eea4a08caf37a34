// The sessions of agents that this process keeps: begun for a run that the agent holds, ended when it does not hold it any more.
//
// A restart loses them. Their writers are dead then for certain, so the next session of the tenant gives them up and takes over what they
// had stored (engine/adopt-orphans.ts).

import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { adoptOrphans } from '../engine/adopt-orphans.ts';
import { findParent, type Parent } from '../engine/find-parent.ts';
import { UploadJournal } from '../engine/upload-journal.ts';
import { encodeRepositoryObject } from '../format/repository-object.ts';
import type { CommittedRegister } from '../format/snapshot-register.ts';
import type { Agent } from '../model/agent.ts';
import type { Run } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';
import { backupResult } from '../model/snapshot.ts';
import type { BeginSessionAnswer, BeginSessionRequest, CommittedSnapshot, OutcomeAnswer } from '../protocol/session-messages.ts';
import { Keyring } from '../repository/keyring.ts';
import { hex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { BackupSession } from '../repository/sessions.ts';
import { type EndsOptions, endRun } from './agent-ends.ts';
import type { KeeperOptions } from './keeper-options.ts';
import { OpenSession } from './open-session.ts';
import { base64, sealKeys } from './sealed-keys.ts';
import { SessionQuota } from './session-quota.ts';
import { registered, settleSessions } from './settle-sessions.ts';

/** A message is let through without another look at the run for so long. */
const HELD_MS = 2_000;

export type SessionKeeperOptions = KeeperOptions & Pick<EndsOptions, 'onRunEnded'>;

type Begun = {
  readonly fence: number;
  readonly session: Promise<{ readonly open: OpenSession; readonly parent: Parent | undefined }>;
};

export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  readonly #quota: SessionQuota;
  readonly #byRun = new Map<string, Begun>();
  readonly #byName = new Map<string, OpenSession>();
  readonly #checkedMs = new WeakMap<OpenSession, number>();
  readonly #beginning = new Map<string, Promise<unknown>>();
  #isClosed = false;

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
    this.#quota = new SessionQuota(options.catalog, options.now);
  }

  /** The same again for the same run and fence. RUN_FENCED, QUOTA_EXCEEDED, and what the repository says. */
  async begin(agent: Agent, runId: string, request: BeginSessionRequest): Promise<BeginSessionAnswer> {
    if (this.#isClosed) throw new Fault('SERVICE_STOPPING', 'The service is stopping: no session begins');
    const run = await heldRun(this.#options.catalog, agent, runId, request.fence, ['backup']);
    let begun = this.#byRun.get(runId);
    if (begun !== undefined && begun.fence !== request.fence) {
      if (begun.fence > request.fence) throw fenced(runId, request.fence);
      await this.#giveUp(begun);
      begun = undefined;
    }
    begun ??= this.#byRun.get(runId);
    if (begun === undefined) {
      begun = { fence: request.fence, session: this.#begin(agent, run, request) };
      this.#byRun.set(runId, begun);
      const mine = begun;
      begun.session.catch(() => {
        if (this.#byRun.get(runId) === mine) this.#byRun.delete(runId);
      });
    }
    const { open, parent } = await begun.session;
    if (open.isOver) throw new Fault('SESSION_GONE', `The session ${open.name} of the run ${runId} is over`);
    const { repository, writer, index } = open.parts;
    return {
      session: open.name,
      repository: base64(encodeRepositoryObject(repository.parameters)),
      keys: sealKeys(writer, repository.parameters.id, request.boxKey, open.name),
      ...(parent === undefined ? {} : { parent: committedOf(parent.register) }),
      ...(index.isEmpty ? { isNothingKnown: true } : {}),
    };
  }

  /** A session that runs. SESSION_GONE; RUN_FENCED when the run is not the agent's any more, which ends the session. */
  async get(agent: Agent, name: string): Promise<OpenSession> {
    const open = this.#byName.get(name);
    if (open === undefined || open.parts.agent.id !== agent.id)
      throw new Fault('SESSION_GONE', `There is no session ${name} of this agent`);
    const nowMs = this.#options.now().getTime();
    if (!open.isOver && nowMs - (this.#checkedMs.get(open) ?? 0) > HELD_MS) {
      await this.#mustHold(open);
      this.#checkedMs.set(open, nowMs);
    }
    return open;
  }

  /** Says whether the commit of a session that is not open any more has happened; the agent repeats it when the answer was lost. */
  async commitOf(agent: Agent, name: string): Promise<OutcomeAnswer> {
    const { catalog, tenants } = this.#options;
    const row = await catalog.sessions.get(name);
    if (row === undefined || row.agentId !== agent.id || row.tenantId !== agent.tenantId)
      throw new Fault('SESSION_GONE', `There is no session ${name} of this agent`);
    if (row.state === 'committed') return { outcome: 'committed' };
    const [settled] = await tenants.use(agent.tenantId, (repository) => settleSessions(catalog, repository, [row]));
    if (settled?.state !== 'committed') throw new Fault('SESSION_GONE', `The session ${name} is over and has not committed`);
    return { outcome: 'committed' };
  }

  /** A pack of a session came through this service. */
  stored(session: string, pack: string): void {
    this.#byName.get(session)?.stored(pack);
  }

  /** Ends sessions whose run is not their agent's any more; finds out what became of those that a dead process has left. */
  async sweep(): Promise<void> {
    await this.#settleAll();
    for (const open of [...this.#byName.values()]) {
      try {
        await this.#mustHold(open);
        await open.keepAlive();
      } catch (error) {
        // Over, or not to be reached now: the agent hears of it with its next message.
        this.#options.log.debug({ err: error, session: open.name }, 'a session of an agent does not go on');
      }
    }
  }

  /** Ends all, so that what they have stored is known to those that follow. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#byRun.values()].map((begun) => this.#giveUp(begun)));
  }

  async #settleAll(): Promise<void> {
    const { catalog, tenants, log } = this.#options;
    const left = (await catalog.sessions.listOpen()).filter(({ session }) => !this.#byName.has(session));
    for (const tenantId of new Set(left.map((row) => row.tenantId))) {
      try {
        await tenants.use(tenantId, (repository) => this.#settle(repository, tenantId));
      } catch (error) {
        log.debug({ err: error, tenant: tenantId }, 'what became of sessions cannot be found out now');
      }
    }
  }

  async #mustHold(open: OpenSession): Promise<void> {
    const { agent, runId, fence } = open.parts;
    try {
      await heldRun(this.#options.catalog, agent, runId, fence, ['backup']);
    } catch (error) {
      if (error instanceof Fault && error.code === 'RUN_FENCED') await this.#abandon(open);
      throw error;
    }
  }

  async #giveUp(begun: Begun): Promise<void> {
    const { open } = await begun.session.catch(() => ({ open: undefined }));
    if (open !== undefined) await this.#abandon(open);
  }

  async #abandon(open: OpenSession): Promise<void> {
    try {
      const { outcome } = await open.abandon();
      this.#options.log.info({ session: open.name, run: open.parts.runId, outcome }, 'a session of an agent was ended');
    } catch (error) {
      this.#options.log.warn({ err: error, session: open.name }, 'a session of an agent could not be ended in the store');
    }
  }

  #begin(agent: Agent, run: Run, request: BeginSessionRequest): Begun['session'] {
    const { tenants } = this.#options;
    return new Promise((resolve, reject) => {
      // The repository stays open as long as the session.
      tenants
        .use(agent.tenantId, async (repository) => {
          let end = (): void => {};
          const ended = new Promise<void>((done) => {
            end = done;
          });
          resolve(await this.#beginIn(repository, agent, run, request, end));
          await ended;
        })
        .catch(reject);
    });
  }

  async #beginIn(
    repository: Repository,
    agent: Agent,
    run: Run,
    { fence, type }: BeginSessionRequest,
    end: () => void,
  ): Promise<{ readonly open: OpenSession; readonly parent: Parent | undefined }> {
    const { catalog, now, random, doors, tenants, indexes } = this.#options;
    const [tenant, asset, place] = await Promise.all([
      catalog.tenants.get(agent.tenantId),
      run.assetId === undefined ? undefined : catalog.assets.get(agent.tenantId, run.assetId),
      tenants.place(agent.tenantId),
    ]);
    if (tenant === undefined || asset === undefined || asset.agentId !== agent.id)
      throw new Fault('RUN_FENCED', `The run ${run.id} is of no asset of this agent`);
    await this.#quota.check(tenant);
    await repository.keys.mustBeCurrent();
    const door = doors.of(agent.tenantId, place);
    const assetId = repository.keyring.assetId(asset.name);
    await this.#settle(repository, agent.tenantId);
    await this.#endMade(repository, agent, run, fence);
    const session = await BackupSession.begin(repository.heads, { assetId: hex(assetId), process: repository.process });
    const journal = new UploadJournal(repository.cacheDirectory, session.name);
    try {
      await this.#adopt(agent.tenantId, repository, session);
      const index = await indexes.of(repository).hold(session.view.indexes);
      const parent = await findParent(repository, session.view, assetId, type);
      const payload = repository.keyring.writerPayload(asset.name);
      const open: OpenSession = new OpenSession({
        agent,
        runId: run.id,
        fence,
        tenant,
        asset,
        repository,
        session,
        parent: parent?.snapshot,
        index,
        indexes: indexes.of(repository),
        writer: new Keyring(hex(random(8)), payload, repository.parameters),
        journal,
        door,
        quota: this.#quota,
        catalog,
        now,
        onEnd: () => {
          this.#forget(open);
          end();
        },
      });
      await catalog.sessions.put(open.row);
      this.#byName.set(open.name, open);
      return { open, parent };
    } catch (error) {
      await session.abandon().catch(() => {});
      throw error;
    }
  }

  /** A commit is answered again for a while; the rest is over. */
  #forget(open: OpenSession): void {
    const { runId, fence } = open.parts;
    this.#byName.delete(open.name);
    if (this.#byRun.get(runId)?.fence === fence) this.#byRun.delete(runId);
  }

  /** One at a time in a tenant: two that take over the same packs would only find out late. */
  async #adopt(tenantId: string, repository: Repository, session: BackupSession): Promise<void> {
    const isRunning = (name: string): boolean => this.#byName.has(name);
    const before = this.#beginning.get(tenantId) ?? Promise.resolve();
    const adopted = before.then(async () => {
      await repository.syncIndex(session.view.indexes);
      const { packs, bytes } = await adoptOrphans(repository, session, { isRunning });
      if (packs > 0) this.#options.log.info({ session: session.name, packs, bytes }, 'packs of a dead session were taken over');
    });
    const settled = adopted.catch(() => {});
    this.#beginning.set(tenantId, settled);
    await adopted;
    if (this.#beginning.get(tenantId) === settled) this.#beginning.delete(tenantId);
  }

  async #settle(repository: Repository, tenantId: string): Promise<void> {
    const { catalog, log } = this.#options;
    const open = await catalog.sessions.listOpen(tenantId);
    const settled = await settleSessions(
      catalog,
      repository,
      open.filter(({ session }) => !this.#byName.has(session)),
    );
    for (const { session, runId: run, state } of settled)
      log.info({ session, run, state }, 'what became of a session of a dead process');
  }

  /** A backup that was killed after its commit is not made once more: its run has what it was for. */
  async #endMade(repository: Repository, agent: Agent, { id, tenantId }: Run, fence: number): Promise<void> {
    const { catalog, now, random, onRunEnded } = this.#options;
    const point = await catalog.recoveryPoints.madeBy(tenantId, id);
    const snapshot = point === undefined ? undefined : await registered(repository, point.snapshot);
    if (snapshot === undefined) return;
    const state = snapshot.problems === 0 ? 'succeeded' : 'warned';
    await endRun({ catalog, now, random, onRunEnded }, agent, id, { fence, state, result: backupResult(snapshot) });
    throw fenced(id, fence);
  }
}

/** RUN_FENCED when the run is not held by this agent with this fence. */
export async function heldRun(
  catalog: Catalog,
  agent: Agent,
  runId: string,
  fence: number,
  kinds: readonly RunKind[],
): Promise<Run> {
  const run = await catalog.runs.get(agent.tenantId, runId);
  const isHeld = run?.agentId === agent.id && run.state === 'running' && run.fence === fence && kinds.includes(run.kind);
  if (run === undefined || !isHeld) throw fenced(runId, fence);
  return run;
}

function fenced(runId: string, fence: number): Fault {
  return new Fault('RUN_FENCED', `The run ${runId} is not this agent's any more (fence ${fence})`);
}

export function committedOf({ session, assetId, sealed, signature, keyId }: CommittedRegister): CommittedSnapshot {
  return { session, assetId, sealed, signature, keyId };
}
