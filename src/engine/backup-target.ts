// Where a backup goes, as far as a backup needs to know it: a repository that is opened here with an owner's key (offline-target.ts), or a
// service that keeps the index and the credentials and hands out single grants (src/remote/).
//
// A session is what src/repository/README.md says of it, whoever keeps it: it tells what may be referred to, makes uploaded packs known, and
// commits once. What was left by others that died is the target's own matter, before a session begins.

import type { SealedSnapshot } from '../format/snapshot-register.ts';
import type { IndexSource } from '../index/index-reader.ts';
import type { Snapshot, SourceType } from '../model/snapshot.ts';
import type { FinishedPack } from '../worker/pack-writer.ts';
import type { AskPresence, BackupPlace, IndexSummary } from './backup-pipeline.ts';
import type { ReadNode } from './content-map.ts';

export interface BackupTarget {
  begin(details: BeginDetails): Promise<TargetSession>;
}

export type BeginDetails = {
  readonly asset: string;
  readonly type: SourceType;
  readonly now: () => Date;
  readonly signal: AbortSignal;
};

export interface TargetSession {
  /** 20 hex digits: the name of the session and of its snapshot. */
  readonly name: string;
  /** 16 bytes. */
  readonly assetId: Uint8Array;
  readonly place: BackupPlace;
  /** The newest snapshot of the asset whose map may be shared. */
  readonly parent: Snapshot | undefined;
  /** Reads nodes of the parent's map. */
  readonly readNode: ReadNode;
  /** The index, when it is here; held open until `close`. */
  readonly known: IndexSource | undefined;
  /** When it is not, and knows anything. */
  readonly ask?: AskPresence | undefined;
  /** A local directory for what the session itself makes. */
  readonly privateRuns: string;
  /** Called before a pack is stored. */
  onUpload(pack: FinishedPack): void;
  /** Makes packs known that this stored index object names. */
  checkpoint(index: IndexSummary): Promise<void>;
  /** `indexes`: all of this session's. What throws may have happened; `abandon` finds out. */
  commit(snapshot: SealedSnapshot, indexes: readonly IndexSummary[], signal: AbortSignal): Promise<void>;
  /** 'committed' when a commit had happened after all. */
  abandon(): Promise<'abandoned' | 'committed'>;
  close(): void;
}
