import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { undoFailover } from '../../src/dr/failover.ts';
import { type FailoverJournal, JournalRegister } from '../../src/dr/failover-journal.ts';
import { claimed, firstRecord, givenBack, granted, withheld } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { breakGlass, decide, openDecisions } from '../../src/orchestrator/decide.ts';
import { type DeclareOptions, declare } from '../../src/orchestrator/declare.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import { parsePlan } from '../../src/plan/read-plan.ts';
import { routeConfig } from '../../src/plan/route-config.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { openSigningKey } from '../../src/trust/audit-key.ts';
import {
  effectsOf,
  evidenceFileOf,
  evidencePlaceOf,
  incarnationOf,
  PAPER_SEALED,
  type PaperOptions,
  registryOf,
  runOnPaper,
} from '../support/paper-sites.ts';

const TIMEOUT_MS = 120_000;
const TERMS = { ttlMs: 100, drift: 0.05, marginMs: 50 };
const [A, B] = ['site-a', 'site-b'].map((name) => ({ name, site: name })) as [
  { name: string; site: string },
  { name: string; site: string },
];
const now = (): Date => new Date();

let directory: string;
let registry: Registry;
let options: PaperOptions;
let plan: PlanDocument;
let journal: JournalRegister;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'holdfast-orchestrator-'));
  options = { directory, plan: 'portal' };
  registry = registryOf(options);
  journal = new JournalRegister(registry, 'portal');
  writeFileSync(
    join(directory, 'tell'),
    '#!/bin/sh\necho "$HOLDFAST_ACTION $HOLDFAST_SITE $HOLDFAST_EPOCH $*" >> "$(dirname "$0")/commands"\n',
  );
  chmodSync(join(directory, 'tell'), 0o755);
  plan = planWith();
  for (const incarnation of ['portal', 'ledger']) {
    const writer = new WriterRegister(registry, incarnation);
    await writer.create(firstRecord({ incarnation, holder: A, candidates: [B], terms: TERMS, onLeaseLoss: 'stop' }));
    await writer.change((record) => claimed(record, 'site-a', 'life-1', 'armed'));
  }
});

afterEach(async () => {
  await registry.close();
  rmSync(directory, { recursive: true, force: true });
});

function planWith(change: Readonly<Record<string, string>> = {}): PlanDocument {
  const tell = join(directory, 'tell');
  const text = `
name: portal
version: 1
sites: { source: site-a, target: site-b, witness: site-c }
objectives: { rpo: 10s, rto: 40m }
approvals: { planned: 1, unplanned: 2, breakGlass: 2 }
lease: { ttl: 10s, margin: 2s, onLeaseLoss: stop }
fencing: { proofs: [demotion, expiry], limit: 1m }
groups:
  - name: database
    members:
      - { asset: pg/portal, kind: postgres, replayLimit: 5m, startLimit: 2m }
      - { asset: pg/ledger, kind: postgres, replayLimit: 5m, startLimit: 2m }
  - name: application
    after: [database]
    members:
      - { asset: files/uploads, kind: files, replayLimit: 5m, startLimit: 1m }
    drain:
      - { name: notice, command: [${tell}, notice], limit: 10s, onFailure: continue }
    before:
      - { name: confirm, gate: Is everybody ready?, approvers: 2, limit: 10m, only: [planned, failback] }
    afterwards:
      - { name: start, command: [${tell}, start], limit: 10s }
routes:
  - name: portal-db
    group: database
    kind: haproxy
    listen: 127.0.0.1:15432
    source: 127.0.0.1:15001
    target: 127.0.0.1:15002
    file: ${join(directory, 'haproxy.cfg')}
    command: [${tell}, reload]
    limit: 10s
  - { name: portal-web, group: application, kind: hook, command: [${tell}, lead], limit: 10s }
smokeTests:
  - { name: login, command: [${change.smoke ?? tell}, login], limit: ${change.smokeLimit ?? '10s'} }
`;
  return parsePlan(text);
}

function declared(words: Partial<DeclareOptions> = {}): Promise<FailoverJournal> {
  return declare({
    registry,
    plan,
    kind: 'unplanned',
    reason: 'site a burns',
    by: 'wei',
    approvers: ['lin'],
    incarnationOf,
    now,
    ...words,
  });
}

