// One restore at a time to one place: of two each would say that it succeeded, and neither would be what is there. The claim is a name among
// the kernel's abstract sockets: only one process can have it, it ends with that process, however it dies, and nothing of it lies at the target.
// It is by inode, so whatever links lead there; what is in another network namespace (a container) is not seen.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import { Fault } from '../base/faults.ts';
import { displayPath, joinPaths } from '../model/entry-path.ts';

/** A directory that is there, or a name in it (latin1). Answers what gives it back; otherwise it is held until this process ends.
 *  TARGET_OCCUPIED when another restore has it. */
export async function claimTarget(directory: string, name = ''): Promise<() => void> {
  const { dev, ino } = statSync(Buffer.from(directory, 'latin1'), { bigint: true });
  const entry = name === '' ? '' : `-${createHash('sha256').update(name, 'latin1').digest('hex').slice(0, 32)}`;
  const server = createServer();
  try {
    await once(server.listen(`\0holdfast-restore-${dev}-${ino}${entry}`), 'listening');
  } catch (error) {
    // Where there are no such sockets nothing can be claimed: a restore is worth more than its guard.
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return () => {};
    const path = displayPath(name === '' ? directory : joinPaths(directory, name));
    throw new Fault('TARGET_OCCUPIED', `Another restore to "${path}" is at work`, {
      cause: error,
      hint: 'Wait for it, or end it; then --delta brings what is there up to date.',
    });
  }
  server.unref();
  return () => void server.close();
}
