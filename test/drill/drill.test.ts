import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DrillScene, step } from '../support/drill.ts';
import { postgresPrograms, serverUser } from '../support/postgres.ts';

const member = (asset: string, kind: string): object => ({ asset, kind, replayLimit: '1m', startLimit: '1m' });

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
    // Groups wait for each other, nobody is asked, the source is left alone: then the plan was not rehearsed as a whole. Files and volumes come
    // from their newest backup before the disaster, whatever was backed up since.
    const uploads = join(scene.directory, 'uploads');
    mkdirSync(join(uploads, 'of-today'), { recursive: true });
    writeFileSync(join(uploads, 'of-today', 'form.pdf'), 'a form');
    writeFileSync(join(scene.directory, 'disk.img'), Buffer.alloc(300_000, 'disk'));
    const missing = scene.plan((plan) => void plan.groups[0].members.push(member('files/elsewhere', 'files')));
    const refused = await scene.run(missing);
    expect(refused.status).toBe(1);
    expect(JSON.stringify(refused.lines)).toContain('files/elsewhere\\" cannot be brought back');
    expect(scene.drills()).toHaveLength(1);
    await scene.backUp('files/uploads', uploads);
    const backedUp = Date.now();
    await scene.backUp('volume/disk', join(scene.directory, 'disk.img'), 'volume');
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
        members: [member('files/uploads', 'files'), member('volume/disk', 'volume')],
        before: [{ name: 'ask', gate: 'Ready?', limit: '1m' }, note('before-application')],
        afterwards: [step('may-fail', 'exit 3', { onFailure: 'continue' }), note('started')],
      });
      const uploadsIn = `$(echo "$HOLDFAST_COPIES" | sed 's/.*uploads":"\\([^"]*\\)".*/\\1/')`;
      const look = `echo "$HOLDFAST_COPIES"; d=${uploadsIn}; cat $d/of-today/form.pdf; wc -c $(dirname $d)/copy-1`;
      plan.smokeTests.push(step('copies', look));
    });
    const failed = await scene.run(grouped);
    expect(failed.status).toBe(1);
    expect(failed.lines.at(-1)!.failed).toContain('application.after.may-fail: status 3');
    const later = scene.drills()[1]!;
    const taken = scene.measured('action').map(({ of, value }) => `${of} ${value.outcome}`);
    expect(taken, readFileSync(join(later, 'steps.txt'), 'utf8')).toEqual([
      'isolate done',
      'probe done',
      'database.clone.pg/test done',
      'application.clone.files/uploads done',
      'application.clone.volume/disk done',
      'database.promote.pg/test done',
      'database.after.after-database done',
      'database.after.elsewhere skipped',
      'application.before.ask skipped',
      'application.before.before-application done',
      'application.promote.files/uploads done',
      'application.promote.volume/disk done',
      'application.after.may-fail failed',
      'application.after.started done',
      'write-test done',
      'smoke.orders done',
      'smoke.copies done',
      'verify-pages done',
      'probe.again done',
      'commit done',
      'destroy done',
    ]);
    expect(facts()).not.toContain('planRunAgeSeconds');
    const steps = readFileSync(join(later, 'steps.txt'), 'utf8');
    expect(steps).toMatch(/"files\/uploads":"[^"]+\/copy-0"[\s\S]*a form300000 /);
    const recovered = scene.measured('recovered').map(({ of, value }) => [of, value.entries]);
    expect(recovered).toEqual([
      ['pg/test', undefined],
      ['files/uploads', 3],
      ['volume/disk', 1],
    ]);
    const looked = scene.measured('pages').map(({ of, value }) => [of, value.damaged]);
    expect(looked).toEqual([
      ['files/uploads', 0],
      ['volume/disk', 0],
      ['pg/test', 0],
    ]);
    // What was written since the oldest of the backups may be lost.
    expect(scene.claim('rpo').ms).toBeGreaterThanOrEqual(
      Date.parse(String(scene.measured('declaration')[0]!.value.disaster)) - backedUp,
    );
    expect(scene.left()).toEqual([]);
    const uid = serverUser()?.uid ?? process.getuid!();
    expect(steps).toContain(`before-application drill site-b 127.0.0.1:5432 ${uid}\n`);
  });
});
