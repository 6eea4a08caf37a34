// A backup into a repository that is opened here: by its owner, or with a writer's key and credentials for the store.

import type { SealedSnapshot } from '../format/snapshot-register.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { hex } from '../repository/layout.ts';
import { isDeadFrom } from '../repository/process-state.ts';
import type { Repository } from '../repository/repository.ts';
import { BackupSession } from '../repository/sessions.ts';
import { endWriters, silencePolicy } from '../repository/writers.ts';
import type { FinishedPack } from '../worker/pack-writer.ts';
import { adoptOrphans } from './adopt-orphans.ts';
import type { IndexSummary } from './backup-pipeline.ts';
import type { BackupTarget, BeginDetails, TargetSession } from './backup-target.ts';
import { findParent } from './find-parent.ts';
import { removeJournal, UploadJournal } from './upload-journal.ts';

export class OfflineTarget implements BackupTarget {
  readonly #repository: Repository;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  async begin({ asset, type, now, signal }: BeginDetails): Promise<TargetSession> {
    const repository = this.#repository;
    const assetId = repository.keyring.assetId(asset);
    await endDeadWriters(repository, now(), signal);
    const session = await BackupSession.begin(repository.heads, { assetId: hex(assetId), process: repository.process }, { signal });
    try {
      const { view } = session;
      const looking = findParent(repository, view, assetId, type);
      looking.catch(() => {});
      await repository.syncIndex(view.indexes, { signal });
      await adoptOrphans(repository, session, { signal });
      // Who adopted knows a newer head.
      const parent = session.view === view ? await looking : await findParent(repository, session.view, assetId, type);
      return new OfflineSession(repository, session, assetId, parent?.snapshot);
    } catch (error) {
      await session.abandon().catch(() => {});
      throw error;
    }
  }
}

/** A writer that died between its commit and the registry is finished first, so that its chunks are known; others that are dead for certain
 *  leave what they uploaded to be adopted. */
export async function endDeadWriters({ heads, process }: Repository, now: Date, signal: AbortSignal): Promise<void> {
  const policy = silencePolicy({ now, silenceMsMax: Number.POSITIVE_INFINITY, isDead: isDeadFrom(process) });
  await endWriters(heads, policy, 'a backup that found it dead', ({ kind }) => kind === 'backup', { signal });
}

class OfflineSession implements TargetSession {
  readonly place: Repository;
  readonly assetId: Uint8Array;
  readonly parent: Snapshot | undefined;
  readonly known: Repository['source'];
  readonly #session: BackupSession;
  readonly #journal: UploadJournal;

  constructor(repository: Repository, session: BackupSession, assetId: Uint8Array, parent: Snapshot | undefined) {
    this.place = repository;
    this.assetId = assetId;
    this.parent = parent;
    this.known = repository.source;
    this.#session = session;
    this.#journal = new UploadJournal(repository.cacheDirectory, session.name);
  }

  get name(): string {
    return this.#session.name;
  }

  get readNode(): Repository['readNode'] {
    return this.place.readNode;
  }

  get privateRuns(): string {
    return this.place.cacheDirectory;
  }

  onUpload(pack: FinishedPack): void {
    this.#journal.add(pack);
  }

  async checkpoint(index: IndexSummary): Promise<void> {
    await this.#session.checkpoint([index]);
  }

  async commit(snapshot: SealedSnapshot, indexes: readonly IndexSummary[], signal: AbortSignal): Promise<void> {
    const { view } = this.#session;
    const unpublished = indexes.filter(({ id }) => !view.indexes.some((index) => index.id === id));
    await this.#session.commit(snapshot, unpublished, { signal });
    removeJournal(this.place.cacheDirectory, this.name);
  }

  /** The journal stays, for what the store did not let us make known. */
  abandon(): Promise<'abandoned' | 'committed'> {
    return this.#session.abandon();
  }

  close(): void {
    this.#journal.close();
  }
}
