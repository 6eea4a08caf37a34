import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupOrder } from '../../src/plan/group-order.ts';
import { checkPlanPromises } from '../../src/plan/plan-checks.ts';
import { planDiff } from '../../src/plan/plan-diff.ts';
import { planDigest } from '../../src/plan/plan-digest.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import { longestMs, planRun } from '../../src/plan/plan-run.ts';
import { parsePlan, readPlan } from '../../src/plan/read-plan.ts';
import { epochOfRoute, mustNotGoBack, routeConfig } from '../../src/plan/route-config.ts';
import { renderRunbook } from '../../src/plan/runbook.ts';
import { RUNBOOK_TEXTS } from '../../src/plan/runbook-texts.ts';

const TEXT = readFileSync(join(import.meta.dirname, '../../policies/plans/citizen-portal.yaml'), 'utf8');
const PLAN = parsePlan(TEXT);

/** The shipped plan with one text exchanged. */
function changed(from: string | RegExp, to: string): string {
  const text = TEXT.replace(from, to);
  expect(text).not.toBe(TEXT);
  return text;
}

function problemsOf(text: string): readonly { readonly line: number; readonly field: string; readonly message: string }[] {
  const read = readPlan(text);
  if (read.kind === 'plan') throw new Error('the plan is valid');
  return read.problems;
}

describe('a plan is refused', () => {
  it.each([
    ['an unknown key', 'version: 1', 'version: 1\nversoin: 2', 'the plan has no key "versoin"; did you mean "version"?'],
    ['a missing limit', '        limit: 30s\n', '', /needs "limit": how long it may take/],
    ['a limit of nothing', 'limit: 2m', 'limit: 0s', /it takes some time/],
    ['a group that nobody has', 'after: [database]', 'after: [databse]', /there is no group "databse"; did you mean "database"\?/],
    ['a route of no group', 'group: application', 'group: nobody', /there is no group "nobody"; there are database, application/],
    ['a route without its places', '    listen: 10.0.0.10:5432\n', '', /a route of the kind haproxy needs listen/],
    ['a witness in one of the two sites', 'witness: site-c', 'witness: site-b', /a witness must be in a third place/],
    ['no loss at all', 'rpo: 10s', 'rpo: 0s', /no loss at all cannot be promised/],
    ['a power-off that nobody reads back', / {2}readBack.*\n/, '', /power-off proves nothing without both commands/],
    ['a lease that is no proof', 'onLeaseLoss: stop', 'onLeaseLoss: continue', /an expired lease proves nothing/],
    ['a token of a dead source as the only proof', /proofs: .*\n.*\n.*\n/, 'proofs: [demotion]\n', /needs power-off or expiry/],
    ['a step with neither command nor gate', '        command: [/opt/portal/bin/maintenance, "on"]\n', '', /a command or a gate/],
    ['two steps of one name', 'name: submit', 'name: login', /there is another step "login"/],
    ['an asset in two groups', 'asset: files/portal-uploads', 'asset: pg/portal', /it moves with the group "database" already/],
    ['break-glass by one person', 'breakGlass: 2', 'breakGlass: 1', /a whole number from 2 to 5/],
  ])('with %s', (_, from, to, message) => {
    const problems = problemsOf(changed(from, to));
    expect(problems).toHaveLength(1);
    expect(problems[0]!.message).toMatch(message);
    expect(problems[0]!.line).toBeGreaterThan(0);
  });

  it('with groups that wait for each other, which are told in their circle', () => {
    const text = changed('    consistency: barrier', '    after: [application]\n    consistency: barrier');
    expect(problemsOf(text).map(({ message }) => message)).toEqual([
      'groups[0].after: these groups wait for each other: database -> application -> database',
    ]);
  });
});

describe('the order of groups', () => {
  const group = (name: string, ...after: string[]) => ({ name, after, members: [] }) as unknown as PlanDocument['groups'][number];

  it('is one of waves: what waits for nothing else goes at once', () => {
    const order = groupOrder([group('d', 'b', 'c'), group('a'), group('c', 'a'), group('b', 'a'), group('e')]);
    expect(order.kind === 'waves' && order.waves.map((wave) => wave.map(({ name }) => name))).toEqual([
      ['a', 'e'],
      ['c', 'b'],
      ['d'],
    ]);
  });

  it('names a circle that others only lead to', () => {
    expect(groupOrder([group('x', 'a'), group('a', 'b'), group('b', 'a')])).toEqual({ kind: 'cycle', names: ['a', 'b'] });
  });
});

