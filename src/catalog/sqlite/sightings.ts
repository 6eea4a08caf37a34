// Signs of life of thousands of agents: gathered for a second and written in one transaction. A crash loses at most that second of them,
// and the next poll says it again.

import type { Agent } from '../../model/agent.ts';
import { type Sighting, type Sightings, writeSighting } from './agents.ts';
import type { Executor } from './executor.ts';
import type { Writer } from './writer.ts';

const GATHER_MS = 1000;

export class GatheredSightings implements Sightings {
  readonly #writer: Writer;
  readonly #onFailure: (error: unknown) => void;
  #waiting = new Map<string, Sighting>();
  #timer: NodeJS.Timeout | undefined;

  /** `onFailure` hears of a batch that could not be written; it is kept and tried again with the next. */
  constructor(writer: Writer, onFailure: (error: unknown) => void) {
    this.#writer = writer;
    this.#onFailure = onFailure;
  }

  async note(id: string, sighting: Sighting): Promise<void> {
    this.#waiting.set(id, merged(this.#waiting.get(id), sighting));
    this.#timer ??= setTimeout(() => void this.write().catch(this.#onFailure), GATHER_MS).unref();
  }

  applied(agent: Agent): Agent {
    const sighting = this.#waiting.get(agent.id);
    if (sighting === undefined) return agent;
    const lastSeenAt = agent.lastSeenAt !== undefined && agent.lastSeenAt > sighting.at ? agent.lastSeenAt : sighting.at;
    return { ...agent, lastSeenAt, host: sighting.host ?? agent.host };
  }

  async write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.size === 0) return;
    const batch = new Map(this.#waiting);
    await this.#writer.small((sql) => {
      for (const [id, sighting] of batch) writeSighting(sql, id, sighting);
    });
    // Only now: until they are written, reading shows them from here.
    for (const [id, sighting] of batch) if (this.#waiting.get(id) === sighting) this.#waiting.delete(id);
    if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => void this.write().catch(this.#onFailure), GATHER_MS).unref();
  }
}

/** In a transaction there is nothing to gather. */
export function directSightings(executor: Executor): Sightings {
  return { note: (id, sighting) => executor.write((sql) => writeSighting(sql, id, sighting)), applied: (agent) => agent };
}

function merged(before: Sighting | undefined, now: Sighting): Sighting {
  const at = before !== undefined && before.at > now.at ? before.at : now.at;
  const host = now.host ?? before?.host;
  return host === undefined ? { at } : { at, host };
}
