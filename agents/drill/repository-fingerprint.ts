// What a drill must leave as it is of the repository it reads: the head goes forwards, the log goes on where it was, and no timeline comes to it
// (a clone whose log reached the repository would be one). What production does meanwhile, write log and make backups, is no change.

import { canonicalJson } from '../../src/base/canonical-json.ts';
import { LogView } from '../../src/engine/log-view.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Fingerprint } from './drill-options.ts';

type State = {
  readonly sequence: number;
  /** By incarnation and timeline: where its log ends. */
  readonly ends: Readonly<Record<string, number>>;
};

export function repositoryFingerprint(repository: Repository, asset: string): Fingerprint {
  return {
    of: `repository of ${asset}`,
    how: `head and log of ${repository.store.location}: what has only grown is left out`,
    read: async (past) => {
      const now = await stateOf(repository, asset);
      return canonicalJson(past === undefined ? now : withoutGrowth(JSON.parse(past) as State, now));
    },
  };
}

export function withoutGrowth(past: State, now: State): State {
  const ends = Object.entries(now.ends).map(([name, end]) => {
    const before = past.ends[name];
    return [name, before !== undefined && end >= before ? before : end] as const;
  });
  return { sequence: Math.min(now.sequence, past.sequence), ends: Object.fromEntries(ends) };
}

async function stateOf(repository: Repository, asset: string): Promise<State> {
  const { sequence } = await repository.heads.read();
  const view = await LogView.open(repository, repository.keyring.assetId(asset));
  const ends: Record<string, number> = {};
  for (const { timeline, to } of view?.stretches ?? []) {
    const name = `${view!.incarnation}/${timeline}`;
    ends[name] = Math.max(ends[name] ?? 0, to);
  }
  for (const { timeline } of view?.histories ?? []) ends[`${view!.incarnation}/${timeline}`] ??= 0;
  return { sequence, ends };
}
