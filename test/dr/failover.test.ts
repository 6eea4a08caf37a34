import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Declaration, declareFailover, runFailover, undoFailover } from '../../src/dr/failover.ts';
import { JournalRegister, withAction } from '../../src/dr/failover-journal.ts';
import { claimed, firstRecord, reclaimed, type WriterRecord, withheld } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { writerSteps } from '../../src/dr/writer-steps.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { type FailoverChildOptions, SEALED, stepsFor } from '../support/failover-child.ts';

const TIMEOUT_MS = 120_000;
const TERMS = { ttlMs: 100, drift: 0.05, marginMs: 50 };
const [A, B] = ['a', 'b'].map((name) => ({ name, site: name })) as [WriterRecord['holder'], WriterRecord['holder']];
const signal = new AbortController().signal;
const now = (): Date => new Date();

let directory: string;
let registry: Registry;
let writer: WriterRegister;
let journal: JournalRegister;
let options: FailoverChildOptions;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'holdfast-failover-'));
  options = { registry: join(directory, 'registry.db'), effects: join(directory, 'effects') };
  registry = openEmbeddedRegistry(options.registry);
  writer = new WriterRegister(registry, 'orders');
  journal = new JournalRegister(registry, 'portal');
  await writer.create(firstRecord({ incarnation: 'orders', holder: A, candidates: [B], terms: TERMS, onLeaseLoss: 'stop' }));
  await writer.change((record) => claimed(record, 'a', 'life-1', 'armed'));
});

afterEach(async () => {
  await registry.close();
  rmSync(directory, { recursive: true, force: true });
});

function declaration(id = 'f1'): Declaration {
  const databases = [{ asset: 'orders', incarnation: 'orders', target: 'b', epoch: 1 }];
  const plan = { plan: 'portal', planDigest: '', from: 'a', to: 'b', disaster: null };
  return { id, kind: 'unplanned', ...plan, databases, reason: 'site a burns', approvers: ['wei', 'lin'] };
}

function dies(): never {
  throw new Error('killed');
}

/** Answers how it ended. */
async function orchestrate(words: Partial<FailoverChildOptions> = {}): Promise<string> {
  const program = new URL('../support/failover-child.ts', import.meta.url).pathname;
  const run = promisify(execFile)(process.execPath, [program, JSON.stringify({ ...options, ...words })]);
  return run.then(
    () => 'finished',
    (error: { signal?: string; stderr?: string }) => error.signal ?? String(error.stderr),
  );
}

async function expectFailedOver(): Promise<void> {
  const found = await journal.find();
  expect(found?.journal.entries.map(({ state }) => state)).toEqual(FAILOVER_STATES);
  expect(found?.journal.sealed).toEqual({ orders: SEALED });
  const { record } = await writer.read();
  expect(record).toMatchObject({ epoch: 2, holder: B, life: null, state: 'open' });
  expect(record.chain).toMatchObject([
    { epoch: 1, member: A },
    { epoch: 2, member: B, from: SEALED, proof: 'expiry' },
  ]);
}

