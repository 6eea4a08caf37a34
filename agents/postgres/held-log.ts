// What a paused server may still ask for when the restore that brought it there is over: the segments around the place where it stands, and all
// known histories, as files beside its plan. So a helper can answer without a repository, which the agent of a service has none of.

import { chownSync, copyFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LogFiles } from './log-files.ts';
import type { FileOwner, LogAnswer } from './log-server.ts';
import { segmentsOf } from './log-spool.ts';
import type { ClusterRestore } from './restore.ts';
import type { ServerFacts } from './server-facts.ts';

const HELD_LOG = 'held';
/** The one it stands in, and the one before. */
const SEGMENTS = 2;

export async function keepLog(
  sandbox: string,
  { cluster, plan }: Pick<ClusterRestore, 'cluster' | 'plan'>,
  { segmentBytes }: ServerFacts,
  owner: FileOwner | undefined,
): Promise<void> {
  const directory = join(sandbox, HELD_LOG);
  mkdirSync(directory, { mode: 0o700 });
  if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
  const files = new LogFiles({ view: cluster.view, segmentBytes, legs: plan.legs });
  const histories = cluster.view.histories.map(({ timeline }) => `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`);
  for (const name of [...segmentsOf(plan.legs, segmentBytes).slice(-SEGMENTS), ...histories]) {
    const file = await files.fetch(name);
    if (file.kind === 'absent') continue;
    const path = join(directory, name);
    writeFileSync(path, file.bytes, { mode: 0o600 });
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  }
}

/** All histories are there, so one that is not does not exist. Of a segment that is not, nobody knows. */
export function answerHeld(sandbox: string, name: string, path: string): LogAnswer {
  const held = join(sandbox, HELD_LOG, name);
  if (/^[0-9A-F]{8,24}(?:\.history)?$/.test(name) && existsSync(held)) {
    copyFileSync(held, `${path}.holdfast`);
    renameSync(`${path}.holdfast`, path);
    return { outcome: 'done', message: '' };
  }
  if (name.endsWith('.history')) return { outcome: 'absent', message: `${name} is not part of the log` };
  return { outcome: 'failed', message: `${name} is not among what was kept for this server: restore again, through the service` };
}
