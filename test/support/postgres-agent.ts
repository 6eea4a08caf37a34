// An agent of a service beside a database: enrolled as a newcomer would, in a process of its own.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { makeOwned, postgresPrograms } from './postgres.ts';
import type { Served } from './served.ts';

const PROGRAM = join(CHECKOUT, 'bin/holdfast');

export async function tenantBase(service: Served): Promise<string> {
  const { items } = await service.get<{ items: readonly { id: string; name: string }[] }>('/v1/tenants');
  return `/v1/tenants/${items.find(({ name }) => name === 'default')!.id}`;
}

/** Answers its id. */
export async function enrolAgentIn(service: Served, scratch: string): Promise<string> {
  const { secret } = await service.post<{ secret: string }>(`${await tenantBase(service)}/enrolments`, { label: 'db1' });
  const args = [
    'agent',
    '--enroll',
    secret,
    '--service',
    service.url,
    '--home',
    join(scratch, 'agent'),
    '--label',
    'db1',
    '--json',
  ];
  const text = execFileSync(PROGRAM, args, { encoding: 'utf8' });
  return (JSON.parse(text.trimEnd().split('\n').at(-1)!) as { agentId: string }).agentId;
}

/** It restores to `<scratch>/restores`, which the server's user can reach. */
export function startAgentIn(service: Served, scratch: string): ChildProcess {
  const restores = makeOwned(join(scratch, 'restores'));
  const place = ['--home', join(scratch, 'agent'), '--allow-restore', restores, '--service', service.url];
  const args = ['agent', ...place, '--bin-dir', postgresPrograms()!];
  const agent = spawn(PROGRAM, args, { stdio: 'ignore' });
  onTestFinished(() => void agent.kill('SIGKILL'));
  return agent;
}
