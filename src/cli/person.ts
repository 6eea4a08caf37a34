// Who and where, for the record of a snapshot.

import { hostname, userInfo } from 'node:os';
import type { OptionValues } from './option.ts';

export function hostOf(options: OptionValues | undefined): string {
  return options?.text('host') ?? hostname();
}

export function userOf(): string {
  try {
    return userInfo().username;
  } catch {
    // No entry in the list of users, as in many containers.
    return String(process.getuid?.() ?? 'unknown');
  }
}
