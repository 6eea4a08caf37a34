import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DrillScene } from '../support/drill.ts';
import { postgresPrograms } from '../support/postgres.ts';

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
  });
});
