import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { processesIn } from '../../../agents/gate/server-processes.ts';
import { StartGate } from '../../../agents/gate/start-gate.ts';
import { judgeFencing } from '../../../src/dr/fencing.ts';
import { givenBack, granted, withheld } from '../../../src/dr/writer-record.ts';
import { postgresPrograms, serverUser } from '../../support/postgres.ts';
import { GateScene, until } from './gate-scene.ts';

const TIMEOUT_MS = 120_000;
const FAILOVER = 'f1';
const SEALED = { timeline: 1, lsn: '0/1' };

const programs = postgresPrograms();

describe.runIf(programs !== undefined)('The start gate of a real server', () => {
  let scene: GateScene;
  beforeEach(async () => {
    scene = new GateScene(programs!);
    await scene.prepare();
  }, TIMEOUT_MS);
  afterEach(() => scene.end(), TIMEOUT_MS);

  /** Withholds, waits as the rules say, and grants to "b". At no moment may both take writes. */
  async function failOver(): Promise<void> {
    const withheldNow = await scene.register.change((record) => withheld(record, FAILOVER));
    if ('refused' in withheldNow) throw new Error(withheldNow.refused);
    const seenAtMs = performance.now();
    const proof = await until('the old primary is fenced', async () => {
      const { record } = await scene.register.read();
      const verdict = judgeFencing(record, { seenAtMs, nowMs: performance.now() });
      return verdict.kind === 'proven' ? verdict.proof : undefined;
    });
    expect(scene.isStopped('a')).toBe(true);
    const answer = await scene.register.change((record) => granted(record, { failover: FAILOVER, to: 'b', sealed: SEALED, proof }));
    expect(answer).toMatchObject({ record: { epoch: 2, holder: { name: 'b' } } });
  }

  it(
    'starts it with a token of its epoch, and nobody can start it without one',
    async () => {
      const gate = scene.start('a');
      await gate.primary();
      await until('it takes writes', () => scene.writes('a', 'one'));
      expect(await scene.sql('a', 'SHOW holdfast.epoch')).toEqual([['1']]);
      gate.signal('SIGTERM');
      expect(await gate.ended).toBe(0);
      expect(scene.isStopped('a')).toBe(true);
      const { args, dataDirectory, tokenFile } = scene.optionsOf('a');
      expect(existsSync(tokenFile)).toBe(false);
      const byHand = spawnSync(join(programs!, 'postgres'), ['-D', dataDirectory, ...args], {
        ...serverUser(),
        encoding: 'utf8',
        cwd: '/',
      });
      expect(byHand.status).not.toBe(0);
      expect(byHand.stderr).toContain('a.token');
      expect(await scene.writes('b', 'two')).toBe(false);
    },
    TIMEOUT_MS,
  );

  it(
    'that is killed leaves a server that stops by itself; the next life of the gate goes on with the next epoch and every commit',
    async () => {
      const gate = scene.start('a');
      await gate.primary();
      await until('it takes writes', () => scene.writes('a', 'kept'));
      await gate.kill();
      await until('the watchdog has stopped it', () => scene.isStopped('a'));
      const next = scene.start('a');
      expect((await next.primary()).epoch).toBe(2);
      await until('it takes writes', () => scene.writes('a', 'more'));
      expect(await scene.sql('a', 'SELECT word FROM kept ORDER BY id')).toEqual([['kept'], ['more']]);
      expect(await scene.sql('a', 'SHOW holdfast.epoch')).toEqual([['2']]);
    },
    TIMEOUT_MS,
  );

  // Root without CAP_SYS_PTRACE may start a server of another account and stop it, and not see where its processes work.
  it.runIf(process.getuid!() === 0)(
    'does not begin where it could not see whether a server still runs, and never takes that for "none"',
    async () => {
      const gate = scene.start('a');
      await gate.primary();
      const { dataDirectory } = scene.optionsOf('a');
      const blind = ['--inh-caps', '-sys_ptrace', '--bounding-set', '-sys_ptrace', process.execPath];
      const child = new URL('../../support/gate-child.ts', import.meta.url).pathname;
      const opened = spawnSync('setpriv', [...blind, child, JSON.stringify(scene.optionsOf('b'))], {
        encoding: 'utf8',
        timeout: TIMEOUT_MS / 4,
      });
      expect({ status: opened.status, errors: opened.stderr }).toMatchObject({
        status: 1,
        errors: expect.stringMatching(/^GATE_BLIND /),
      });
      const module = new URL('../../../agents/gate/server-processes.ts', import.meta.url).href;
      const look = `import { processesIn } from '${module}'; console.log(processesIn('${dataDirectory}'))`;
      const looked = spawnSync('setpriv', [...blind, '--input-type=module', '-e', look], { encoding: 'utf8' });
      expect({ status: looked.status, output: looked.stdout }).toEqual({ status: 1, output: '' });
      expect(looked.stderr).toContain('GATE_BLIND');
    },
    TIMEOUT_MS,
  );

  it(
    'tells that its server does not stay, and where to look',
    async () => {
      const { dataDirectory } = scene.optionsOf('a');
      appendFileSync(join(dataDirectory, 'postgresql.conf'), 'no_such_setting = 1\n');
      const gate = scene.start('a');
      const told = await until('it tells', () => gate.facts?.problem);
      expect(told).toBe(`The server in ${dataDirectory} has stopped: it ended; see its server.log`);
      writeFileSync(join(dataDirectory, 'postgresql.conf'), '');
      gate.signal('SIGTERM');
      await gate.ended;
      const next = scene.start('a');
      await until('it takes writes', () => scene.writes('a', 'one'));
      await until('nothing is wrong any more', () => next.facts?.problem === undefined);
    },
    TIMEOUT_MS,
  );

  it(
    'lets the account of the server read its token and its configuration, whatever the umask is',
    async () => {
      const { dataDirectory } = scene.optionsOf('a');
      const file = join(dataDirectory, 'postgresql.conf');
      const { uid, gid, mode } = statSync(file);
      const umask = process.umask(0o077);
      const gate = scene.start('a');
      process.umask(umask);
      await gate.primary();
      await until('it takes writes', () => scene.writes('a', 'one'));
      expect(statSync(file)).toMatchObject({ uid, gid, mode });
    },
    TIMEOUT_MS,
  );

  it(
    'that stands still leaves no writable server beyond its lease; when it goes on after a failover it stays closed',
    async () => {
      const [a, b] = [scene.start('a'), scene.start('b')];
      await a.primary();
      await until('it takes writes', () => scene.writes('a', 'before'));
      a.signal('SIGSTOP');
      await failOver();
      await b.primary();
      await until('the new primary takes writes', () => scene.writes('b', 'after'));
      a.signal('SIGCONT');
      await until('the old gate has learnt of it', () => a.facts?.role === 'closed' && a.facts.epoch === 0);
      expect(await scene.writes('a', 'forked')).toBe(false);
      expect(scene.isStopped('a')).toBe(true);
      expect(await scene.writes('b', 'still')).toBe(true);
    },
    TIMEOUT_MS,
  );

  it(
    'whose watchdog is killed, or stands still, stops the server and starts it again under a new one',
    async () => {
      const gate = scene.start('a');
      for (const name of ['SIGKILL', 'SIGSTOP'] as const) {
        await until('it takes writes', () => scene.writes('a', name));
        const { watchdogPid, serverPid } = await gate.primary();
        process.kill(watchdogPid!, name);
        await until(
          'another server runs',
          () => gate.facts?.role === 'primary' && gate.facts.serverPid !== serverPid && gate.facts.serverPid !== undefined,
        );
        expect(processesIn(scene.optionsOf('a').dataDirectory)).not.toContain(serverPid);
      }
      await until('it takes writes', () => scene.writes('a', 'again'));
    },
    TIMEOUT_MS,
  );

  it(
    'whose server stands still is fenced all the same',
    async () => {
      const [a, b] = [scene.start('a'), scene.start('b')];
      await until('it takes writes', () => scene.writes('a', 'before'));
      const { serverPid } = await a.primary();
      process.kill(serverPid!, 'SIGSTOP');
      await failOver();
      await b.primary();
      await until('the new primary takes writes', () => scene.writes('b', 'after'));
    },
    TIMEOUT_MS,
  );

  it(
    'is alone: a second gate of the same directory is refused and touches nothing',
    async () => {
      const first = scene.start('a');
      await until('it takes writes', () => scene.writes('a', 'one'));
      const { serverPid } = await first.primary();
      const second = scene.start('a');
      expect(await second.ended).toBe(1);
      expect(second.errors).toContain('GATE_BUSY');
      expect(first.facts?.serverPid).toBe(serverPid);
      expect(await scene.writes('a', 'two')).toBe(true);
    },
    TIMEOUT_MS,
  );

  it(
    'goes on when a failover was undone',
    async () => {
      const gate = scene.start('a');
      await gate.primary();
      await scene.register.change((record) => withheld(record, FAILOVER));
      await until('its lease is over and its server is stopped', () => scene.isStopped('a'));
      await scene.register.change((record) => givenBack(record, FAILOVER));
      await until('it takes writes again', () => scene.writes('a', 'again'));
      expect((await scene.register.read()).record.epoch).toBe(1);
    },
    TIMEOUT_MS,
  );

  it(
    'gives the right up for a planned switch: its server is shut down in order, and the other goes on at once',
    async () => {
      const { args, dataDirectory, tokenFile } = scene.optionsOf('a');
      const { register } = scene;
      const over = new AbortController();
      const owner = serverUser();
      const ask = async (): Promise<boolean> => false;
      const gate = await StartGate.open({ member: 'a', register, programs: programs!, dataDirectory, tokenFile, args, owner, ask });
      const running = gate.run(over.signal);
      await until('it takes writes', () => scene.writes('a', 'kept'));
      const demotion = await gate.demote({ epoch: 1, failover: FAILOVER }, over.signal);
      expect(scene.isStopped('a')).toBe(true);
      const { record } = await register.read();
      expect(record).toMatchObject({ state: 'demoted', failover: FAILOVER, demotion });
      // No time has to pass: it has said that it never writes again.
      expect(judgeFencing(record, { seenAtMs: 0, nowMs: 0 })).toEqual({ kind: 'proven', proof: 'demotion' });
      const { timeline, lsn } = demotion;
      await register.change((now) => granted(now, { failover: FAILOVER, to: 'b', sealed: { timeline, lsn }, proof: 'demotion' }));
      expect((await scene.start('b').primary()).epoch).toBe(2);
      await until('the new primary takes writes', () => scene.writes('b', 'after'));
      expect(scene.isStopped('a')).toBe(true);
      over.abort();
      await running;
    },
    TIMEOUT_MS,
  );

  it(
    'admits a candidate with its next renewal, and asks it for its promises from then on',
    async () => {
      const { args, dataDirectory, tokenFile } = scene.optionsOf('a');
      const { register } = scene;
      const over = new AbortController();
      const owner = serverUser();
      const asked = new Set<string>();
      const ask = async (name: string): Promise<boolean> => {
        asked.add(name);
        return false;
      };
      const gate = await StartGate.open({ member: 'a', register, programs: programs!, dataDirectory, tokenFile, args, owner, ask });
      const running = gate.run(over.signal);
      await until('it takes writes', () => scene.writes('a', 'one'));
      await gate.admit({ name: 'c', site: 'c' }, over.signal);
      expect((await register.read()).record.candidates.map(({ name }) => name)).toEqual(['b', 'c']);
      await until('it asks the new one', () => asked.has('c'));
      expect(await scene.writes('a', 'two')).toBe(true);
      await gate.demote({ epoch: 1, failover: FAILOVER }, over.signal);
      await expect(gate.admit({ name: 'd', site: 'd' }, over.signal)).rejects.toMatchObject({ code: 'GATE_NOT_HOLDER' });
      over.abort();
      await running;
    },
    TIMEOUT_MS,
  );
});
