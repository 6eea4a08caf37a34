import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import type { TestServer } from './postgres.ts';
import { until } from './protected-cluster.ts';

const second = (): number => Math.floor(Date.now() / 1000);

/** The disk as it was (a copy of the data directory): nothing of what has happened since is there. Not within one second: checkpoints at one place
 *  tell their histories apart by nothing but their time, and that is of seconds. */
export async function setBack(server: TestServer, kept: string): Promise<void> {
  await server.stop('SIGQUIT');
  const stopped = second();
  await until(() => second() > stopped);
  rmSync(server.directory, { recursive: true });
  execFileSync('cp', ['-a', kept, server.directory]);
  await server.start();
}
