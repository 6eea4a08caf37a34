// What captures tell of, and what follows: events that somebody hears of, and base backups.

import type { Catalog } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import type { NewEvent } from '../model/event.ts';
import { instantOf } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import type { CaptureKeeper } from './capture-keeper.ts';
import type { LogWindows } from './log-windows.ts';

export type LackingCheck = {
  readonly name: string;
  readonly state: 'warning' | 'missing';
  readonly found: string;
  readonly why: string;
  readonly remedy: string;
};

export type LogNote =
  | { readonly kind: 'streaming'; readonly timeline: number; readonly position: string }
  | { readonly kind: 'gap'; readonly timeline: number; readonly from: string; readonly to: string; readonly cause: string }
  | { readonly kind: 'base-needed'; readonly why: string }
  | { readonly kind: 'timeline'; readonly timeline: number; readonly position: string }
  | { readonly kind: 'trouble'; readonly code: string; readonly message: string; readonly hint: string }
  | { readonly kind: 'preflight'; readonly checks: readonly LackingCheck[] };

export type LogNotesOptions = {
  readonly catalog: Catalog;
  readonly keeper: CaptureKeeper;
  readonly windows: LogWindows;
  readonly now: () => Date;
  readonly onQueued: (agentId: string) => void;
};

/** The name of a setting: what the server of an asset lacked when it was last looked at, as JSON. */
export function lackingSetting(assetId: string): string {
  return `preflight:${assetId}`;
}

export function logNotes(options: LogNotesOptions): (note: LogNote, run: Run, asset: Asset) => Promise<void> {
  const { catalog, keeper, windows, now, onQueued } = options;
  const tell = async (run: Run, asset: Asset, event: Omit<NewEvent, 'tenantId' | 'assetId' | 'runId'>): Promise<void> => {
    await catalog.events.add({ tenantId: asset.tenantId, assetId: asset.id, runId: run.id, ...event }, instantOf(now()));
  };
  const needBase = async (asset: Asset, why: string): Promise<void> => {
    const queued = await keeper.needBase(asset, why);
    if (queued?.agentId !== undefined) onQueued(queued.agentId);
  };
  return async (note, run, asset) => {
    switch (note.kind) {
      case 'streaming':
        if (!(await windows.of(asset, 0)).isAnchored) await needBase(asset, 'no base backup leads to the log that is captured now');
        return;
      case 'base-needed':
        return needBase(asset, note.why);
      case 'gap':
        await tell(run, asset, {
          kind: 'log.gap',
          severity: 'critical',
          message: `Log of ${asset.name} is lost from ${note.from} to ${note.to} of timeline ${note.timeline}`,
          cause: note.cause,
          action:
            'A base backup was begun by itself; instants in between cannot be restored. Raise max_slot_wal_keep_size, or find out why capture was away.',
          details: { timeline: note.timeline, from: note.from, to: note.to },
        });
        return needBase(asset, 'log is missing since the last one');
      case 'timeline':
        return tell(run, asset, {
          kind: 'log.timeline',
          severity: 'warning',
          message: `The server of ${asset.name} was promoted: timeline ${note.timeline} begins at ${note.position}`,
          action: 'Nothing: the log is followed. If nobody meant to promote it, find out who did.',
          details: { timeline: note.timeline, position: note.position },
        });
      case 'trouble':
        return tell(run, asset, {
          kind: 'capture.trouble',
          severity: 'warning',
          message: `The log of ${asset.name} cannot be captured just now`,
          cause: `${note.message} [${note.code}]`,
          action: note.hint === '' ? 'See the log of the agent. Capture goes on trying.' : note.hint,
          details: { code: note.code },
        });
      case 'preflight':
        return preflightTold(options, note.checks, run, asset);
    }
  };
}

/** An event when it is another list than before. */
async function preflightTold(
  { catalog, now }: LogNotesOptions,
  checks: readonly LackingCheck[],
  run: Run,
  asset: Asset,
): Promise<void> {
  // What was found may hold numbers that change all the time.
  const stampOf = (all: readonly LackingCheck[]): string => all.map(({ name: what, state }) => `${what} ${state}`).join();
  const name = lackingSetting(asset.id);
  const isMissing = checks.some(({ state }) => state === 'missing');
  await catalog.transaction(async (tables) => {
    const before = JSON.parse((await tables.settings.get(name)) ?? '[]') as LackingCheck[];
    await tables.settings.set(name, JSON.stringify(checks));
    if (stampOf(before) === stampOf(checks)) return;
    const lacking = checks.map(({ name: what, found }) => `${what} (${found})`).join(', ');
    const event =
      checks.length === 0
        ? { severity: 'info' as const, message: `The server of ${asset.name} has all that its protection needs` }
        : {
            severity: isMissing ? ('critical' as const) : ('warning' as const),
            message: `The server of ${asset.name} ${isMissing ? 'cannot be protected yet' : 'is protected, and could be better'}: ${lacking}`,
            cause: checks.map(({ why }) => why).join('. '),
            action: checks
              .map(({ remedy }) => remedy)
              .join('\n')
              .slice(0, 4000),
          };
    await tables.events.add(
      { tenantId: asset.tenantId, assetId: asset.id, runId: run.id, kind: 'asset.preflight', ...event },
      instantOf(now()),
    );
  });
}
