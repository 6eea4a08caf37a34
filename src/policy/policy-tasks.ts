// What a policy asks the scheduler to do. STUB: signatures first.

import type { RunKind } from '../model/run.ts';
import type { EffectivePolicy, Schedule } from './policy-terms.ts';

export type PolicyTask = {
  /** 'backup', 'restore-test' of an asset; 'verify' and 'prune' concern the tenant's whole repository. */
  readonly kind: RunKind;
  readonly schedules: readonly Schedule[];
  /** For the run: {"mode":"scrub"}, {"mode":"sampled","share":0.05}, {"mode":"full"}, {"target":"scratch"}. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Distinguishes tasks of one kind: "backup", "verify-sampled" ...: for keys and for how far the schedule was followed. */
  readonly name: string;
};

export function tasksOf(_policy: EffectivePolicy): readonly PolicyTask[] {
  throw new Error('not built yet');
}

/** Bytes a second that apply at a moment; absent: no limit. */
export type Bandwidth = { readonly uploadBytesPerSecond?: number; readonly downloadBytesPerSecond?: number };

export function bandwidthAt(_policy: EffectivePolicy, _at: Date): Bandwidth {
  throw new Error('not built yet');
}
