// An agent that proves who it is and is refused all the same, for its clock or its version, does nothing more, and cannot tell anybody: operators
// hear of it once, and once when it is heard again.

import { isFault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import { instantOf } from '../model/instant.ts';
import { type RefusedAgent, refusedSetting } from '../model/refused-agent.ts';
import { ClockSkew } from './agent-auth.ts';

export type RefusalsOptions = { readonly catalog: Catalog; readonly now: () => Date };

export async function noteRefusal({ catalog, now }: RefusalsOptions, agent: Agent, refusal: unknown): Promise<void> {
  // What passes by itself within minutes is no news.
  if (!isFault(refusal) || (refusal instanceof ClockSkew && refusal.isPassing)) return;
  const { code, message, hint } = refusal;
  const name = refusedSetting(agent.id);
  if (codeOf(await catalog.settings.get(name)) === code) return;
  const at = instantOf(now());
  const since: RefusedAgent = { code, message, hint, at };
  await catalog.transaction(async (tables) => {
    if (codeOf(await tables.settings.get(name)) === code) return;
    await tables.settings.set(name, JSON.stringify(since));
    await tables.events.add(
      {
        tenantId: agent.tenantId,
        kind: 'agent.refused',
        severity: 'critical',
        message: `The agent "${agent.label}" is refused: until that is mended nothing is backed up or restored on its host`,
        cause: `${message} [${code}]`,
        action: `${hint} If many agents are refused at once, look at the service first.`,
        details: { agent: agent.id, code },
      },
      at,
    );
  });
}

export async function noteAccepted({ catalog, now }: RefusalsOptions, agent: Agent): Promise<void> {
  const name = refusedSetting(agent.id);
  if (!(await catalog.settings.get(name))) return;
  await catalog.transaction(async (tables) => {
    const before = await tables.settings.get(name);
    if (!before) return;
    await tables.settings.set(name, '');
    await tables.events.add(
      {
        tenantId: agent.tenantId,
        kind: 'agent.accepted',
        severity: 'info',
        message: `The agent "${agent.label}" is heard again`,
        details: { agent: agent.id, since: (JSON.parse(before) as RefusedAgent).at },
      },
      instantOf(now()),
    );
  });
}

function codeOf(text: string | undefined): string | undefined {
  return text ? (JSON.parse(text) as RefusedAgent).code : undefined;
}
