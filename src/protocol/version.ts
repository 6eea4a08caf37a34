// Which versions of the protocol understand each other: the same major, at most one minor apart.

import { Fault } from '../base/faults.ts';

export const PROTOCOL_VERSION = '1.0';
export const VERSION_HEADER = 'holdfast-version';

/** Of two "major.minor". */
export function isCompatible(ours: string, theirs: string): boolean {
  const [a, b] = [parse(ours), parse(theirs)];
  return a !== undefined && b !== undefined && a.major === b.major && Math.abs(a.minor - b.minor) <= 1;
}

/** AGENT_VERSION_UNSUPPORTED. `theirs`: what the other side's header said. */
export function checkVersion(ours: string, theirs: string | undefined, whose: 'agent' | 'service'): void {
  if (theirs !== undefined && isCompatible(ours, theirs)) return;
  throw new Fault(
    'AGENT_VERSION_UNSUPPORTED',
    `The ${whose} speaks version ${theirs === undefined ? '(none)' : JSON.stringify(theirs)} of the protocol, this side ${ours}: at most one minor version may lie between them`,
  );
}

function parse(text: string): { readonly major: number; readonly minor: number } | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}
