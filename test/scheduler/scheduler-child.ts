// A scheduler as a process of its own, driven by its parent: "tick <ms>" looks at everything at that time and works off what an agent could. It
// also executes: a forget is a run without a repository here.

import { randomBytes } from 'node:crypto';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';

const [path, agentId, name] = process.argv.slice(2) as [string, string, string];
let nowMs = 0;
const now = (): Date => new Date(nowMs);
const random = (bytes: number): Uint8Array => randomBytes(bytes);
const catalog = await openSqliteCatalog({ path, now, random });
const nothing = async (): Promise<never> => {
  throw new Error('no repository');
};
const scheduler = new Scheduler({
  catalog,
  tenants: { place: nothing, use: nothing, useStore: nothing, destroyPassphrase: nothing },
  erasure: { certify: nothing, program: 'test' },
  now,
  monotonic: () => nowMs,
  random,
  log: {
    info: () => {},
    warn: () => {},
    error: (...what: unknown[]) =>
      process.send!({ kind: 'error', what: String(what[0] && (what[0] as { err?: Error }).err?.stack) }),
  } as never,
  name: `service:${name}`,
  program: { command: '/bin/false', environment: {} },
  service: { home: '/nonexistent' },
  readSecret: nothing,
  catalogTenant: async () => undefined,
});

async function workOff(): Promise<number> {
  for (let done = 0; ; done++) {
    const at = now().toISOString();
    const claim = {
      by: `agent:${agentId}`,
      kinds: ['backup'] as const,
      agentId,
      at,
      leaseMs: 60_000,
      perAgentMax: 99,
      perTenantMax: 99,
      totalMax: 99,
    };
    const run = await catalog.runs.claim(claim);
    if (run === undefined) return done;
    await catalog.transaction(async (tables) => {
      const ended = await tables.runs.end(run.id, run.fence, at, { state: 'succeeded' });
      if (ended !== 'fenced') await scheduler.onRunEnded(tables, ended);
    });
  }
}

process.on('message', async (message: { tick: number }) => {
  nowMs = message.tick;
  await scheduler.tick();
  const done = await workOff();
  await scheduler.idle();
  process.send!({ kind: 'done', done });
});
process.on('disconnect', () => process.exit(0));
process.send!({ kind: 'ready' });