describe('a run', () => {
  const ids = (kind: 'planned' | 'unplanned' | 'failback' | 'drill') => planRun(PLAN, kind).map(({ id }) => id);

  it('drains in the reverse order of starting, and only when the source answers', () => {
    expect(ids('planned').slice(0, 6)).toEqual([
      'declare',
      'check-target',
      'application.drain.show-notice',
      'application.backup.files/portal-uploads',
      'database.stop.pg/portal',
      'fence.demote',
    ]);
    expect(ids('unplanned')).not.toContain('application.drain.show-notice');
    expect(ids('unplanned').slice(1, 5)).toEqual(['check-target', 'fence.revoke', 'fence.power-off', 'fence.wait']);
  });

  it('asks a gate only in the runs that it is for', () => {
    expect(ids('planned')).toContain('application.before.confirm');
    expect(ids('unplanned')).not.toContain('application.before.confirm');
  });

  it('of a drill fences nothing, changes no route, and probes before and after', () => {
    const drill = ids('drill');
    expect(drill.filter((id) => /^(?:fence|route|seal|grant|protect)/.test(id))).toEqual([]);
    expect(drill[1]).toBe('probe');
    expect(drill.slice(-3)).toEqual(['probe.again', 'commit', 'destroy']);
  });

  it('may take as long as its limits add up to: groups of one wave at once', () => {
    const both = parsePlan(changed('    after: [database]\n', ''));
    const saved = longestMs(planRun(PLAN, 'unplanned')) - longestMs(planRun(both, 'unplanned'));
    // The files with 2 minutes beside the log with 5, and 2 minutes of the database beside 3 of the application.
    expect(saved).toBe((2 + 2) * 60_000);
  });

  it('that has more actions than its journal has room for is warned of', () => {
    const [group] = PLAN.groups;
    const step = group!.afterwards?.[0] ?? PLAN.smokeTests[0]!;
    const afterwards = Array.from({ length: 50 }, (_, n) => ({ ...step, name: `step-${n}` }));
    const groups = Array.from({ length: 8 }, (_, n) => ({ ...group!, name: `group-${n}`, members: group!.members, afterwards }));
    const [finding] = checkPlanPromises({ ...PLAN, groups }).filter(({ path }) => path[0] === 'groups');
    expect(finding!.message).toMatch(/^a failover of it has 4\d\d actions, and its journal has room for 400/);
    expect(checkPlanPromises(PLAN).filter(({ path }) => path[0] === 'groups')).toEqual([]);
  });

  it('says which runs of it cannot succeed, because none of its tests belongs to them', () => {
    const tests = PLAN.smokeTests.map((test) => ({ ...test, only: ['planned' as const, 'unplanned' as const] }));
    const untested = checkPlanPromises({ ...PLAN, smokeTests: tests }).filter(({ path }) => path[0] === 'smokeTests');
    expect(untested.map(({ message }) => /kind (\w+)/.exec(message)![1])).toEqual(['failback', 'drill']);
    expect(checkPlanPromises(PLAN).filter(({ path }) => path[0] === 'smokeTests')).toEqual([]);
  });

  it('that may take longer than promised is warned of', () => {
    const read = readPlan(changed('rto: 40m', 'rto: 10m'));
    expect(read.kind === 'plan' && read.warnings.map(({ field }) => field)).toEqual(['objectives.rto', 'objectives.rto']);
  });
});

describe('a difference of plans', () => {
  it('is told by names, and what promises or asks less is marked', () => {
    const after = parsePlan(
      changed('unplanned: 2', 'unplanned: 1')
        .replace('rpo: 10s', 'rpo: 5s')
        .replace(/ {2}- name: submit[\s\S]*?(?=\n\n)/, ''),
    );
    const told = planDiff(PLAN, after).map(({ field, effect }) => `${effect} ${field}`);
    expect(told).toContain('weaker approvals.unplanned');
    expect(told).toContain('other objectives.rpo');
    expect(told.filter((line) => line.startsWith('weaker smokeTests.submit'))).not.toEqual([]);
    expect(planDiff(after, PLAN).find(({ field }) => field === 'objectives.rpo')).toMatchObject({ effect: 'weaker' });
  });

  it('is none when only comments and the order of keys differ, and the digest is the same', () => {
    const other = parsePlan(
      `# another comment\n${TEXT.replace('name: citizen-portal\n', '').replace('version: 1', 'version: 1\nname: citizen-portal')}`,
    );
    expect(planDiff(PLAN, other)).toEqual([]);
    expect(planDigest(other)).toBe(planDigest(PLAN));
  });
});

