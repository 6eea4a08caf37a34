import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { declareFailover } from '../../src/dr/failover.ts';
import { JournalRegister } from '../../src/dr/failover-journal.ts';
import { firstRecord, withheld } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import { DrillScene, ended, step } from '../support/drill.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ASSET, until } from '../support/protected-cluster.ts';
import { mayMount, mountTmpfs, unmount } from '../support/scratch.ts';

/** It would go on for ever. */
const endless = (plan: { smokeTests: object[] }): void => {
  plan.smokeTests = [step('endless', 'sleep 3600', { limit: '1h' })];
};

describe.skipIf(postgresPrograms() === undefined)('a drill that does not end by itself', () => {
  it('leaves nothing when it is killed, in whatever phase, and is recorded as not finished', async () => {
    const scene = await DrillScene.create();
    const plan = scene.plan(endless);
    for (const phase of [undefined, 'isolate', 'probe', 'database.clone.pg/test', 'write-test']) {
      const drills = scene.drills().length;
      const drill = scene.begin(plan);
      const end = ended(drill);
      await until(() => scene.drills().length > drills && existsSync(join(scene.drills().at(-1)!, 'record.json')));
      const directory = scene.drills().at(-1)!;
      await until(() => phase === undefined || scene.actions(directory).includes(phase));
      drill.kill('SIGKILL');
      await end;
      await until(
        () => scene.record(directory).state !== 'running',
        () => `killed after ${phase}: ${JSON.stringify(scene.record(directory))}`,
      );
      expect(scene.record(directory)).toMatchObject({ state: 'not finished', why: 'killed', isDestroyed: true });
      expect(scene.left(), `killed after ${phase}`).toEqual([]);
    }
  });

  it.runIf(mayMount())('proves nothing when there is no room for its evidence, says so, and leaves nothing', async () => {
    const scene = await DrillScene.create();
    mountTmpfs(scene.evidence, '16m');
    onTestFinished(() => unmount(scene.evidence));
    const plan = scene.plan((one) => {
      one.smokeTests = [step('slow', 'sleep 3')];
    });
    const drill = ended(scene.begin(plan));
    await scene.reaches('write-test');
    const [directory] = scene.drills();
    expect(() => writeFileSync(join(scene.evidence, 'filler'), Buffer.alloc(1 << 25))).toThrow('ENOSPC');
    const { status, lines } = await drill;
    expect(status).toBe(1);
    expect(lines.at(-1)).toMatchObject({ kind: 'error', code: 'EVIDENCE_NOT_KEPT' });
    await until(() => scene.record(directory).state === 'not finished');
    expect(scene.left()).toEqual([]);
    expect((await scene.run(plan)).lines.at(-1)).toMatchObject({ kind: 'error', code: 'DRILL_NO_SPACE' });
    expect(scene.drills().filter((path) => !path.endsWith('filler'))).toEqual([directory]);
  });

  it('is ended at its limit, and what it has measured until then is signed as failed', async () => {
    const scene = await DrillScene.create();
    const plan = scene.plan((one) => {
      endless(one);
      one.drill.limit = '15s';
    });
    const { status, lines } = await scene.run(plan);
    expect(status).toBe(1);
    expect(lines.at(-1)).toMatchObject({ outcome: 'failed', endedBy: 'time limit: its time was over', isDestroyed: true });
    expect(scene.claim('outcome')).toMatchObject({ outcome: 'failed' });
    expect(scene.measured('destruction')).toMatchObject([{ value: { isGone: true } }]);
    expect(scene.left()).toEqual([]);
  });

  it('is pre-empted by a failover, also when its process stands still, and never when nobody declares one', async () => {
    const scene = await DrillScene.create();
    const declared = join(scene.directory, 'declared');
    const plan = scene.plan(endless);
    const answers = scene.begin(plan, ['--preempt-file', declared]);
    const end = ended(answers);
    const stands = scene.begin(plan, ['--preempt-file', declared]);
    const killed = ended(stands);
    await until(() => scene.drills().filter((drill) => scene.actions(drill).includes('write-test')).length === 2);
    stands.kill('SIGSTOP');
    writeFileSync(declared, '');
    const { status, lines } = await end;
    expect(status).toBe(1);
    expect(lines.at(-1)).toMatchObject({ outcome: 'failed', isDestroyed: true });
    expect(lines.at(-1)!.endedBy).toContain('pre-empted');
    await killed;
    const states = (): string[] => scene.drills().map((drill) => scene.record(drill).state);
    await until(() => !states().includes('running'));
    expect(states().sort()).toEqual(['finished', 'not finished']);
    expect(scene.left()).toEqual([]);
  });

  it('says in its evidence by what an action was ended that was under way', async () => {
    const scene = await DrillScene.create();
    const declared = join(scene.directory, 'declared');
    const drill = scene.begin(scene.plan(endless), ['--preempt-file', declared]);
    const end = ended(drill);
    await scene.reaches('database.clone.pg/test');
    writeFileSync(declared, '');
    const { lines } = await end;
    expect(lines.at(-1)).toMatchObject({ outcome: 'failed', isDestroyed: true });
    const failed = scene.measured('action').filter(({ value }) => value.outcome === 'failed');
    expect(failed).not.toEqual([]);
    for (const { value } of failed) expect(value.text).toMatch(/^(?:the drill was ended|pre-empted): \//);
  });

  it('is pre-empted by what the registry of the site says, and when that says nothing', async () => {
    const scene = await DrillScene.create();
    const registry = join(scene.directory, 'registry.db');
    const journal = new JournalRegister(openEmbeddedRegistry(registry), 'portal');
    const config = scene.siteConfig(registry);
    const drill = scene.begin(scene.plan(endless), ['--config', config]);
    const end = ended(drill);
    await scene.reaches('write-test');
    const databases = [{ asset: ASSET, incarnation: 'portal-1', target: 'site-b', epoch: 1 }];
    const about = { from: 'site-a', to: 'site-b', reason: 'test', approvers: ['li'], disaster: null, planDigest: 'a'.repeat(64) };
    await declareFailover(journal, { id: 'f1', plan: 'portal', kind: 'unplanned', databases, ...about }, () => new Date());
    expect((await end).lines.at(-1)!.endedBy).toBe('pre-empted: the failover f1 of "portal" is declared');
    const silent = scene.siteConfig(join(scene.directory, 'nowhere.db'));
    const { lines } = await scene.run(scene.plan(endless), ['--config', silent]);
    expect(lines.at(-1)!.endedBy).toBe('pre-empted: nobody could say whether a failover is declared');
    expect(scene.left()).toEqual([]);
  });

  it('is pre-empted by a failover of another plan, too, as soon as that takes hold of a database of the site', async () => {
    const scene = await DrillScene.create();
    const registry = join(scene.directory, 'registry.db');
    const writer = new WriterRegister(openEmbeddedRegistry(registry), 'portal-1');
    const [holder, candidate] = [
      { name: 'site-a', site: 'site-a' },
      { name: 'site-b', site: 'site-b' },
    ];
    const terms = { ttlMs: 10_000, drift: 0.05, marginMs: 2_000 };
    await writer.create(firstRecord({ incarnation: 'portal-1', holder, candidates: [candidate], terms, onLeaseLoss: 'stop' }));
    const drill = scene.begin(scene.plan(endless), ['--config', scene.siteConfig(registry)]);
    const end = ended(drill);
    await scene.reaches('write-test');
    await writer.change((record) => withheld(record, 'f2'));
    expect((await end).lines.at(-1)!.endedBy).toBe(`pre-empted: the failover f2 moves ${ASSET}`);
    expect(scene.left()).toEqual([]);
  });

  it('goes with its watcher: nobody drills unwatched', async () => {
    const scene = await DrillScene.create();
    const drill = scene.begin(scene.plan(endless));
    const end = ended(drill);
    await scene.reaches('write-test');
    const watcher = scene.watchers()[0]!;
    process.kill(watcher, 'SIGKILL');
    expect((await end).lines.at(-1)).toMatchObject({ outcome: 'failed', endedBy: 'unwatched: the watcher of the drill died' });
    expect(scene.left()).toEqual([]);
    // Both at once: the kernel ends the room, and the next drill removes the rest.
    const second = scene.begin(scene.plan(endless));
    const gone = ended(second);
    await until(() => scene.drills().length === 2 && scene.actions(scene.drills()[1]!).includes('write-test'));
    for (const pid of [scene.watchers()[0]!, second.pid!]) process.kill(pid, 'SIGKILL');
    await gone;
    await until(() => scene.left().every((one) => one.startsWith('holdfast-drill-')));
    expect(scene.left()).toHaveLength(1);
    expect(await scene.run(scene.plan())).toMatchObject({ status: 0 });
    expect(scene.record(scene.drills()[1])).toMatchObject({ state: 'not finished', isDestroyed: true });
    expect(scene.left()).toEqual([]);
  });
});