describe('A failover', () => {
  it.each(FAILOVER_STATES.slice(0, -1))(
    'goes on where its orchestrator was killed, before and after the effect of the step that leaves "%s"',
    async (dieIn) => {
      await declareFailover(journal, declaration(), now);
      expect(await orchestrate({ dieIn, dieWhen: 'before' })).toBe('SIGKILL');
      expect((await journal.find())?.journal.state).toBe(dieIn);
      expect(await orchestrate({ dieIn, dieWhen: 'after' })).toBe('SIGKILL');
      expect((await journal.find())?.journal.state).toBe(dieIn);
      expect(await orchestrate()).toBe('finished');
      await expectFailedOver();
      const effects = readFileSync(options.effects, 'utf8').trim().split('\n');
      expect(effects).toEqual(FAILOVER_STATES.slice(0, -1).flatMap((state) => (state === dieIn ? [state, state] : [state])));
    },
    TIMEOUT_MS,
  );

  it(
    'goes through its states once, in order, however many orchestrators run',
    async () => {
      await declareFailover(journal, declaration(), now);
      expect(await Promise.all([orchestrate(), orchestrate(), orchestrate()])).toEqual(['finished', 'finished', 'finished']);
      await expectFailedOver();
    },
    TIMEOUT_MS,
  );

  it('is the only one of its database until it is finished', async () => {
    await declareFailover(journal, declaration(), now);
    await declareFailover(journal, declaration(), now);
    await expect(declareFailover(journal, declaration('f2'), now)).rejects.toMatchObject({ code: 'FAILOVER_RUNNING' });
    await runFailover(journal, stepsFor(options), now, signal);
    await declareFailover(
      journal,
      { ...declaration('f2'), databases: [{ asset: 'orders', incarnation: 'orders', target: 'a', epoch: 2 }] },
      now,
    );
  });

  it('is declared once: said again after another one of its plan it is over, also when its orchestrator was killed as it declared it', async () => {
    const killed = { swap: registry.swap.bind(registry), read: registry.read.bind(registry), location: '', close: async () => {} };
    const dying = new JournalRegister(
      { ...killed, swap: async (key, ...words) => (/plans/.test(key) ? killed.swap(key, ...words) : dies()) },
      'portal',
    );
    await expect(declareFailover(dying, declaration(), now)).rejects.toThrow('killed');
    await runFailover(journal, stepsFor(options), now, signal);
    await declareFailover(
      journal,
      { ...declaration('f2'), databases: [{ asset: 'orders', incarnation: 'orders', target: 'a', epoch: 2 }] },
      now,
    );
    await expect(declareFailover(journal, declaration(), now)).rejects.toMatchObject({ code: 'FAILOVER_OVER' });
    await undoFailover(journal, 'not yet', now);
    expect((await runFailover(journal, stepsFor(options), now, signal)).state).toBe('undone');
    await expect(declareFailover(journal, declaration(), now)).rejects.toMatchObject({ code: 'FAILOVER_OVER' });
    expect((await journal.find())?.journal).toMatchObject({ id: 'f2', state: 'undone' });
  });

  it('goes on however much its programs have said', async () => {
    await declareFailover(journal, declaration(), now);
    const at = new Date().toISOString();
    const name = 'n'.repeat(63);
    for (let n = 0; n < 400; n++) {
      const facts = { status: 0, output: `${'说'.repeat(990)} ${n}` };
      const id = `${name}.before.${name.slice(3)}${n}`;
      await journal.change((newest) => withAction(newest, { id, startedAt: at, endedAt: at, outcome: 'done', facts }));
    }
    const { actions } = (await journal.read()).journal;
    expect(actions).toHaveLength(400);
    expect((await runFailover(journal, stepsFor(options), now, signal)).state).toBe('normal');
  });

  it('that is meant by its id is that one: nobody goes on with, undoes or changes another that came after it', async () => {
    await declareFailover(journal, declaration(), now);
    const meant = new JournalRegister(registry, 'portal', 'f1');
    await undoFailover(meant, 'it was a cable', now);
    expect((await runFailover(meant, stepsFor(options), now, signal)).state).toBe('undone');
    await declareFailover(journal, declaration('f2'), now);
    for (const attempt of [undoFailover(meant, 'it was a cable', now), runFailover(meant, stepsFor(options), now, signal)])
      await expect(attempt).rejects.toMatchObject({ code: 'FAILOVER_OVER' });
    expect((await journal.find())?.journal).toMatchObject({ id: 'f2', state: 'declared' });
  });

  it.each(['declared', 'fenced', 'sealed', 'caught-up'])(
    'can be undone in "%s": the old primary has its right again, in its epoch',
    async (state) => {
      await declareFailover(journal, declaration(), now);
      const blocked = async () => ({ kind: 'blocked', by: ['a decision'] }) as const;
      await runFailover(journal, { ...stepsFor(options), [state]: blocked }, now, signal);
      expect((await journal.find())?.journal).toMatchObject({ state, blockedBy: ['a decision'] });
      await undoFailover(journal, 'site a is back', now);
      expect((await runFailover(journal, stepsFor(options), now, signal)).state).toBe('undone');
      expect((await writer.read()).record).toMatchObject({ epoch: 1, holder: A, life: 'life-1', state: 'open' });
    },
  );

  it('cannot be undone once the right was granted', async () => {
    await declareFailover(journal, declaration(), now);
    await runFailover(journal, stepsFor(options), now, signal);
    await expect(undoFailover(journal, 'too late', now)).rejects.toMatchObject({ code: 'FAILOVER_PAST_UNDO' });
  });

  it('that is undone while its grant is under way goes on if the grant came first', async () => {
    await declareFailover(journal, declaration(), now);
    const steps = stepsFor(options);
    const undoneMeanwhile: { -readonly [K in keyof typeof steps]: (typeof steps)[K] } = {
      ...steps,
      'caught-up': async (...words) => {
        const outcome = await steps['caught-up'](...words);
        // Its grant is finished by whoever comes after.
        undoneMeanwhile['caught-up'] = steps['caught-up'];
        await undoFailover(journal, 'just now', now);
        return outcome;
      },
    };
    expect((await runFailover(journal, undoneMeanwhile, now, signal)).state).toBe('normal');
    expect((await writer.read()).record).toMatchObject({ epoch: 2, holder: B });
  });

  it('grants nothing on a proof of before it was undone, nor leaves renewals withheld by one who slept', async () => {
    await declareFailover(journal, declaration(), now);
    const steps = stepsFor(options);
    const asleep: typeof steps = {
      ...steps,
      'caught-up': async (...words) => {
        // Meanwhile it is undone, and another orchestrator that had slept in the fencing step wakes up and withholds again.
        await undoFailover(journal, 'site a is back', now);
        await runFailover(journal, steps, now, signal);
        await writer.change((record) => withheld(record, 'f1'));
        const outcome = await steps['caught-up'](...words);
        expect(outcome.kind).toBe('blocked');
        return outcome;
      },
    };
    await runFailover(journal, asleep, now, signal);
    expect((await runFailover(journal, steps, now, signal)).state).toBe('undone');
    expect((await writer.read()).record).toMatchObject({ epoch: 1, holder: A, state: 'open' });
  });

  it('withholds nothing of an epoch that the old primary began as it looked: it is blocked, and that one goes on', async () => {
    await declareFailover(journal, declaration(), now);
    let isRestarted = false;
    const racing: Registry = {
      location: '',
      read: registry.read.bind(registry),
      close: async () => {},
      swap: async (...words) => {
        if (!isRestarted) await writer.change((record) => reclaimed(record, 'a', 'life-2', 'armed'));
        isRestarted = true;
        return registry.swap(...words);
      },
    };
    const { withhold } = writerSteps({
      register: () => new WriterRegister(racing, 'orders'),
      nowMs: () => performance.now(),
      sleep: async () => {},
      demote: async () => {},
      powerOff: () => undefined,
      newest: async () => (await journal.read()).journal,
      accepts: ['expiry'],
    });
    expect(await withhold((await journal.read()).journal, signal)).toEqual({
      kind: 'blocked',
      by: ['the epoch is 2, not 1: undo it, and declare the failover anew'],
    });
    expect((await writer.read()).record).toMatchObject({ epoch: 2, life: 'life-2', state: 'open', failover: null });
  });

  it('is blocked without a proof that the old primary is fenced', async () => {
    await registry.close();
    rmSync(options.registry);
    registry = openEmbeddedRegistry(options.registry);
    [writer, journal] = [new WriterRegister(registry, 'orders'), new JournalRegister(registry, 'portal')];
    await writer.create(firstRecord({ incarnation: 'orders', holder: A, candidates: [B], terms: TERMS, onLeaseLoss: 'continue' }));
    await writer.change((record) => claimed(record, 'a', 'life-1', 'armed'));
    await declareFailover(journal, declaration(), now);
    const stopped = await runFailover(journal, stepsFor(options), now, signal);
    expect(stopped.state).toBe('declared');
    expect(stopped.blockedBy.join()).toContain('the primary continues without it');
  });
});
