// Who this process is, for snapshots and servers.

import { userInfo } from 'node:os';

export function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // No entry in the list of users, as in many containers.
    return String(process.getuid?.() ?? 'unknown');
  }
}
