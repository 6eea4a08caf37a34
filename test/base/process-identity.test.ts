import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bootId, identityOf, isAlive, isRunning, numberingId, ownIdentity } from '../../src/base/process-identity.ts';
import { isDeadFrom } from '../../src/repository/process-state.ts';

function living(script: string): ChildProcess {
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** The child of a process that never asks how it ended. */
async function zombie(): Promise<{ readonly id: number; readonly startedAt: string }> {
  const parent = living('sleep 0 & echo $!; exec sleep 1000');
  const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
  const id = Number(line.toString());
  for (;;) {
    const fields = readFileSync(`/proc/${id}/stat`, 'latin1').split(') ')[1]!.split(' ');
    if (fields[0] === 'Z') return { id, startedAt: fields[19]! };
    await new Promise(setImmediate);
  }
}

describe('a process', () => {
  it('is alive until it ends; one that got its number later is another', async () => {
    expect(isAlive(ownIdentity())).toBe(true);
    expect(isAlive({ ...ownIdentity(), startedAt: '1' })).toBe(false);
    expect(isAlive({ ...ownIdentity(), bootId: 'of the boot before' })).toBe(false);
    const child = living('exec sleep 1000');
    await once(child, 'spawn');
    const identity = identityOf(child.pid!)!;
    expect([isAlive(identity), isRunning(identity.id)]).toEqual([true, true]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect([isAlive(identity), isRunning(identity.id), identityOf(identity.id)]).toEqual([false, false, undefined]);
  });

  it('is dead when nobody has asked how it ended, as the first process of a container often does not', async () => {
    const { id, startedAt } = await zombie();
    expect([isAlive({ id, startedAt, bootId: bootId() }), isRunning(id), identityOf(id)]).toEqual([false, false, undefined]);
    const self = { host: 'h', processId: process.pid, bootId: numberingId() };
    expect(isDeadFrom(self)({ ...self, processId: id })).toBe(true);
    expect(isDeadFrom(self)(self)).toBe(false);
  });
});

describe('a session of a container that was started again', () => {
  it('is dead, although the process there has the same number', () => {
    const before = { host: 'h', processId: process.pid, bootId: `${bootId()} pid:[1]` };
    expect(isDeadFrom({ ...before, bootId: numberingId() })(before)).toBe(true);
  });
});
