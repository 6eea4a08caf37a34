import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Run } from '../../src/model/run.ts';
import { HOUR, MINUTE, newScene, type Scene } from './scene.ts';

const ASSETS = 12;

function startChild({ catalogPath, agent }: Scene, name: string): ChildProcess {
  const child = fork(join(import.meta.dirname, 'scheduler-child.ts'), [catalogPath, agent.id, name], {
    execPath: process.execPath,
    execArgv: [],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function answer(child: ChildProcess): Promise<{ kind: string; done?: number; what?: string }> {
  const [message] = await once(child, 'message');
  if (message.kind === 'error') throw new Error(message.what);
  return message;
}

async function allRuns({ catalog, tenant }: Scene): Promise<Run[]> {
  const runs: Run[] = [];
  for (let after: string | undefined; ; ) {
    const page = await catalog.runs.list(tenant.id, {}, { limit: 500, ...(after === undefined ? {} : { after }) });
    runs.push(...page.items);
    if (page.next === undefined) return runs;
    after = page.next;
  }
}

it(
  'two schedulers on one catalogue, each a process, make every run exactly once',
  async () => {
    const scene = await newScene('name: plan\nschedule:\n  - cron: "*/30 * * * *"\nretention: { keepLast: 3 }\n');
    const { catalog, things, tenant, agent, clock } = scene;
    for (let n = 1; n < ASSETS; n++)
      await catalog.assets.add(things.asset(tenant.id, agent.id, { createdAt: clock.now().toISOString() }));
    const children = [startChild(scene, 'one'), startChild(scene, 'two')];
    await Promise.all(children.map(answer));
    const work = [0, 0];
    for (let step = 0; step < 24; step++) {
      const done = children.map(answer);
      for (const child of children) child.send({ tick: clock.ms });
      for (const [n, { done: count = 0 }] of (await Promise.all(done)).entries()) work[n]! += count;
      clock.pass(15 * MINUTE);
    }
    const runs = await allRuns(scene);
    const backups = runs.filter(({ kind }) => kind === 'backup');
    // At once, and at each half hour of the 5 3/4 hours after that.
    const perAsset = Object.values(Object.groupBy(backups, ({ assetId }) => assetId!)).map((some) => some!.length);
    expect(perAsset).toEqual(Array.from({ length: ASSETS }, () => 1 + 11));
    expect(new Set(backups.map(({ assetId, dueAt }) => `${assetId} ${dueAt}`)).size).toBe(backups.length);
    expect(runs.filter(({ attempt, state }) => attempt > 1 && state === 'succeeded')).toEqual([]);
    expect(backups.every(({ state }) => state === 'succeeded')).toBe(true);
    // Both had their part in it.
    expect(work.reduce((a, b) => a + b)).toBe(backups.length);
    expect(runs.filter(({ kind }) => kind === 'forget').length).toBeGreaterThan(0);
  },
  HOUR,
);
