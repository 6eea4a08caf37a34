// The threads of a backup, started ahead: a thread takes as long to load as a session to begin. Apart from the pipeline, so that who starts them
// need not load that first.

import { WarmThreads } from '../worker/thread-pool.ts';

export const BACKUP_THREAD = new URL('../worker/backup-thread.ts', import.meta.url);

/** To be closed by whoever made it, also after a backup took them. */
export type ThreadsAhead = WarmThreads;

export function startThreadsAhead(threads: number): ThreadsAhead {
  return new WarmThreads(BACKUP_THREAD, threads);
}
