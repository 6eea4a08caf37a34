// A snapshot as programs read it.

import type { Snapshot } from '../model/snapshot.ts';
import { pathText } from './paths.ts';

const SHORT_ID_DIGITS = 8;

export function snapshotFields(snapshot: Snapshot): Readonly<Record<string, unknown>> {
  const { id, asset, type, host, user, paths, tags, startedAt, endedAt, parent, root, statistics, problems, program } = snapshot;
  return {
    id,
    asset,
    type,
    host,
    user,
    paths: paths.map(pathText),
    tags,
    startedAt,
    endedAt,
    parent: parent ?? null,
    contentBytes: root.contentBytes,
    entries: root.entries,
    ...statistics,
    problems,
    program,
  };
}

export function shortId(id: string): string {
  return id.slice(0, SHORT_ID_DIGITS);
}
