// The host agent as a process, against a real control plane with a real repository.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AgentHome } from '../../../agents/host/agent-home.ts';
import { enrolAgent } from '../../../agents/host/host-agent.ts';
import { openAgent } from '../../../agents/host/open-agent.ts';
import type { Asset } from '../../../src/model/asset.ts';
import type { RunTerms } from '../../../src/protocol/agent-messages.ts';
import { AgentProcess, Network } from '../../support/agent-process.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../../support/control-plane.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const MIB = 1024 * 1024;

type Scene = {
  readonly plane: ControlPlane;
  readonly directory: string;
  readonly home: string;
  readonly agentId: string;
  readonly source: string;
  readonly asset: Asset;
};

async function scene(
  options: Partial<ControlPlaneOptions> = {},
  sourceBytes = MIB,
  through?: (url: string) => Promise<string>,
): Promise<Scene> {
  const directory = scratchDirectory();
  const plane = await startControlPlane({ directory: join(directory, 'service'), hasData: true, ...options });
  onTestFinished(() => plane.stop());
  const home = join(directory, 'agent');
  const url = through === undefined ? plane.url : await through(plane.url);
  const { code, err } = await new AgentProcess([
    '--enroll',
    await plane.token(),
    '--service',
    url,
    '--home',
    home,
    '--label',
    'web 1',
  ]).ended;
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const { agentId } = new AgentHome(home).readState()!;
  const source = join(directory, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'random'), randomBytes(sourceBytes));
  writeFileSync(join(source, 'text'), 'some text');
  return { plane, directory, home, agentId, source, asset: await plane.asset(agentId, { kind: 'files', paths: [source] }) };
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Terms that make a backup of 32 MiB last, until the answered function is called. */
function slow(): { readonly terms: () => Promise<RunTerms>; readonly hurry: () => void } {
  let terms: RunTerms = { uploadBytesPerSecond: 2 * MIB };
  return {
    terms: async () => terms,
    hurry: () => {
      terms = {};
    },
  };
}

function storesBytes({ plane }: Scene, runId: string): () => Promise<boolean> {
  return async () => ((await plane.run(runId)).progress?.bytesStored ?? 0) > 0;
}

