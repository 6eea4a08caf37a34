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

export function changed<T extends object>(outcome: Changed<T>): T {
  if (outcome === 'stale') throw stale();
  if (outcome === 'missing') throw notFound();
  return outcome;
}

function stale(): Fault {
  return new Fault('REQUEST_STALE', 'It is of another version by now');
}