/** Runs it, and says yes to all that is asked, until it is finished. */
async function runWithPeople(words: Partial<PaperOptions> = {}): Promise<FailoverJournal> {
  for (let asked = 0; asked < 20; asked++) {
    const at = await runOnPaper({ ...options, ...words });
    const actions = at.blockedBy.flatMap((why) => /^decide "([^"]+)"/.exec(why)?.[1] ?? []);
    if (actions.length === 0) return at;
    for (const action of actions) for (const by of ['wei', 'lin']) await decide(journal, plan, { action, answer: 'yes', by }, now);
  }
  throw new Error('It asks for ever');
}

async function orchestrate(words: Partial<PaperOptions>): Promise<string> {
  const program = new URL('../support/paper-sites.ts', import.meta.url).pathname;
  const run = promisify(execFile)(process.execPath, [program, JSON.stringify({ ...options, ...words })]);
  return run.then(
    ({ stdout }) => stdout,
    (error: { signal?: string; stderr?: string }) => error.signal ?? String(error.stderr),
  );
}

const commands = (): string[] => readFileSync(join(directory, 'commands'), 'utf8').trim().split('\n');

function verified() {
  const text = readFileSync(evidenceFileOf(options));
  return verifyEvidence({ text, trusted: [openSigningKey(directory, 'key').verifyKey], attachment: () => undefined });
}

describe('A planned switch', () => {
  it('does what the plan says in its order, asks people where it says so, and leaves evidence that verifies', async () => {
    await declared({ kind: 'planned', reason: 'works on the power', approvers: [] });
    const files = { filesAgeMs: 3_600_000 };
    expect((await runOnPaper({ ...options, ...files })).blockedBy.join()).toContain('decide "application.before.confirm"');
    const done = await runWithPeople(files);
    expect(done.state).toBe('normal');
    expect(done.entries.map(({ state }) => state)).toEqual(FAILOVER_STATES);
    expect(done.sealed).toEqual({ 'pg/portal': PAPER_SEALED, 'pg/ledger': PAPER_SEALED });
    const told = commands();
    expect([told[0], told[1], ...told.slice(2, 4).sort(), told[4]]).toEqual([
      'application.drain.notice site-a 1 notice',
      'application.after.start site-b 2 start',
      'route.portal-db site-b 2 reload',
      'route.portal-web site-b 2 lead',
      'smoke.login site-b 2 login',
    ]);
    expect(told).toHaveLength(5);
    expect(readFileSync(join(directory, 'haproxy.cfg'), 'utf8')).toContain('127.0.0.1:15002');
    for (const incarnation of ['portal', 'ledger']) {
      const { record } = await new WriterRegister(registry, incarnation).read();
      expect(record).toMatchObject({ epoch: 2, holder: B });
      expect(record.chain.at(-1)).toMatchObject({ proof: 'demotion', from: PAPER_SEALED });
    }
    const { problems, isTrusted, pack } = verified();
    expect({ problems, isTrusted }).toEqual({ problems: [], isTrusted: true });
    const claim = (id: string) => pack!.body.claims.claims.find((one) => one.id === id)?.value;
    expect(claim('outcome')).toMatchObject({ outcome: 'succeeded' });
    // Files are backed up once more when nobody writes to them, whatever the age of the backup before; then that one is brought over.
    expect(claim('rpo')).toMatchObject({ ms: 0, isKept: true });
    const moved = effectsOf(options).filter((line) => line.includes('files/uploads'));
    expect(moved).toEqual(
      ['site-a keep', 'site-b point', 'site-b bring', 'site-b compare', 'site-b keep'].map((one) => `${one} files/uploads`),
    );
    expect(effectsOf(options).indexOf(moved[1]!)).toBeLessThan(effectsOf(options).indexOf('site-a demote pg/portal'));
    const recovered = pack!.body.measurements
      .filter(({ kind }) => kind === 'recovered')
      .map(({ of, value }) => [of, value.snapshot]);
    expect(recovered).toContainEqual(['files/uploads', 'kept']);
    expect(claim('consistency')).toMatchObject({ group: 'database', reached: 'whole', isKept: true });
    expect(claim('rto')).toMatchObject({ isKept: true });
    expect(claim('fencing')).toMatchObject({ proof: 'demotion', isProven: true });
    expect(claim('pages')).toMatchObject({ checked: 207, isSound: true });
    expect(pack!.body.claims.levels).toHaveLength(1);
  });
});

