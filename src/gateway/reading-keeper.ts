// Readings that this process keeps for agents: begun for a restore that the agent holds, ended with it. A restart loses them; the agent
// begins anew.

import { Fault } from '../base/faults.ts';
import { encodeRepositoryObject } from '../format/repository-object.ts';
import type { Agent } from '../model/agent.ts';
import type { Run } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';
import type { BeginReadingAnswer, BeginReadingRequest } from '../protocol/session-messages.ts';
import type { Repository } from '../repository/repository.ts';
import type { KeeperOptions } from './keeper-options.ts';
import { OpenReading } from './open-reading.ts';
import { base64, sealKeys } from './sealed-keys.ts';
import { committedOf, heldRun } from './session-keeper.ts';

const KINDS: readonly RunKind[] = ['restore', 'restore-test'];
/** An agent that begins waits for so long, then asks again. */
const WAIT_MS = 15_000;

type Kept = {
  readonly id: string;
  readonly agentId: string;
  readonly run: Run;
  readonly reading: Promise<OpenReading>;
  readonly end: () => Promise<void>;
};

export class ReadingKeeper {
  readonly #options: KeeperOptions;
  readonly #kept = new Map<string, Kept>();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** The same again for the same run and fence. READING_NOT_READY while the map is being walked. */
  async begin(agent: Agent, runId: string, request: BeginReadingRequest): Promise<BeginReadingAnswer> {
    const run = await heldRun(this.#options.catalog, agent, runId, request.fence, KINDS);
    let kept = [...this.#kept.values()].find((one) => one.run.id === runId);
    if (kept !== undefined && kept.run.fence !== request.fence) {
      await kept.end();
      kept = undefined;
    }
    kept ??= this.#begin(agent, run);
    const reading = await within(kept.reading, WAIT_MS);
    if (reading === undefined)
      throw new Fault('READING_NOT_READY', `What the snapshot of the run ${runId} needs is still being found out`);
    const { register, reader, parameters } = reading;
    return {
      reading: kept.id,
      repository: base64(encodeRepositoryObject(parameters)),
      keys: sealKeys(reader, parameters.id, request.boxKey, kept.id),
      snapshot: committedOf(register),
    };
  }

  async get(agent: Agent, id: string): Promise<OpenReading> {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.agentId !== agent.id) throw new Fault('SESSION_GONE', 'There is no such reading of this agent');
    return kept.reading;
  }

  async end(agent: Agent, id: string): Promise<void> {
    const kept = this.#kept.get(id);
    if (kept !== undefined && kept.agentId === agent.id) await kept.end();
  }

  async sweep(): Promise<void> {
    for (const { agentId, run, end } of [...this.#kept.values()]) {
      const now = await this.#options.catalog.runs.get(run.tenantId, run.id);
      if (now?.agentId !== agentId || now.state !== 'running' || now.fence !== run.fence) await end();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#kept.values()].map(({ end }) => end()));
  }

  #begin(agent: Agent, run: Run): Kept {
    const { tenants, random } = this.#options;
    const id = Buffer.from(random(16)).toString('hex');
    const stop = new AbortController();
    let release = (): void => {};
    const ended = new Promise<void>((resolve) => {
      release = resolve;
    });
    const reading = new Promise<OpenReading>((resolve, reject) => {
      tenants
        .use(run.tenantId, async (repository) => {
          resolve(await this.#open(repository, run, stop.signal));
          await ended;
        })
        .catch(reject);
    });
    const kept: Kept = {
      id,
      agentId: agent.id,
      run,
      reading,
      end: async () => {
        if (!this.#kept.delete(id)) return;
        stop.abort(new Fault('SESSION_GONE', 'This reading is over'));
        await this.#close(await reading.catch(() => undefined), run);
        release();
      },
    };
    this.#kept.set(id, kept);
    reading.catch(() => this.#kept.delete(id));
    return kept;
  }

  async #open(repository: Repository, run: Run, signal: AbortSignal): Promise<OpenReading> {
    const { doors, tenants, random, indexes } = this.#options;
    const snapshot = run.parameters['snapshot'];
    if (typeof snapshot !== 'string' || !/^[0-9a-f]{20}$/.test(snapshot))
      throw new Fault('MESSAGE_INVALID', `The run ${run.id} names no snapshot`);
    const index = indexes.of(repository);
    const door = doors.of(run.tenantId, await tenants.place(run.tenantId));
    const dataKey = (session: Uint8Array): Promise<Uint8Array> => tenants.use(run.tenantId, ({ keys }) => keys.dataKey(session));
    return OpenReading.open({ repository, index, door, dataKey, snapshot, random, signal });
  }

  async #close(reading: OpenReading | undefined, run: Run): Promise<void> {
    if (reading === undefined) return;
    const { catalog, now, log } = this.#options;
    try {
      await reading.end();
      await catalog.usage.addEgress(run.tenantId, now().toISOString().slice(0, 10), reading.blocks.bytesGranted);
    } catch (error) {
      log.warn({ err: error, run: run.id }, 'a reading of an agent could not be ended');
    }
  }
}

/** Undefined when it takes longer. */
async function within<T>(work: Promise<T>, durationMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, durationMs, undefined);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