describe('a runbook', () => {
  it.each(['en', 'zh'] as const)(
    'in "%s" says of a drill what a drill does: it asks nobody, publishes nothing and leaves the source alone',
    (language) => {
      const [first, ...others] = PLAN.groups;
      const before = [
        { name: 'ask', gate: 'Is everybody ready?', limit: '1m' },
        { name: 'tell', command: ['/bin/true'], at: 'source' as const, limit: '1m' },
      ];
      const runs = renderRunbook({ ...PLAN, groups: [{ ...first!, before }, ...others] }, language).split(/^## /m);
      const [planned, drill] = ['planned', 'drill'].map((kind) => {
        const { title } = RUNBOOK_TEXTS[language].runs[kind as 'planned' | 'drill'];
        return runs.find((text) => text.startsWith(title))!;
      });
      const t = RUNBOOK_TEXTS[language];
      expect(planned).toContain(`**${t.gate(1)}** Is everybody ready?`);
      expect(planned).toContain(t.actions.promote('pg/portal', 0));
      expect(drill).toContain(`Is everybody ready? (${t.asksNobody})`);
      expect(drill).toContain(`tell (${t.leavesOut})`);
      expect(drill).toContain(t.promoteClone('pg/portal'));
      expect(drill).not.toContain(t.gate(1));
      expect(drill).not.toContain(t.actions.promote('pg/portal', 0));
    },
  );

  it('cannot be broken by what a plan says', () => {
    const plan = parsePlan(
      changed('label: Start the application', 'label: "a | b"').replace(
        '[/usr/bin/systemctl, start, portal.service]',
        `[/bin/sh, -c, "echo '\`x\`' | cat"]`,
      ),
    );
    const line = renderRunbook(plan, 'en')
      .split('\n')
      .find((text) => text.includes('a \\| b'))!;
    expect(line.replaceAll('\\|', '').split('|')).toHaveLength(8);
    expect(line).toContain("`` /bin/sh -c 'echo '\\''`x`'\\'' \\| cat' ``");
  });

  it('shows names as they are, whatever they would mean in Markdown or HTML, and commands as they are typed', () => {
    const label = 'Start `web` *now* <b>here</b> [x](y) _z_ my_db a\\b ~c~ &amp;';
    const text = changed('label: Start the application', `label: ${JSON.stringify(label)}`)
      .replace('[/usr/bin/systemctl, start, portal.service]', String.raw`[/bin/sh, -c, "cd /srv\nrm \u202Ex"]`)
      .replaceAll('asset: pg/portal', 'asset: "pg/<portal>"');
    const runbook = renderRunbook({ ...parsePlan(text), label }, 'en');
    const shown = 'Start \\`web\\` \\*now\\* \\<b>here\\</b> \\[x](y) \\_z\\_ my_db a\\\\b \\~c\\~ \\&amp;';
    expect(runbook.split('\n')[0]).toContain(shown);
    const line = runbook.split('\n').find((one) => one.includes(`| ${shown} (`))!;
    expect(line).toContain(String.raw`: ${'`'}/bin/sh -c $'cd /srv\nrm \u202ex'${'`'}`);
    expect(runbook).toContain('pg/\\<portal>');
    expect(runbook).not.toMatch(/(?<!\\)<(?:b|portal)>/);
  });
});

describe('the configuration of a route', () => {
  const [haproxy] = PLAN.routes!;

  it('leads to one side and carries the epoch', () => {
    const text = routeConfig(haproxy!, 'target', 7);
    expect(text).toContain('server target-7 db1.site-b.example:5432 check');
    expect(text).toContain('bind 10.0.0.10:5432');
    expect(epochOfRoute(text)).toBe(7);
    const bouncer = routeConfig({ ...haproxy!, kind: 'pgbouncer' }, 'source', 8);
    expect(bouncer).toContain('* = host=db1.site-a.example port=5432');
    expect(epochOfRoute(bouncer)).toBe(8);
  });

  it('never goes back to an epoch that is over', () => {
    const inForce = routeConfig(haproxy!, 'target', 7);
    expect(() => mustNotGoBack(haproxy!, inForce, 6)).toThrow(/leads to epoch 7 already/);
    mustNotGoBack(haproxy!, inForce, 7);
    mustNotGoBack(haproxy!, inForce, 8);
    mustNotGoBack(haproxy!, undefined, 1);
  });
});
