import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AgentHome } from '../../../agents/host/agent-home.ts';
import { checkPlace, makeRestoreDirectory } from '../../../agents/host/restore-place.ts';
import { identityOf, ownIdentity } from '../../../src/base/process-identity.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const STATE = { agentId: 'agt_1', tenantId: 'ten_1', label: 'web 1', service: 'https://backup.example.org' };

function prepared(): AgentHome {
  const home = new AgentHome(join(scratchDirectory(), 'home'));
  home.prepare();
  return home;
}

describe("an agent's home", () => {
  it('keeps who it is and its key, for its user only', () => {
    const home = prepared();
    expect(home.readState()).toBe(undefined);
    expect(() => home.readKey()).toThrow(expect.objectContaining({ code: 'AGENT_HOME_DAMAGED' }));
    const publicKey = home.makeKey();
    home.writeState(STATE);
    expect(home.readState()).toEqual(STATE);
    expect(publicKey).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(home.readKey().asymmetricKeyType).toBe('ed25519');
    for (const name of ['identity.key', 'agent.json']) expect(statSync(join(home.directory, name)).mode & 0o777).toBe(0o600);
    expect(readdirSync(home.directory).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('that is damaged is named, not guessed', () => {
    const home = prepared();
    home.makeKey();
    for (const text of ['', '{', '[]', '{"format":2}', '{"format":1,"agentId":1}']) {
      writeFileSync(join(home.directory, 'agent.json'), text);
      expect(() => home.readState()).toThrow(expect.objectContaining({ code: 'AGENT_HOME_DAMAGED' }));
    }
    writeFileSync(join(home.directory, 'identity.key'), 'no key');
    expect(() => home.readKey()).toThrow(expect.objectContaining({ code: 'AGENT_HOME_DAMAGED' }));
  });

  it('remembers the runs that it holds, and drops what cannot be read', () => {
    const home = prepared();
    home.keepRun({ runId: 'run_a', fence: 3 });
    home.keepRun({ runId: 'run_b', fence: 1, end: { state: 'succeeded' } });
    writeFileSync(join(home.directory, 'runs', 'run_c.json'), '{"runId":');
    expect([...home.keptRuns()].sort((a, b) => (a.runId < b.runId ? -1 : 1))).toEqual([
      { runId: 'run_a', fence: 3 },
      { runId: 'run_b', fence: 1, end: { state: 'succeeded' } },
    ]);
    expect(existsSync(join(home.directory, 'runs', 'run_c.json'))).toBe(false);
    home.dropRun('run_a');
    home.dropRun('run_a');
    expect(home.keptRuns().length).toBe(1);
  });

  it('is locked by a living process, and by no dead one, nor by another that got its number', async () => {
    const home = prepared();
    const other = spawn('sleep', ['1000']);
    await once(other, 'spawn');
    const name = identityOf(other.pid!)!;
    home.lock(name);
    expect(() => home.lock()).toThrow(expect.objectContaining({ code: 'AGENT_HOME_BUSY' }));
    other.kill('SIGKILL');
    await once(other, 'exit');
    const unlock = home.lock({ ...ownIdentity(), startedAt: 'long ago' });
    // This process has that number and another start.
    const again = home.lock();
    unlock();
    expect(() => home.lock({ ...name, id: 1 })).toThrow(expect.objectContaining({ code: 'AGENT_HOME_BUSY' }));
    again();
    expect(existsSync(join(home.directory, 'lock'))).toBe(false);
    home.lock({ ...ownIdentity(), bootId: 'of the boot before' });
    home.lock()();
  });
});

describe('a place to restore to', () => {
  it('is below an allowed directory by where it really lies', () => {
    const directory = scratchDirectory();
    const allowed = join(directory, 'allowed');
    mkdirSync(allowed);
    mkdirSync(join(directory, 'allowed-not'));
    symlinkSync(directory, join(allowed, 'up'));
    symlinkSync(allowed, join(directory, 'link'));
    symlinkSync(join(directory, 'nowhere'), join(allowed, 'dangling'));
    expect(makeRestoreDirectory(join(allowed, 'a/b'), [allowed])).toBe(join(allowed, 'a/b'));
    expect(makeRestoreDirectory(join(directory, 'link/c'), [allowed])).toBe(join(allowed, 'c'));
    expect(makeRestoreDirectory(join(allowed, 'd'), [join(directory, 'link')])).toBe(join(allowed, 'd'));
    const denied = [
      `${allowed}/../x`,
      `${allowed}/up/x`,
      `${allowed}/dangling`,
      `${allowed}/dangling/x`,
      `${allowed}-not/x`,
      directory,
      '/',
      'x',
      `${allowed}//a`,
      `${allowed}/./a`,
      '',
    ];
    for (const target of denied)
      expect(() => makeRestoreDirectory(target, [allowed]), target).toThrow(
        expect.objectContaining({ code: 'AGENT_RESTORE_DENIED' }),
      );
    expect(() => checkPlace(allowed, [])).toThrow(expect.objectContaining({ code: 'AGENT_RESTORE_DENIED' }));
    expect(readdirSync(directory).sort()).toEqual(['allowed', 'allowed-not', 'link']);
    expect(checkPlace('/etc', ['/'])).toBe('/etc');
  });
});
