import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { restoresInTurn } from '../../../agents/host/restore-turns.ts';
import type { RunOutcome } from '../../../agents/host/run-messages.ts';
import type { RunningRun } from '../../../agents/host/run-process.ts';
import type { ClaimedRun } from '../../../src/protocol/agent-messages.ts';
import { scratchDirectory } from '../../support/scratch.ts';

/** Runs that end when they are told to; `began`: their ids, in order. */
function scene() {
  const began: string[] = [];
  const ends = new Map<string, (outcome: RunOutcome) => void>();
  const start = restoresInTurn(({ run: { id } }) => {
    began.push(id);
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    ends.set(id, resolve);
    return {
      progress: undefined,
      done: promise,
      stop: () => resolve({ state: 'canceled' }),
      kill: () => resolve({ state: 'canceled' }),
    };
  });
  const begin = (id: string, target: string, kind = 'restore'): RunningRun =>
    start({ run: { id, kind, parameters: { target } } } as unknown as ClaimedRun);
  const end = async (id: string, run: RunningRun): Promise<void> => {
    ends.get(id)!({ state: 'succeeded' });
    await run.done;
  };
  return { began, begin, end };
}

it('restores to one place take turns, also by another name or below it, and to others go side by side', async () => {
  const directory = scratchDirectory();
  mkdirSync(join(directory, 'a'));
  symlinkSync(join(directory, 'a'), join(directory, 'link'));
  const { began, begin, end } = scene();
  const first = begin('first', join(directory, 'a'));
  const second = begin('second', join(directory, 'link/'));
  const third = begin('third', join(directory, 'a/deep/er'));
  begin('other', join(directory, 'ab'));
  begin('rehearsal', join(directory, 'a'), 'restore-test');
  expect(began).toEqual(['first', 'other', 'rehearsal']);
  expect(second.progress).toMatchObject({ phase: 'waiting' });
  await end('first', first);
  await expect.poll(() => began).toContain('second');
  expect(began).not.toContain('third');
  await end('second', second);
  await expect.poll(() => began).toContain('third');
  await end('third', third);
  begin('fourth', join(directory, 'a'));
  expect(began.at(-1)).toBe('fourth');
});

it('a restore that waits for its turn can be stopped, and never begins then', async () => {
  const directory = scratchDirectory();
  const { began, begin, end } = scene();
  const first = begin('first', directory);
  const [canceled, interrupted] = [begin('canceled', directory), begin('interrupted', directory)];
  canceled.stop('RUN_CANCELED');
  interrupted.stop('AGENT_INTERRUPTED');
  expect(await canceled.done).toEqual({ state: 'canceled' });
  expect(await interrupted.done).toMatchObject({ state: 'failed', fault: { code: 'AGENT_INTERRUPTED' } });
  await end('first', first);
  expect(began).toEqual(['first']);
});