describe('Files that no site knows', () => {
  it('are moved by people, who say that they have; nothing of it is claimed', async () => {
    await declared({ kind: 'planned', approvers: [] });
    expect((await runOnPaper(options)).blockedBy).toEqual([
      'decide "application.backup.files/uploads": files/uploads has to be backed up at site-a, and its backup copied to site-b by hand (The daemon of the site "site-a" has no asset "files/uploads")',
    ]);
    expect((await runWithPeople()).state).toBe('normal');
    const { problems, pack } = verified();
    expect(problems).toEqual([]);
    const claim = (id: string) => pack!.body.claims.claims.find((one) => one.id === id)?.value;
    expect(claim('outcome')).toMatchObject({ outcome: 'succeeded' });
    expect(claim('rpo')).toMatchObject({ ms: null, isKept: false });
  });
});

describe('An unplanned failover', () => {
  it('brings files to the newest backup that has come over, and people decide about what is older than the objective', async () => {
    await declared();
    const lost = { lost: ['site-a'], filesAgeMs: 3_700_000 };
    const asked = await runOnPaper({ ...options, ...lost });
    expect(asked).toMatchObject({ state: 'sealed' });
    expect(asked.blockedBy.join()).toMatch(/files\/uploads: work of 3[67]\d\d\.\d s is lost, more than the RPO of 10s/);
    expect((await runWithPeople(lost)).state).toBe('normal');
    const { problems, pack } = verified();
    expect(problems).toEqual([]);
    const rpo = pack!.body.claims.claims.find(({ id }) => id === 'rpo')!.value;
    expect(rpo.ms).toBeGreaterThanOrEqual(3_600_000);
    const facts = pack!.body.measurements.filter(({ kind }) => kind === 'fact').map(({ value }) => value);
    const age = facts.find(({ name }) => name === 'fullBackupAgeSeconds')!.value;
    expect(age, 'that of the files, older than the base of the databases').toBeGreaterThanOrEqual(3_600);
    expect(effectsOf(options)).not.toContain('site-a keep files/uploads');
  });

  it('of a site that does not answer waits for the end of its lease, and stops for a decision when more is lost than the objective', async () => {
    const lost = { lost: ['site-a'], heartbeatAgeMs: 60_000 };
    plan = { ...plan, groups: plan.groups.slice(0, 1), routes: plan.routes!.slice(0, 1) };
    await declared();
    const asked = await runWithPeopleFor(['application.'], lost);
    expect(asked.state).toBe('sealed');
    expect(asked.blockedBy.join()).toMatch(
      /pg\/portal: work of \d\d\.\d s is lost.*decide "show-loss": 2 must accept the loss, 0 did/,
    );
    await decide(journal, plan, { action: 'show-loss', answer: 'yes', by: 'wei' }, now);
    await decide(journal, plan, { action: 'show-loss', answer: 'yes', by: 'wei' }, now);
    expect((await runOnPaper({ ...options, ...lost })).blockedBy.join()).toContain('1 did');
    const done = await runWithPeople(lost);
    expect(done.state).toBe('normal');
    const { problems, pack } = verified();
    expect(problems).toEqual([]);
    const claim = (id: string) => pack!.body.claims.claims.find((one) => one.id === id)?.value;
    expect(claim('fencing')).toMatchObject({ proof: 'expiry', isProven: true });
    expect(claim('rpo')).toMatchObject({ isKept: false });
    expect(claim('rpo')?.ms).toBeGreaterThan(10_000);
    expect(pack!.body.measurements.find(({ kind }) => kind === 'log-end')?.value).toMatchObject({ missingBytes: null });
  });

  it('stops for a decision when the databases of a group are not as close together as the plan declares', async () => {
    const [group] = plan.groups;
    plan = { ...plan, groups: [{ ...group!, consistency: 'barrier' }], routes: plan.routes!.slice(0, 1) };
    await declared();
    const asked = await runOnPaper(options);
    expect(asked.blockedBy.join()).toMatch(/the members of the group "database" are \S+ s apart; the plan declares a barrier/);
    for (const by of ['wei', 'lin']) await decide(journal, plan, { action: 'show-loss', answer: 'yes', by }, now);
    expect((await runWithPeople()).state).toBe('normal');
    const { problems, pack } = verified();
    expect(problems).toEqual([]);
    const found = pack!.body.claims.claims.find(({ id }) => id === 'consistency')?.value;
    expect(found).toMatchObject({ group: 'database', declared: 'barrier', reached: 'none', isKept: false });
  });

  it('tells how much log the source has stored that could not be brought over', async () => {
    await declared();
    const done = await runWithPeople({ sourceEnd: '0/5000128' });
    expect(done.state).toBe('normal');
    const ends = verified().pack!.body.measurements.filter(({ kind }) => kind === 'log-end');
    expect(ends.map(({ value }) => value.missingBytes)).toEqual([0x100, 0x100]);
  });

  it('without a heartbeat in what was recovered is no failover without loss: people decide', async () => {
    await declared();
    const asked = await runWithPeopleFor(['application.'], { heartbeatAgeMs: null });
    expect(asked.blockedBy.join()).toContain('its loss cannot be measured');
  });

  it('whose newest heartbeat is of a time to come claims no loss of nothing: the clocks differ, and people decide', async () => {
    await declared();
    const lost = { heartbeatAgeMs: -600_000 };
    const asked = await runWithPeopleFor(['application.'], lost);
    expect(asked.blockedBy.join()).toContain('its loss cannot be measured, the clocks of the sites differ');
    for (const by of ['wei', 'lin']) await decide(journal, plan, { action: 'show-loss', answer: 'yes', by }, now);
    expect((await runWithPeople(lost)).state).toBe('normal');
    const { problems, pack } = verified();
    expect(problems).toEqual([]);
    expect(pack!.body.claims.claims.find(({ id }) => id === 'rpo')?.value).toMatchObject({ ms: null, isKept: false });
  });

  it('is blocked without a proof of fencing, until two people break the glass; the evidence says so', async () => {
    plan = { ...plan, fencing: { ...plan.fencing, proofs: ['demotion', 'power-off'], ...powerOff('/bin/false') } };
    await declared();
    const blocked = await runOnPaper(options);
    expect(blocked).toMatchObject({ state: 'declared' });
    expect(blocked.blockedBy.join()).toContain('no power-off that was read back by another way');
    await expect(breakGlass(journal, plan, ['wei', 'wei'], 'it burns', now)).rejects.toMatchObject({
      code: 'FAILOVER_NOT_APPROVED',
    });
    await breakGlass(journal, plan, ['wei', 'lin'], 'it burns', now);
    expect((await runWithPeople()).state).toBe('normal');
    const { problems, pack } = verified();
    expect(problems).toEqual([]);
    expect(pack!.body.claims.claims.find(({ id }) => id === 'fencing')?.value).toEqual({ proof: 'break-glass', isProven: false });
    const roles = pack!.body.measurements.filter(({ kind }) => kind === 'approval').map(({ value }) => value.role);
    expect(roles.filter((role) => role === 'break-glass: it burns')).toHaveLength(2);
  });

  it('goes on at once with a power-off that was read back', async () => {
    plan = { ...plan, fencing: { ...plan.fencing, proofs: ['demotion', 'power-off'], ...powerOff('/bin/true') } };
    await declared();
    expect((await runWithPeople({ lost: ['site-a'] })).state).toBe('normal');
    const { record } = await new WriterRegister(registry, 'ledger').read();
    expect(record.chain.at(-1)).toMatchObject({ epoch: 2, proof: 'power-off' });
  });

  it('needs as many different people as the plan says', async () => {
    // The same name in other letters is the same person, and no name is nobody.
    for (const approver of ['wei', ' WEI', 'ｗｅｉ', '', ' '])
      await expect(declared({ approvers: [approver] }), approver).rejects.toMatchObject({ code: 'FAILOVER_NOT_APPROVED' });
    const lost = { lost: ['site-a'], heartbeatAgeMs: null };
    plan = { ...plan, groups: plan.groups.slice(0, 1), routes: plan.routes!.slice(0, 1) };
    await declared();
    await expect(breakGlass(journal, plan, ['wei', 'Wei '], 'it burns', now)).rejects.toMatchObject({
      code: 'FAILOVER_NOT_APPROVED',
    });
    await runOnPaper({ ...options, ...lost });
    for (const by of ['wei', 'Wei', 'wei ']) await decide(journal, plan, { action: 'show-loss', answer: 'yes', by }, now);
    expect((await runOnPaper({ ...options, ...lost })).blockedBy.join()).toContain('1 did');
    const nobody = decide(journal, plan, { action: 'show-loss', answer: 'yes', by: ' ' }, now);
    await expect(nobody).rejects.toMatchObject({ code: 'FAILOVER_NOT_APPROVED' });
    await decide(journal, plan, { action: 'show-loss', answer: 'yes', by: 'lin' }, now);
    expect((await runOnPaper({ ...options, ...lost })).state).toBe('normal');
  });
});

