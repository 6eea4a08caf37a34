// Files or a volume of the plan, brought back from the newest recovery point before the disaster into the drill's directory, where the room sees
// them. Nothing of production is near: the place is the drill's own, and new.

import { chownSync, closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { type BringBack, bringBack, differences, newestPoint } from '../files/bring-back.ts';
import type { FileOwner } from '../postgres/log-server.ts';
import type { DrillOptions } from './drill-options.ts';

export type CopyPlan = {
  readonly asset: string;
  readonly repository: Repository;
  readonly snapshot: Snapshot;
  readonly bytes: number;
};

/** In the order of the plan. RECOVERY_REFUSED, USAGE. */
export async function planCopies({ plan, sources, disaster, signal }: DrillOptions): Promise<CopyPlan[]> {
  const wanted = copiesOf(plan);
  return Promise.all(
    wanted.map(async ({ asset, kind }) => {
      const source = sources.find((one) => one.asset === asset);
      if (source === undefined) throw new Fault('USAGE', `Nobody said from which repository "${asset}" is brought back`);
      const { repository } = source;
      const snapshot = await newestPoint(repository, { asset, kind }, disaster, signal);
      return { asset, repository, snapshot, bytes: snapshot.root.contentBytes };
    }),
  );
}

function copiesOf({ groups }: PlanDocument): { readonly asset: string; readonly kind: 'files' | 'volume' }[] {
  return groups.flatMap(({ members }) => members.flatMap(({ asset, kind }) => (kind === 'postgres' ? [] : [{ asset, kind }])));
}

type Value = Readonly<Record<string, string | number | boolean | null>>;

export class DrillCopy {
  readonly asset: string;
  readonly path: string;
  readonly #plan: CopyPlan;
  readonly #threads: number;

  /** `number`: of the drill's copies, 0, 1, ... */
  constructor(plan: CopyPlan, work: string, number: number, threads: number) {
    this.asset = plan.asset;
    this.path = join(work, `copy-${number}`);
    this.#plan = plan;
    this.#threads = threads;
  }

  /** Answers what was brought back, and when its newest work was done: nothing that came after the backup began is sure to be in it.
   *  `owner`: who runs the steps of the plan. */
  async make(owner: FileOwner | undefined, signal: AbortSignal): Promise<Value> {
    const { entries, bytes, bytesFetched } = await bringBack(this.#wish(signal), `${this.path}.aside`);
    const { id: snapshot, startedAt, type } = this.#plan.snapshot;
    // Files have owners of their own.
    if (type === 'volume' && owner !== undefined) chownSync(this.path, owner.uid, owner.gid);
    return { at: startedAt, isWhole: false, point: null, isQuiet: false, snapshot, entries, bytes, bytesFetched };
  }

  /** Reads everything again. */
  async verify(signal: AbortSignal): Promise<Value> {
    let damaged = 0;
    const text: string[] = [];
    await differences(this.#wish(signal), ({ path, message }) => {
      if (++damaged <= 5) text.push(`${path}: ${message}`);
    });
    return { checked: this.#plan.snapshot.root.entries, damaged, text: text.join('; ') };
  }

  /** Something in it, written and taken back. */
  write(): void {
    if (this.#plan.snapshot.type === 'volume') closeSync(openSync(this.path, 'r+'));
    else {
      const file = join(this.path, '.holdfast-drill-write');
      writeFileSync(file, 'a drill wrote this', { flush: true });
      rmSync(file);
    }
  }

  #wish(signal: AbortSignal): BringBack {
    const { repository, snapshot } = this.#plan;
    return { repository, snapshot, path: this.path, threads: this.#threads, signal };
  }
}
