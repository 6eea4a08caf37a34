// What capture of its log costs a PostgreSQL server at full speed, beside the least that somebody who takes the log as it comes can cost:
// pg_receivewal of the same server, which writes it to files as it is. Ours takes it twice: from the server's files, as it does on the server's host,
// and from the server's sender, as a role that may not read the files must. Everything lies in memory, so disks do not count, and pgbench and the
// server have both cores to themselves: whatever else runs is taken from them.
//
//   bin/node bench/postgres-capture.ts [--scale 20] [--seconds 15] [--rounds 3]
//
// Each turn: transactions a second, and the CPU seconds of who takes the log and of the server's process that sends it.

import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { mustParseLsn } from '../src/model/lsn.ts';
import { makeOwned, postgresPrograms, removeScratch, serverScratch, serverUser, TestServer } from '../test/support/postgres.ts';
import { scratchRepository } from './scratch-repository.ts';
import { cpuSeconds, processesOf } from './service/cpu-seconds.ts';

const HOLDFAST = join(import.meta.dirname, '../bin/holdfast');
const MIB = 1024 * 1024;

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '15' },
    rounds: { type: 'string', default: '3' },
  },
});
const programs = postgresPrograms();
if (programs === undefined) throw new Error('PostgreSQL is needed');
const scratch = serverScratch();
const environment = scratchRepository(scratch);

type Turn = { readonly tps: number; readonly mib: number; readonly takerSeconds: number; readonly senderSeconds: number };

const server = await TestServer.create(programs, scratch, 'production', {
  settings: { shared_buffers: '256MB', max_wal_size: '8GB', checkpoint_timeout: '1h' },
});
const connection = ['-h', server.socketDirectory, '-p', String(server.port), '-U', 'postgres'];

/** With all that it has started. */
function familySeconds(root: number): number {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const parent = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended.
    }
  }
  const all = (pid: number): number => (children.get(pid) ?? []).reduce((sum, child) => sum + all(child), cpuSeconds(pid).own);
  return all(root);
}

const flushed = async (): Promise<number> => mustParseLsn((await server.sql('SELECT pg_current_wal_flush_lsn()'))[0]![0]);

/** In a session of its own, as services are: the kernel shares the cores out between sessions first. */
async function pgbench(): Promise<number> {
  const args = [...connection, '-c', '4', '-j', '1', '-T', values.seconds, 'postgres'];
  const child = spawn(join(programs!, 'pgbench'), args, {
    ...serverUser(),
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  let text = '';
  child.stdout.on('data', (piece: Buffer) => {
    text += piece.toString();
  });
  await new Promise((resolve) => child.once('close', resolve));
  return Number(/tps = ([\d.]+)/.exec(text)![1]);
}

async function turn(taker: number | undefined): Promise<Turn> {
  const senders = (): number => processesOf('walsender').reduce((sum, pid) => sum + cpuSeconds(pid).own, 0);
  const now = async () => ({ at: await flushed(), taker: taker === undefined ? 0 : familySeconds(taker), sender: senders() });
  const before = await now();
  const tps = await pgbench();
  const after = await now();
  return {
    tps,
    mib: (after.at - before.at) / MIB,
    takerSeconds: after.taker - before.taker,
    senderSeconds: after.sender - before.sender,
  };
}

async function besideReceiver(round: number): Promise<Turn> {
  const directory = makeOwned(join(scratch, `received-${round}`));
  const child = spawn(join(programs!, 'pg_receivewal'), [...connection, '-D', directory, '-n'], {
    ...serverUser(),
    cwd: '/',
    stdio: 'ignore',
    detached: true,
  });
  while (readdirSync(directory).length === 0) await sleep(50);
  try {
    return await turn(child.pid);
  } finally {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('close', resolve));
    rmSync(directory, { recursive: true });
  }
}

/** `user`: who may read the files, or not. */
async function besideCapture(user: string): Promise<Turn & { readonly behindSeconds: number }> {
  const from = server.connectionString.replace('user=postgres', `user=${user}`);
  const child = spawn(HOLDFAST, ['pg', 'capture', from, '--asset', user, '--slot', user, '--json'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  let said = '';
  child.stdout.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-100_000);
  });
  const reached = async (position: number): Promise<void> => {
    for (;;) {
      if (child.exitCode !== null) throw new Error(`The capture ended with ${child.exitCode}`);
      const last = [...said.matchAll(/"durable":"([0-9A-F]+\/[0-9A-F]+)"/g)].at(-1)?.[1];
      if (last !== undefined && mustParseLsn(last) >= position) return;
      await sleep(20);
    }
  };
  try {
    await reached(await flushed());
    const result = await turn(child.pid);
    const began = performance.now();
    await reached(await flushed());
    return { ...result, behindSeconds: (performance.now() - began) / 1000 };
  } finally {
    child.kill('SIGINT');
    await new Promise((resolve) => child.once('close', resolve));
  }
}

function tell(who: string, { tps, mib, takerSeconds, senderSeconds }: Turn, alone: number | undefined, more = ''): void {
  const lost = alone === undefined ? '' : `, ${((1 - tps / alone) * 100).toFixed(1)} % less`;
  const cpu = alone === undefined ? '' : `; CPU s: ${takerSeconds.toFixed(2)}, the server's sender ${senderSeconds.toFixed(2)}`;
  console.log(`${who.padEnd(27)} ${tps.toFixed(0)} tps${lost}; ${mib.toFixed(0)} MiB of log${cpu}${more}`);
}

try {
  console.log(
    `PostgreSQL ${(await server.sql('SHOW server_version'))[0]![0]}, pgbench scale ${values.scale}, everything in memory`,
  );
  server.run('pgbench', [...connection, '-i', '-q', '-s', values.scale, 'postgres']);
  await server.sql('VACUUM FREEZE');
  await server.sql('CHECKPOINT');
  execFileSync(HOLDFAST, ['init'], { env: environment, stdio: 'ignore' });
  // Its base backup made a checkpoint: what a page's first change after that costs more is over then.
  await server.sql('CREATE ROLE sent LOGIN REPLICATION');
  await besideCapture('postgres');
  await besideCapture('sent');
  for (let round = 0; round < Number(values.rounds); round++) {
    const alone = await turn(undefined);
    tell('alone', alone, undefined);
    tell('beside pg_receivewal', await besideReceiver(round), alone.tps);
    for (const [user, how] of [
      ['postgres', 'of the files'],
      ['sent', 'by a sender'],
    ] as const) {
      const own = await besideCapture(user);
      tell(`beside capture ${how}`, own, alone.tps, `, ${own.behindSeconds.toFixed(2)} s behind at the end`);
    }
  }
} finally {
  await server.stop('SIGQUIT');
  removeScratch(scratch);
}