describe('An orchestrator', () => {
  it(
    'that is killed before or after whatever it does is followed by one that goes on, and what was over is not done again',
    async () => {
      await declared();
      const points = [
        'site-b status pg/portal',
        'site-a revoke pg/ledger',
        'site-b seal pg/portal',
        'site-b catchUp pg/ledger',
        'site-b promoted pg/portal',
        'site-b writeTest pg/ledger',
        'site-b protect pg/portal',
        'evidence',
      ];
      for (const [i, dieAt] of points.entries()) {
        for (const by of ['wei', 'lin']) await sayYesToAll(by);
        expect(await orchestrateToTheEnd({ dieAt, dieWhen: i % 2 === 0 ? 'before' : 'after' })).toBe('SIGKILL');
      }
      expect(await orchestrateToTheEnd({})).toBe('normal');
      const done = (await journal.read()).journal;
      expect(done.entries.map(({ state }) => state)).toEqual(FAILOVER_STATES);
      const counts = new Map<string, number>();
      // Looking changes nothing, and whoever goes on looks again.
      for (const line of effectsOf(options).filter((one) => !/^\S+ status /.test(one)))
        counts.set(line, (counts.get(line) ?? 0) + 1);
      expect([...counts].filter(([, count]) => count > 2)).toEqual([]);
      expect(counts.get('site-b verifyPages pg/portal')).toBe(1);
      expect(commands().filter((line) => line.startsWith('smoke'))).toHaveLength(1);
      expect(verified().problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'may run beside another: the journal goes through its states once',
    async () => {
      plan = { ...plan, groups: plan.groups.slice(0, 1), routes: plan.routes!.slice(0, 1) };
      await declared();
      expect(await Promise.all([orchestrate({}), orchestrate({})])).toEqual(['normal', 'normal']);
      const done = (await journal.read()).journal;
      expect(done.entries.map(({ state }) => state)).toEqual(FAILOVER_STATES);
      expect(new Set(done.actions.map(({ id }) => id)).size).toBe(done.actions.length);
      expect(verified().problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it('stops nothing for a planned switch when the target is not ready', async () => {
    await declared({ kind: 'planned' });
    const blocked = await runOnPaper({ ...options, notReady: 'it has not replayed for an hour' });
    expect(blocked).toMatchObject({ state: 'declared' });
    expect(blocked.blockedBy).toContain('site-b is not ready for pg/portal: it has not replayed for an hour');
    expect(effectsOf(options).filter((line) => line.includes('demote'))).toEqual([]);
    expect(existsSync(join(directory, 'commands'))).toBe(false);
  });

  it('stops nothing for a planned switch while the target has hardly any room', async () => {
    await declared({ kind: 'planned', approvers: [] });
    const full = await runOnPaper({ ...options, noRoom: 'there is hardly any room left' });
    expect(full).toMatchObject({
      state: 'declared',
      blockedBy: expect.arrayContaining([expect.stringContaining('hardly any room')]),
    });
    expect(effectsOf(options).filter((line) => !line.includes('status'))).toEqual([]);
  });

  it('stops nothing for a planned switch while its replica has trouble, however far that is', async () => {
    await declared({ kind: 'planned' });
    const blocked = await runOnPaper({ ...options, trouble: 'ENOSPC' });
    expect(blocked).toMatchObject({ state: 'declared' });
    expect(blocked.blockedBy).toContain('site-b is not ready for pg/portal: its replica: ENOSPC');
    expect(effectsOf(options).filter((line) => line.includes('demote'))).toEqual([]);
  });

  it('stops nothing for a planned switch while nobody knows how far the replica is behind', async () => {
    await declared({ kind: 'planned' });
    const blocked = await runOnPaper({ ...options, lagMs: null });
    expect(blocked).toMatchObject({ state: 'declared' });
    expect(blocked.blockedBy).toContain('site-b is not ready for pg/portal: nobody knows how far its replica is behind');
    expect(effectsOf(options).filter((line) => line.includes('demote'))).toEqual([]);
  });

  it('ends a command with all that it has started when its time is over, and does it again when it is asked to go on', async () => {
    const slow = join(directory, 'slow');
    writeFileSync(
      slow,
      `#!/bin/sh\n[ -e ${directory}/mended ] && exit 0\necho begun\nsleep 1000 &\necho $! > ${directory}/pid\nwait\n`,
    );
    chmodSync(slow, 0o755);
    plan = planWith({ smoke: slow, smokeLimit: '1s' });
    await declared();
    const blocked = await runWithPeopleFor(['application.', 'show-loss']);
    expect(blocked).toMatchObject({ state: 'routed' });
    expect(blocked.blockedBy).toEqual(['smoke.login has failed: took longer than 1s']);
    const pid = Number(readFileSync(join(directory, 'pid'), 'utf8'));
    expect(isRunning(pid)).toBe(false);
    writeFileSync(join(directory, 'mended'), '');
    expect((await runWithPeople()).state).toBe('normal');
    expect(verified().pack!.body.claims.claims.find(({ id }) => id === 'outcome')?.value).toMatchObject({ outcome: 'succeeded' });
  });

  it('says of what was not done in its time what the site has trouble with', async () => {
    const [group] = plan.groups;
    const members = group!.members.slice(0, 1).map((member) => ({ ...member, startLimit: '1s' }));
    plan = { ...plan, groups: [{ ...group!, members }], routes: plan.routes!.slice(0, 1) };
    await declared();
    const { blockedBy } = await runOnPaper({ ...options, isStuck: true, lost: ['site-a'], trouble: 'no room is left' });
    expect(blockedBy).toEqual([
      'database.promote.pg/portal has failed: took longer than 1s; site-b has trouble with pg/portal: no room is left',
    ]);
  });

  it('goes on without a test that fails only when somebody says so; its outcome is none that has succeeded', async () => {
    plan = planWith({ smoke: '/bin/false' });
    await declared();
    expect((await runWithPeopleFor(['application.', 'show-loss'])).blockedBy.join()).toContain('smoke.login has failed');
    await expect(decide(journal, plan, { action: 'grant', answer: 'yes', by: 'wei' }, now)).rejects.toMatchObject({
      code: 'FAILOVER_NO_DECISION',
    });
    await decide(journal, plan, { action: 'smoke.login', answer: 'yes', by: 'wei' }, now);
    expect((await runOnPaper(options)).state).toBe('normal');
    const { problems, pack } = verified();
    expect(problems).toEqual([]);
    expect(pack!.body.claims.claims.find(({ id }) => id === 'outcome')?.value).toMatchObject({ outcome: 'failed' });
  });

  it('takes nothing that a program or a question names for what waits for people: nobody says yes in advance', async () => {
    const names = join(directory, 'names');
    writeFileSync(names, '#!/bin/sh\necho \'no "show-loss", no "application.before.confirm"\'\nexit 1\n');
    chmodSync(names, 0o755);
    const { groups } = plan;
    const drain = [{ name: 'notice', command: [names], limit: '10s' }];
    plan = { ...plan, groups: [groups[0]!, { ...groups[1]!, drain }] };
    await declared({ kind: 'planned', approvers: [] });
    const { blockedBy } = await runWithPeopleFor(['application.backup.']);
    expect(blockedBy.join()).toContain('application.drain.notice has failed: ended with status 1: no "show-loss"');
    const { journal: known } = await journal.read();
    expect(openDecisions(plan, known)).toEqual(['application.drain.notice']);
    const inAdvance = decide(journal, plan, { action: 'application.before.confirm', answer: 'yes', by: 'wei' }, now);
    await expect(inAdvance).rejects.toMatchObject({ code: 'FAILOVER_NO_DECISION' });
  });

  it('is not declared while one of another plan holds its database; what one that is over has left there is taken away', async () => {
    const other = { ...plan, name: 'other' };
    const { id: first } = await declared();
    const blocked = await runOnPaper({ ...options, lost: ['site-a'], heartbeatAgeMs: 60_000 });
    expect(blocked.state).toBe('sealed');
    await expect(declared({ plan: other })).rejects.toMatchObject({
      code: 'FAILOVER_RUNNING',
      message: `pg/portal is held by the failover ${first} of portal, which is "sealed"`,
    });
    await undoFailover(journal, 'it was a cable', now);
    await runOnPaper(options);
    const { id: second } = await declared({ plan: other });
    await undoFailover(new JournalRegister(registry, 'other'), 'nor that', now);
    await runOnPaper({ ...options, plan: 'other' });
    await declared({ plan: other });
    await undoFailover(new JournalRegister(registry, 'other'), 'nor that', now);
    await runOnPaper({ ...options, plan: 'other' });
    // An orchestrator of one that is over wakes up.
    const writer = new WriterRegister(registry, 'portal');
    await writer.change((record) => withheld(record, second));
    await declared({ plan: other });
    expect((await writer.read()).record).toMatchObject({ epoch: 1, state: 'open', failover: null });
    await writer.change((record) => withheld(record, 'unheard-of'));
    await expect(declared()).rejects.toMatchObject({ code: 'FAILOVER_RUNNING' });
  });

  it('says what keeps it from keeping the evidence, and goes on when that is mended', async () => {
    const place = evidencePlaceOf(options);
    writeFileSync(place, 'no directory');
    await declared();
    const blocked = await runWithPeople();
    expect(blocked).toMatchObject({ state: 're-protecting' });
    expect(blocked.blockedBy.join()).toMatch(new RegExp(`^The evidence cannot be kept in ${place}: E`));
    rmSync(place);
    expect((await runOnPaper(options)).state).toBe('normal');
    expect(verified().problems).toEqual([]);
  });

  it('leads no route back to an older epoch', async () => {
    const file = join(directory, 'haproxy.cfg');
    const later = routeConfig(plan.routes![0]!, 'source', 7);
    writeFileSync(file, later);
    await declared();
    const blocked = await runWithPeopleFor(['application.', 'show-loss']);
    expect(blocked).toMatchObject({ state: 'promoted' });
    expect(blocked.blockedBy.join()).toContain('leads to epoch 7 already');
    expect(readFileSync(file, 'utf8')).toBe(later);
  });
});

describe('An undo', () => {
  it('gives the right back to the old primary and has both sites take log again', async () => {
    await declared({ kind: 'planned' });
    expect((await runWithPeopleFor(['application.backup'])).state).toBe('sealed');
    await undoFailover(journal, 'the works are put off', now);
    expect((await runOnPaper(options)).state).toBe('undone');
    expect([...new Set(effectsOf(options).filter((line) => line.includes('unseal')))].sort()).toEqual(
      ['a', 'b'].flatMap((site) => ['pg/ledger', 'pg/portal'].map((asset) => `site-${site} unseal ${asset}`)),
    );
    for (const incarnation of ['portal', 'ledger'])
      expect((await new WriterRegister(registry, incarnation).read()).record).toMatchObject({ epoch: 2, holder: A, state: 'open' });
    await declared({ kind: 'planned' });
  });

  it('passes over no site that goes on refusing log, unless somebody says so', async () => {
    await declared();
    expect((await runOnPaper(options)).state).toBe('sealed');
    await undoFailover(journal, 'site a is back', now);
    const blocked = await runOnPaper({ ...options, lost: ['site-b'] });
    expect(blocked).toMatchObject({ state: 'undoing' });
    expect(blocked.blockedBy.join()).toContain('site-b still refuses log of the epoch');
    await decide(journal, plan, { action: 'unseal.site-b', answer: 'yes', by: 'wei' }, now);
    expect((await runOnPaper({ ...options, lost: ['site-b'] })).state).toBe('undone');
  });

  it('ends a failover that another one has overtaken, while that is under way and afterwards', async () => {
    const writer = (incarnation: string) => new WriterRegister(registry, incarnation);
    const undone = async () => {
      await undoFailover(journal, 'another plan was faster', now);
      return (await runOnPaper(options)).state;
    };
    await declared();
    for (const incarnation of ['portal', 'ledger']) await writer(incarnation).change((record) => withheld(record, 'faster'));
    expect((await runOnPaper(options)).blockedBy.join()).toContain('other failover');
    expect(await undone()).toBe('undone');

    for (const incarnation of ['portal', 'ledger']) await writer(incarnation).change((record) => givenBack(record, 'faster'));
    await declared();
    for (const incarnation of ['portal', 'ledger']) await writer(incarnation).change((record) => withheld(record, 'faster'));
    const grant = { failover: 'faster', to: 'site-b', sealed: PAPER_SEALED, proof: 'expiry' } as const;
    for (const incarnation of ['portal', 'ledger']) await writer(incarnation).change((record) => granted(record, grant));
    expect((await runOnPaper(options)).blockedBy.join()).toContain('the epoch is 2, not 1');
    expect(await undone()).toBe('undone');
    for (const incarnation of ['portal', 'ledger'])
      expect((await writer(incarnation).read()).record).toMatchObject({ epoch: 2, holder: B, state: 'open' });
  });

  it('that comes when the first of two databases was granted is too late for both', async () => {
    await declared();
    const { id } = await runWithPeopleFor(['application.'], { heartbeatAgeMs: null });
    // An orchestrator that was ahead has granted the first, and was killed.
    const grant = { failover: id, to: 'site-b', sealed: PAPER_SEALED, proof: 'expiry' } as const;
    await new WriterRegister(registry, 'portal').change((record) => granted(record, grant));
    await undoFailover(journal, 'just now', now);
    expect((await runWithPeople()).state).toBe('normal');
    for (const incarnation of ['portal', 'ledger'])
      expect((await new WriterRegister(registry, incarnation).read()).record).toMatchObject({ epoch: 2, holder: B });
    await expect(undoFailover(journal, 'too late', now)).rejects.toMatchObject({ code: 'FAILOVER_PAST_UNDO' });
  });
});

describe('A declaration', () => {
  it('that was asked for before another failover of its plan, or a day ago, is none any more: what it meant has passed', async () => {
    const askedAt = new Date();
    const hourLater = (): Date => new Date(askedAt.getTime() + 3_600_000);
    const { id } = await declared({ kind: 'planned', id: 'by-hand', now: hourLater });
    await undoFailover(journal, 'done by hand', now);
    expect((await runOnPaper(options)).state).toBe('undone');
    await expect(declared({ id: 'late', askedAt, now: hourLater })).rejects.toMatchObject({
      code: 'FAILOVER_OVER',
      message: expect.stringContaining(`the failover ${id} of portal was declared since`),
    });
    const dayLater = (): Date => new Date(askedAt.getTime() + 25 * 3_600_000);
    await expect(declared({ id: 'late', askedAt: hourLater(), now: dayLater })).resolves.toMatchObject({ id: 'late' });
    // However late it is: who goes on with one that was declared does not declare it anew.
    const twoDays = (): Date => new Date(askedAt.getTime() + 49 * 3_600_000);
    await expect(declared({ id: 'late', askedAt: hourLater(), now: twoDays })).resolves.toMatchObject({ id: 'late' });
    await undoFailover(journal, 'nor this', now);
    await runOnPaper(options);
    await expect(
      declared({ id: 'later', askedAt: dayLater(), now: () => new Date(dayLater().getTime() + 25 * 3_600_000) }),
    ).rejects.toThrow('more than a day ago');
  });

  it('goes the way that the databases are, and refuses the other', async () => {
    await expect(declared({ kind: 'failback' })).rejects.toMatchObject({ code: 'FAILOVER_NO_TARGET' });
    await declared({ kind: 'planned' });
    await runWithPeople();
    await expect(declared({ kind: 'planned' })).rejects.toMatchObject({ code: 'FAILOVER_NO_TARGET' });
    // Nobody has registered a standby at the first site yet.
    await expect(declared({ kind: 'failback' })).rejects.toThrow('pg/portal has no standby at site-a');
  });
});

/** Says yes only to what begins so. */
async function runWithPeopleFor(begins: readonly string[], words: Partial<PaperOptions> = {}): Promise<FailoverJournal> {
  for (let asked = 0; asked < 20; asked++) {
    const at = await runOnPaper({ ...options, ...words });
    const actions = at.blockedBy.flatMap((why) => /^decide "([^"]+)"/.exec(why)?.[1] ?? []);
    const mine = actions.filter((action) => begins.some((one) => action.startsWith(one)));
    if (mine.length === 0) return at;
    for (const action of mine) for (const by of ['wei', 'lin']) await decide(journal, plan, { action, answer: 'yes', by }, now);
  }
  throw new Error('It asks for ever');
}

async function sayYesToAll(by: string): Promise<void> {
  const { journal: at } = await journal.read();
  for (const why of at.blockedBy) {
    const action = /^decide "([^"]+)"/.exec(why)?.[1];
    if (action !== undefined) await decide(journal, plan, { action, answer: 'yes', by }, now);
  }
}

/** Until it is killed or finished, whatever it asks. */
async function orchestrateToTheEnd(words: Partial<PaperOptions>): Promise<string> {
  for (let asked = 0; asked < 10; asked++) {
    const how = await orchestrate(words);
    if (how === 'SIGKILL' || how === 'normal') return how;
    for (const by of ['wei', 'lin']) await sayYesToAll(by);
  }
  throw new Error('It asks for ever');
}

function powerOff(readBack: string): { readonly powerOff: string[]; readonly readBack: string[] } {
  return { powerOff: ['/bin/true'], readBack: [readBack, 'the switch'] };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
