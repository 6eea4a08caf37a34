import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DrillScene, step } from '../support/drill.ts';
import { postgresPrograms, serverUser } from '../support/postgres.ts';

describe.skipIf(postgresPrograms() === undefined)('a drill', () => {
  it('clones, promotes, writes, tests, verifies, signs what it has measured, and leaves nothing', async () => {
    const scene = await DrillScene.create();
    const { status, lines } = await scene.run(scene.plan());
    expect(status).toBe(0);
    expect(lines.at(-1)).toMatchObject({ kind: 'summary', outcome: 'succeeded', isDestroyed: true });
    expect(scene.claim('outcome')).toMatchObject({ outcome: 'succeeded', failed: 0 });
    expect(scene.claim('isolation')).toMatchObject({
      reached: 0,
      unprobed: 0,
      changed: 0,
      left: 0,
      isDestroyed: true,
      isVoid: false,
    });
    expect(scene.claim('rpo')).toMatchObject({ isKept: true });
    expect(scene.claim('rto')).toMatchObject({ isKept: true });
    expect(scene.claim('pages')).toMatchObject({ damaged: 0, isSound: true });
    expect(scene.claim('smoke')).toMatchObject({ passed: 1, failed: 0, isPassed: true });
    expect(scene.left()).toEqual([]);
    expect(scene.record()).toMatchObject({ state: 'finished', outcome: 'succeeded', isDestroyed: true });
    const drill = scene.drills()[0]!;
    expect(readFileSync(join(drill, 'report.zh.html'), 'utf8')).toContain('演练');
    expect(readFileSync(join(drill, 'report.en.html'), 'utf8')).toContain('<svg');
    const facts = (): unknown[] => scene.measured('fact').map(({ value }) => value.name);
    expect(facts()).toEqual(['room', 'hasPlan', 'fullBackupAgeSeconds', 'proofAgeSeconds', 'planRunAgeSeconds']);
    // Groups wait for each other, nobody is asked, the source is left alone, and what is no database is left out: then the plan was not rehearsed
    // as a whole.
    const seen = '$HOLDFAST_RUN $HOLDFAST_SITE $PGHOST:$PGPORT $(id -u)';
    const grouped = scene.plan((plan) => {
      const note = (name: string, more = {}): object => step(name, `echo ${name} ${seen}`, more);
      plan.groups[0].afterwards = [
        note('after-database'),
        note('elsewhere', { at: 'source' }),
        note('seldom', { only: ['planned'] }),
      ];
      plan.groups.push({
        name: 'application',
        after: ['database'],
        members: [{ asset: 'files/uploads', kind: 'files', replayLimit: '1m', startLimit: '1m' }],
        before: [{ name: 'ask', gate: 'Ready?', limit: '1m' }, note('before-application')],
        afterwards: [step('may-fail', 'exit 3', { onFailure: 'continue' }), note('started')],
      });
    });
    expect((await scene.run(grouped)).status).toBe(1);
    const later = scene.drills()[1]!;
    const taken = scene.measured('action').map(({ of, value }) => `${of} ${value.outcome}`);
    expect(taken).toEqual([
      'isolate done',
      'probe done',
      'database.clone.pg/test done',
      'application.clone.files/uploads skipped',
      'database.promote.pg/test done',
      'database.after.after-database done',
      'database.after.elsewhere skipped',
      'application.before.ask skipped',
      'application.before.before-application done',
      'application.promote.files/uploads skipped',
      'application.after.may-fail failed',
      'application.after.started done',
      'write-test done',
      'smoke.orders done',
      'verify-pages done',
      'probe.again done',
      'commit done',
      'destroy done',
    ]);
    expect(facts()).not.toContain('planRunAgeSeconds');
    const uid = serverUser()?.uid ?? process.getuid!();
    expect(readFileSync(join(later, 'steps.txt'), 'utf8')).toContain(`before-application drill site-b 127.0.0.1:5432 ${uid}\n`);
  });
});
