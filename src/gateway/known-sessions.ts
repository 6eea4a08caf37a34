// What one agent may know of the sessions whose blocks the index names: its own; those whose packs were proved (verify-session.ts), whose
// chunks are offered to all agents of the tenant; and others, which do not exist for it. Asked once a session.

import type { Catalog } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import { hex } from '../repository/layout.ts';

export type Standing = 'own' | 'proved' | 'hidden';

export class KnownSessions {
  readonly #catalog: Catalog;
  readonly #agent: Agent;
  readonly #standing = new Map<string, Standing>();

  constructor(catalog: Catalog, agent: Agent) {
    this.#catalog = catalog;
    this.#agent = agent;
  }

  /** Sessions are named in latin1, as `sessionOfBlock` does. Undefined: to be learned. */
  get(session: string): Standing | undefined {
    return this.#standing.get(session);
  }

  async learn(session: string): Promise<Standing> {
    const known = this.#standing.get(session);
    if (known !== undefined) return known;
    const row = await this.#catalog.sessions.get(hex(Buffer.from(session, 'latin1')));
    const isOfTenant = row !== undefined && row.tenantId === this.#agent.tenantId;
    const standing = !isOfTenant ? 'hidden' : row.agentId === this.#agent.id ? 'own' : row.verifiedAt ? 'proved' : 'hidden';
    this.#standing.set(session, standing);
    return standing;
  }
}
