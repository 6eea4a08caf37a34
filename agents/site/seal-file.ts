// What a failover has taken away from this site, kept over restarts: the epoch of which it stores no more log, and where that was sealed.
// It is void by itself once a later epoch has begun.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { replaceFile } from '../../src/base/replace-file.ts';
import type { EpochOfFailover, Sealed } from '../../src/dr/site-control.ts';

export type KeptSeal = {
  readonly revoked: EpochOfFailover | null;
  readonly sealed: Sealed | null;
  /** End of the last record that is stored, "0/3000060": a standby that has replayed this has replayed everything. */
  readonly storedTo: string | null;
  /** What this site had written beyond the seal of an epoch that it lost: the directory of the export; null: nothing. */
  readonly exported?: { readonly epoch: number; readonly directory: string | null };
};

/** Below the directory of its daemon. */
export function sealFileOf(state: string, incarnation: string): string {
  return join(state, 'seals', `${incarnation}.json`);
}

const NOTHING: KeptSeal = { revoked: null, sealed: null, storedTo: null };

export class SealFile {
  readonly #path: string;
  #kept: KeptSeal;

  constructor(path: string) {
    this.#path = path;
    this.#kept = read(path);
  }

  get directory(): string {
    return dirname(this.#path);
  }

  get kept(): KeptSeal {
    return this.#kept;
  }

  isRevoked(epoch: number): boolean {
    return this.#kept.revoked?.epoch === epoch;
  }

  keep(next: Partial<KeptSeal>): void {
    const kept = { ...this.#kept, ...next };
    replaceFile(this.#path, `${JSON.stringify(kept)}\n`, 0o600);
    this.#kept = kept;
  }

  clear(): void {
    this.keep(NOTHING);
  }
}

function read(path: string): KeptSeal {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as KeptSeal;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NOTHING;
    throw error;
  }
}
