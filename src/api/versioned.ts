// Things with a version: their ETag, and changes that lose nothing of what others changed.

import { Fault } from '../base/faults.ts';
import type { Changed } from '../catalog/catalog.ts';
import { notFound } from './problem.ts';
import type { Answer, Call } from './route.ts';

export function etagOf(version: number): string {
  return `"${version}"`;
}

export function answerVersioned(thing: { readonly version: number }, status = 200, body: unknown = thing): Answer {
  return { status, body, headers: { etag: etagOf(thing.version) } };
}

/** REQUEST_STALE unless If-Match names the version that is there. */
export function checkVersion({ ifMatch }: Pick<Call, 'ifMatch'>, thing: { readonly version: number }): void {
  if (ifMatch !== undefined && ifMatch !== thing.version) throw stale();
}

/** Of a PUT that makes a thing, or replaces it. REQUEST_STALE, REQUEST_NEEDS_VERSION. */
export function checkPut(
  call: Pick<Call, 'ifMatch' | 'hasIfMatch' | 'isToBeNew'>,
  kind: string,
  before: { readonly name: string; readonly version: number } | undefined,
): void {
  if (before === undefined) {
    if (call.hasIfMatch) throw new Fault('REQUEST_STALE', `There is no such ${kind} any more`);
    return;
  }
  const there = `There is a ${kind} "${before.name}" already`;
  if (call.isToBeNew) throw new Fault('REQUEST_STALE', there);
  if (!call.hasIfMatch) throw new Fault('REQUEST_NEEDS_VERSION', `${there}, and which version is to be replaced was not said`);
  checkVersion(call, before);
}

export function changed<T extends object>(outcome: Changed<T>): T {
  if (outcome === 'stale') throw stale();
  if (outcome === 'missing') throw notFound();
  return outcome;
}

function stale(): Fault {
  return new Fault('REQUEST_STALE', 'It is of another version by now');
}
