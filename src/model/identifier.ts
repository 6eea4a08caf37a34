// Names of things in the service: a prefix that says what it is, and 26 characters that sort by the time of their making.

import { Type } from '../base/type.ts';

/** Prefixes by kind. */
export const ID_PREFIX = {
  tenant: 'ten',
  person: 'per',
  token: 'tok',
  enrolment: 'enr',
  agent: 'agt',
  asset: 'ast',
  policy: 'pol',
  run: 'run',
  event: 'evt',
  approval: 'apr',
  failover: 'fov',
  delivery: 'dlv',
} as const;

export type IdKind = keyof typeof ID_PREFIX;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** `random` gives fresh bytes; `at` orders ids of different milliseconds. */
export function newId(kind: IdKind, at: Date, random: (bytes: number) => Uint8Array): string {
  let text = firstId(kind, at);
  for (const byte of random(16)) text += ALPHABET[byte % 32];
  return text;
}

/** Below every id that was made at that time or later, above those that were made before. */
export function firstId(kind: IdKind, at: Date): string {
  let time = at.getTime();
  let text = '';
  for (let i = 0; i < 10; i++) {
    text = ALPHABET[time % 32] + text;
    time = Math.floor(time / 32);
  }
  return `${ID_PREFIX[kind]}_${text}`;
}

export const Id = Type.String({ pattern: '^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$', maxLength: 30 });

/** A name that people choose: of tenants and policies. */
export const Name = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63 });

/** What people see; any text on one line. */
export const Label = Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$' });