describe('an enrolled agent', () => {
  it('backs up, rehearses and restores what it is asked to, and only to places that it allows', async () => {
    const { plane, directory, home, agentId, source, asset } = await scene();
    expect(statSync(home).mode & 0o777).toBe(0o700);
    expect(statSync(join(home, 'identity.key')).mode & 0o777).toBe(0o600);
    const allowed = join(directory, 'restored');
    const agent = new AgentProcess(['--home', home, '--allow-restore', allowed]);
    mkdirSync(allowed);
    const backup = await plane.queue({ agentId, assetId: asset.id });
    const done = await plane.runIs(backup.id, 'succeeded', 'failed', 'warned');
    expect(done).toMatchObject({ state: 'succeeded', result: { files: 2, problems: 0 }, attempt: 1 });
    const snapshot = done.result!.snapshot as string;
    expect(await plane.catalog.recoveryPoints.get(plane.tenant.id, snapshot)).toMatchObject({
      assetId: asset.id,
      runId: backup.id,
    });

    const rehearsal = await plane.queue({
      agentId,
      assetId: asset.id,
      kind: 'restore-test',
      parameters: { snapshot, target: 'scratch' },
    });
    const rehearsed = await plane.runIs(rehearsal.id, 'succeeded', 'failed', 'warned');
    expect(rehearsed).toMatchObject({ state: 'succeeded', result: { snapshot, differing: 0, damaged: 0 } });
    expect(rehearsed.result!.rtoMs).toBeGreaterThan(0);
    expect(readdirSync(join(home, 'restores'))).toEqual([]);

    const target = join(allowed, 'deep/er');
    const parameters = { snapshot, target, verify: true };
    const restore = await plane.queue({ agentId, assetId: asset.id, kind: 'restore', parameters });
    expect(await plane.runIs(restore.id, 'succeeded', 'failed', 'warned')).toMatchObject({
      state: 'succeeded',
      result: { differing: 0 },
    });
    for (const name of ['random', 'text']) expect(readFileSync(join(target, name))).toEqual(readFileSync(join(source, name)));

    symlinkSync('/tmp', join(allowed, 'way-out'));
    const elsewhere = [join(directory, 'elsewhere'), join(allowed, 'way-out/x'), `${allowed}/../elsewhere`, '/'];
    for (const place of elsewhere) {
      const denied = await plane.queue({ agentId, assetId: asset.id, kind: 'restore', parameters: { snapshot, target: place } });
      expect(await plane.runIs(denied.id, 'succeeded', 'failed', 'warned')).toMatchObject({
        fault: { code: 'AGENT_RESTORE_DENIED' },
      });
    }
    expect(existsSync(join(directory, 'elsewhere'))).toBe(false);
    const again = await plane.queue({ agentId, assetId: asset.id, kind: 'restore', parameters });
    expect(await plane.runIs(again.id, 'failed', 'succeeded')).toMatchObject({ fault: { code: 'TARGET_OCCUPIED' } });

    agent.kill('SIGTERM');
    expect(await agent.ended).toMatchObject({ code: 0 });
    expect(readdirSync(join(home, 'runs'))).toEqual([]);
  });

  it('works while its home takes no notes, and tells how it went', async () => {
    const { plane, home, agentId, asset } = await scene();
    const agent = new AgentProcess(['--home', home]);
    await plane.runIs((await plane.queue({ agentId, assetId: asset.id })).id, 'succeeded');
    await expect.poll(() => readdirSync(join(home, 'runs'))).toEqual([]);
    // As on a disk that is full: for root every directory can be written.
    rmSync(join(home, 'runs'), { recursive: true });
    writeFileSync(join(home, 'runs'), '');
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    expect(await plane.runIs(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded', attempt: 1 });
    expect(agent.log).toContain('the home cannot note the run');
  });

  it('leaves its own home out of what it backs up', async () => {
    const { plane, directory, home, agentId } = await scene();
    const asset = await plane.asset(agentId, { kind: 'files', paths: [directory], excludes: ['service/'] });
    new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    const done = await plane.runIs(id, 'succeeded', 'failed', 'warned');
    expect(done).toMatchObject({ state: 'succeeded', result: { files: 2 } });
  });

  it('runs the hooks of the policy around a backup, those after also when it fails', async () => {
    let terms: RunTerms = {};
    const { plane, directory, home, agentId, source, asset } = await scene({ routes: { termsOf: async () => terms } });
    const note = join(directory, 'note');
    writeFileSync(join(home, 'hooks/note'), `#!/bin/sh\necho "$1 $HOLDFAST_KIND $HOLDFAST_STATE" >> ${note}\n`, { mode: 0o700 });
    const hook = (word: string) => ({ command: [join(home, 'hooks/note'), word], timeoutMs: 60_000, onFailure: 'fail' as const });
    terms = { hooks: { before: [hook('freeze')], after: [hook('thaw')] } };
    new AgentProcess(['--home', home]);
    const good = await plane.queue({ agentId, assetId: asset.id });
    expect(await plane.runIs(good.id, 'succeeded', 'failed', 'warned')).toMatchObject({ state: 'succeeded' });
    const missing = await plane.asset(agentId, { kind: 'files', paths: [join(source, 'missing')] });
    const bad = await plane.queue({ agentId, assetId: missing.id });
    expect(await plane.runIs(bad.id, 'succeeded', 'failed')).toMatchObject({ fault: { code: 'SOURCE_NOT_FOUND' } });
    expect(readFileSync(note, 'utf8').trim().split('\n')).toEqual(
      ['freeze backup', 'thaw backup succeeded', 'freeze backup', 'thaw backup failed'].map((line) =>
        expect.stringContaining(line),
      ),
    );
    terms = { hooks: { before: [{ ...hook('x'), command: ['/bin/true'] }], after: [] } };
    const denied = await plane.queue({ agentId, assetId: asset.id });
    expect(await plane.runIs(denied.id, 'succeeded', 'failed')).toMatchObject({ fault: { code: 'AGENT_HOOK_DENIED' } });
  });

  it('has its home for itself', async () => {
    const { home, plane, agentId, asset } = await scene();
    new AgentProcess(['--home', home]);
    await plane.runIs((await plane.queue({ agentId, assetId: asset.id })).id, 'succeeded');
    expect(await new AgentProcess(['--home', home]).ended).toMatchObject({
      code: 1,
      err: expect.stringContaining('AGENT_HOME_BUSY'),
    });
    const again = ['--enroll', await plane.token(), '--service', plane.url, '--home', home];
    expect(await new AgentProcess(again).ended).toMatchObject({ code: 1, err: expect.stringContaining('AGENT_HOME_BUSY') });
  });

  it('ends with the fault when it is revoked, and what it ran ends with it', async () => {
    const { terms } = slow();
    const all = await scene({ routes: { termsOf: terms } }, 32 * MIB);
    const { plane, home, agentId, asset } = all;
    const agent = new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    await until(storesBytes(all, id));
    await plane.catalog.agents.revoke(agentId, new Date().toISOString());
    plane.waker.wake(agentId);
    expect(await agent.ended).toMatchObject({ code: 1, err: expect.stringContaining('AGENT_REVOKED') });
    expect(await plane.catalog.recoveryPoints.latest(asset.id)).toBe(undefined);
  });

  it('says who it is not: no home, a wrong token, another home in the way', async () => {
    const { plane, directory, home } = await scene();
    const none = join(directory, 'none');
    expect(await new AgentProcess(['--home', none]).ended).toMatchObject({
      code: 2,
      err: expect.stringContaining('AGENT_NOT_ENROLLED'),
    });
    const enroll = (token: string, to: string) => new AgentProcess(['--enroll', token, '--service', plane.url, '--home', to]).ended;
    expect(await enroll('hf_wrong', none)).toMatchObject({ code: 1, err: expect.stringContaining('AGENT_ENROLMENT_REFUSED') });
    expect(await enroll(await plane.token(), home)).toMatchObject({
      code: 2,
      err: expect.stringContaining('AGENT_ENROLLED_ALREADY'),
    });
  });
});

describe('a run', () => {
  it('whose agent is killed is tried again by the next start, and the lease tells when there is none', async () => {
    const { terms, hurry } = slow();
    const all = await scene({ routes: { termsOf: terms, retryFirstMs: 1 } }, 32 * MIB);
    const { plane, home, agentId, asset } = all;
    const first = new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    await until(storesBytes(all, id));
    const { children } = first;
    expect(children.length).toBe(1);
    first.kill('SIGKILL');
    await first.ended;
    expect((await plane.run(id)).state).toBe('running');
    // What it ran does not go on without it.
    await until(() => children.every((child) => !existsSync(`/proc/${child}`)));
    hurry();
    new AgentProcess(['--home', home]);
    const done = await plane.runIs(id, 'succeeded', 'failed');
    expect(done).toMatchObject({ state: 'succeeded', attempt: 2, fence: 2 });
    const points = await plane.catalog.recoveryPoints.list(plane.tenant.id, asset.id, { limit: 10 });
    expect(points.items.length).toBe(1);
  });

  it('of an agent that is killed for good goes to the same agent on its next claim after the lease', async () => {
    const { terms, hurry } = slow();
    const all = await scene({ routes: { termsOf: terms, limits: { leaseMs: 4_000 } } }, 32 * MIB);
    const { plane, home, agentId, asset } = all;
    const first = new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    await until(storesBytes(all, id));
    first.kill('SIGKILL');
    await first.ended;
    // It does not know any more what it held.
    for (const name of readdirSync(join(home, 'runs'))) new AgentHome(home).dropRun(name.replace('.json', ''));
    hurry();
    new AgentProcess(['--home', home]);
    expect(await plane.runIs(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded', attempt: 2, fence: 2 });
  });

  it('goes on when the network comes back before the lease is over', async () => {
    const { terms, hurry } = slow();
    let network!: Network;
    const through = async (url: string): Promise<string> => {
      network = await Network.to(url);
      return network.url;
    };
    const all = await scene({ routes: { termsOf: terms } }, 32 * MIB, through);
    const { plane, home, agentId, asset } = all;
    const agent = new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    await until(storesBytes(all, id));
    network.cut();
    await until(() => agent.log.includes('the service cannot be asked for work'));
    hurry();
    network.mend();
    expect(await plane.runIs(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded', attempt: 1, fence: 1 });
  });

  it('that was given away while the network was gone is stopped at once, and counts once', async () => {
    const { terms, hurry } = slow();
    let network!: Network;
    const through = async (url: string): Promise<string> => {
      network = await Network.to(url);
      return network.url;
    };
    const all = await scene({ routes: { termsOf: terms, limits: { leaseMs: 3_500 } } }, 32 * MIB, through);
    const { plane, home, agentId, asset } = all;
    const agent = new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    await until(storesBytes(all, id));
    network.cut();
    await plane.runIs(id, 'queued');
    hurry();
    network.mend();
    expect(await plane.runIs(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded', fence: 2 });
    // By the poll, or by what the run itself was told when it went on.
    expect(agent.log).toMatch(/run was given to another|RUN_FENCED/);
    const points = await plane.catalog.recoveryPoints.list(plane.tenant.id, asset.id, { limit: 10 });
    expect(points.items.length).toBe(1);
  });

  it('that is canceled stops within a few messages', async () => {
    const { terms } = slow();
    const seen: string[] = [];
    const all = await scene({ routes: { termsOf: terms }, onRequest: (path) => void seen.push(path) }, 64 * MIB);
    const { plane, home, agentId, asset } = all;
    new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    await until(storesBytes(all, id));
    const before = seen.length;
    await plane.catalog.runs.cancel(plane.tenant.id, id, new Date().toISOString());
    plane.waker.wake(agentId);
    expect(await plane.runIs(id, 'canceled', 'succeeded', 'failed')).toMatchObject({ state: 'canceled' });
    const after = seen.slice(before);
    // Packs that were on their way, the word that it is abandoned, the end, and polls around it.
    expect(after.filter((path) => path.endsWith('/end')).length).toBe(1);
    expect(after.filter((path) => path.endsWith('/commit'))).toEqual([]);
    expect(after.length).toBeLessThan(30);
    expect(await plane.catalog.recoveryPoints.latest(asset.id)).toBe(undefined);
  });

  it('is left to the next attempt when its agent is stopped', async () => {
    const { terms, hurry } = slow();
    const all = await scene({ routes: { termsOf: terms, retryFirstMs: 1 } }, 32 * MIB);
    const { plane, home, agentId, asset } = all;
    const agent = new AgentProcess(['--home', home]);
    const { id } = await plane.queue({ agentId, assetId: asset.id });
    await until(storesBytes(all, id));
    agent.kill('SIGTERM');
    expect(await agent.ended).toMatchObject({ code: 0 });
    expect(await plane.run(id)).toMatchObject({ state: 'queued', fault: { code: 'AGENT_INTERRUPTED' } });
    hurry();
    new AgentProcess(['--home', home]);
    expect(await plane.runIs(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded', attempt: 2 });
  });
});

describe('an agent of another version', () => {
  const parts = { log: pino({ level: 'silent' }), now: () => new Date(), random: (bytes: number) => randomBytes(bytes) };

  it('works one minor version apart, and is refused by name two apart', async () => {
    const { plane, directory, source } = await scene({ routes: { version: '1.1' } });
    const enrol = async (version: string): Promise<string> => {
      const home = join(directory, `agent-${version}`);
      const details = { home: new AgentHome(home), service: plane.url, token: await plane.token(), programVersion: '0.1.0' };
      await enrolAgent({ ...details, ...parts, version });
      return home;
    };
    for (const version of ['1.0', '1.2']) {
      const home = await enrol(version);
      const { agentId } = new AgentHome(home).readState()!;
      const asset = await plane.asset(agentId, { kind: 'files', paths: [source] });
      const stop = new AbortController();
      const running = openAgent({ ...parts, home, program: 'holdfast 0.1.0', version }).run(stop.signal);
      const { id } = await plane.queue({ agentId, assetId: asset.id });
      expect(await plane.runIs(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded' });
      stop.abort();
      await running;
    }
    await expect(enrol('1.3')).rejects.toMatchObject({ code: 'AGENT_VERSION_UNSUPPORTED' });
    const home = join(directory, 'agent-1.0');
    const old = openAgent({ ...parts, home, program: 'holdfast 0.1.0', version: '0.9' });
    await expect(old.run(new AbortController().signal)).rejects.toMatchObject({ code: 'AGENT_VERSION_UNSUPPORTED' });
  });
});
