// The journal of a failover: one register for each incarnation, changed by compare-and-swap. It says which transitions took place, when, and
// with what findings; whoever reads it can go on.
//
//   declared -> fenced -> sealed -> caught-up -> granted -> promoted -> routed -> verified -> committed -> re-protecting -> normal
//
// Before "granted" a failover can be undone: -> undoing -> undone. Afterwards the way back is another failover.

import { Fault } from '../base/faults.ts';
import { FAILOVER_STATES } from '../model/failover-state.ts';
import type { Registry, RegistryOptions } from '../registry/registry.ts';
import type { LogEnd } from './writer-record.ts';

export type FailoverState = (typeof FAILOVER_STATES)[number] | 'undoing' | 'undone';

export type FailoverEntry = {
  readonly state: FailoverState;
  /** Wall clock, ISO 8601: for people and for evidence, never for decisions. */
  readonly at: string;
  readonly facts: Readonly<Record<string, unknown>>;
};

export type FailoverJournal = {
  readonly version: 1;
  readonly id: string;
  readonly incarnation: string;
  readonly kind: 'planned' | 'unplanned';
  /** Who takes over. */
  readonly target: string;
  /** The epoch that ends. */
  readonly epoch: number;
  readonly reason: string;
  readonly approvers: readonly string[];
  readonly state: FailoverState;
  /** What the step of this state waits for: shown, and gone with the next transition. */
  readonly blockedBy: readonly string[];
  /** Where the old epoch's log ends, once it is sealed. */
  readonly sealed: LogEnd | null;
  readonly entries: readonly FailoverEntry[];
};

export type KnownJournal = { readonly journal: FailoverJournal; readonly revision: number };

export function isFinished({ state }: FailoverJournal): boolean {
  return state === 'normal' || state === 'undone';
}

export function isUndoable({ state }: FailoverJournal): boolean {
  const at = FAILOVER_STATES.indexOf(state as 'declared');
  return at >= 0 && at < FAILOVER_STATES.indexOf('granted');
}

/** The state that follows. */
export function nextState(state: FailoverState): FailoverState {
  if (state === 'undoing') return 'undone';
  return FAILOVER_STATES[FAILOVER_STATES.indexOf(state as 'declared') + 1]!;
}

export function entered(
  journal: FailoverJournal,
  state: FailoverState,
  at: string,
  facts: FailoverEntry['facts'],
): FailoverJournal {
  return { ...journal, state, blockedBy: [], entries: [...journal.entries, { state, at, facts }] };
}

export class JournalRegister {
  readonly incarnation: string;
  readonly #registry: Registry;

  constructor(registry: Registry, incarnation: string) {
    this.#registry = registry;
    this.incarnation = incarnation;
  }

  async find(options?: RegistryOptions): Promise<KnownJournal | undefined> {
    const found = await this.#registry.read(this.#key, options);
    if (found === undefined) return undefined;
    const journal = JSON.parse(found.value) as FailoverJournal;
    if (journal.version !== 1 || journal.incarnation !== this.incarnation)
      throw new Fault('REGISTRY_DAMAGED', `The register ${this.#key} is not a journal that this program knows`);
    return { journal, revision: found.revision };
  }

  async swap(revision: number, journal: FailoverJournal, options?: RegistryOptions): Promise<KnownJournal | 'conflict'> {
    const answer = await this.#registry.swap(this.#key, JSON.stringify(journal), revision, options);
    return answer === 'conflict' ? answer : { journal, revision: answer };
  }

  get #key(): string {
    return `dr/${this.incarnation}/failover`;
  }
}
