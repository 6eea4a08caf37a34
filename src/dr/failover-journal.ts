// The journal of a failover: one register for each plan, changed by compare-and-swap. It says which transitions and which actions took place,
// when, and with what findings; whoever reads it can go on.
//
//   declared -> fenced -> sealed -> caught-up -> granted -> promoted -> routed -> verified -> committed -> re-protecting -> normal
//
// Before "granted" a failover can be undone: -> undoing -> undone. Afterwards the way back is another failover.
//
// The plan itself lies beside it, by its digest: who goes on needs nothing but the registry. So does, by the id of each failover that was ever
// declared, the plan that it is of: whoever means that one never gets hold of another that came after it, and none is declared twice.

import { Fault } from '../base/faults.ts';
import type { FailoverKind } from '../model/failover-kind.ts';
import { FAILOVER_STATES } from '../model/failover-state.ts';
import { REGISTRY_VALUE_BYTES_MAX, type Registry, type RegistryOptions } from '../registry/registry.ts';
import type { LogEnd } from './writer-record.ts';

/** Of swaps that lose against others, in one change. */
const ATTEMPTS_MAX = 64;
/** Of what an action has said, until all of it fits. */
const OUTPUT_CHARS = [Number.POSITIVE_INFINITY, 250, 50, 0];

export type FailoverState = (typeof FAILOVER_STATES)[number] | 'undoing' | 'undone';

export type Facts = Readonly<Record<string, unknown>>;

export type FailoverEntry = {
  readonly state: FailoverState;
  /** Wall clock, ISO 8601: for people and for evidence, never for decisions. */
  readonly at: string;
  readonly facts: Facts;
};

/** A database that moves. The first one of a failover is its pivot: what happens to its register first, grant or undo, holds for all. */
export type FailoverDatabase = {
  readonly asset: string;
  readonly incarnation: string;
  /** Who takes over, as the writer register names it. */
  readonly target: string;
  /** The epoch that ends. */
  readonly epoch: number;
};

/** An action of the plan that was carried out: the last try of it. */
export type ActionRecord = {
  readonly id: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly outcome: 'done' | 'failed' | 'skipped';
  readonly facts: Facts;
};

/** What somebody has said about an action: a gate, a loss, or a failure that it goes on in spite of. */
export type Decision = { readonly action: string; readonly answer: 'yes' | 'no'; readonly by: string; readonly at: string };

export type GlassBroken = { readonly persons: readonly string[]; readonly reason: string; readonly at: string };

export type FailoverJournal = {
  readonly version: 1;
  readonly id: string;
  readonly plan: string;
  readonly planDigest: string;
  readonly kind: FailoverKind;
  readonly from: string;
  readonly to: string;
  readonly databases: readonly FailoverDatabase[];
  readonly reason: string;
  readonly approvers: readonly string[];
  /** When it is said to have happened, ISO 8601; null: when it was declared. */
  readonly disaster: string | null;
  readonly state: FailoverState;
  /** What the step of this state waits for: shown, and gone with the next transition. */
  readonly blockedBy: readonly string[];
  /** By asset: where the old epoch's log ends, once it is sealed. */
  readonly sealed: Readonly<Record<string, LogEnd>>;
  readonly actions: readonly ActionRecord[];
  readonly decisions: readonly Decision[];
  readonly glass: GlassBroken | null;
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

export function entered(journal: FailoverJournal, state: FailoverState, at: string, facts: Facts): FailoverJournal {
  return { ...journal, state, blockedBy: [], entries: [...journal.entries, { state, at, facts }] };
}

/** The facts with which it entered that state last. */
export function factsOf(journal: FailoverJournal, state: FailoverState): Facts {
  return journal.entries.findLast((entry) => entry.state === state)?.facts ?? {};
}

export function withAction(journal: FailoverJournal, action: ActionRecord): FailoverJournal {
  return { ...journal, actions: [...journal.actions.filter(({ id }) => id !== action.id), action] };
}

/** Of a failover that was ever declared. */
export async function planOfFailover(registry: Registry, id: string, options?: RegistryOptions): Promise<string | undefined> {
  return (await registry.read(idKey(id), options))?.value;
}

export class JournalRegister {
  readonly plan: string;
  readonly #registry: Registry;
  readonly #id: string | undefined;

  /** `id`: of the one failover that is meant; absent: the newest of the plan, whichever that is. */
  constructor(registry: Registry, plan: string, id?: string) {
    this.plan = plan;
    this.#registry = registry;
    this.#id = id;
  }

  /** FAILOVER_OVER when it is not the one that is meant. */
  async find(options?: RegistryOptions): Promise<KnownJournal | undefined> {
    const found = await this.#registry.read(this.#key, options);
    if (found === undefined) return undefined;
    const journal = JSON.parse(found.value) as FailoverJournal;
    if (journal.version !== 1 || journal.plan !== this.plan)
      throw new Fault('REGISTRY_DAMAGED', `The register ${this.#key} is not a journal that this program knows`);
    if (this.#id !== undefined && journal.id !== this.#id) throw isOver(this.#id, journal);
    return { journal, revision: found.revision };
  }

  /** The one of that id, if it was declared. FAILOVER_OVER when another came after it. */
  async declared(id: string, options?: RegistryOptions): Promise<KnownJournal | undefined> {
    const plan = await planOfFailover(this.#registry, id, options);
    // Looked at afterwards: one that is declared just now is found.
    const found = await this.find(options);
    if (found?.journal.id === id) {
      // Who declared it may have been killed before that.
      if (plan === undefined) await this.enter(id, options);
      return found;
    }
    if (plan === undefined) return undefined;
    throw found === undefined || plan !== this.plan
      ? new Fault('FAILOVER_OVER', `There was a failover ${id} already, of the plan ${plan}`)
      : isOver(id, found.journal);
  }

  /** From its answer on it counts as declared, whatever comes after it. */
  async enter(id: string, options?: RegistryOptions): Promise<void> {
    // 'conflict': it is there already.
    await this.#registry.swap(idKey(id), this.plan, 0, options);
  }

  /** FAILOVER_NONE when none was declared. */
  async read(options?: RegistryOptions): Promise<KnownJournal> {
    const found = await this.find(options);
    if (found === undefined) throw new Fault('FAILOVER_NONE', `No failover of the plan ${this.plan} was declared`);
    return found;
  }

  async swap(revision: number, next: FailoverJournal, options?: RegistryOptions): Promise<KnownJournal | 'conflict'> {
    const journal = fitted(next);
    const answer = await this.#registry.swap(this.#key, JSON.stringify(journal), revision, options);
    return answer === 'conflict' ? answer : { journal, revision: answer };
  }

  /** Applies a rule to the newest journal until that takes place. What the rule leaves as it is is not written. */
  async change(rule: (journal: FailoverJournal) => FailoverJournal, options?: RegistryOptions): Promise<FailoverJournal> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { journal, revision } = await this.read(options);
      const next = rule(journal);
      if (next === journal) return journal;
      const swapped = await this.swap(revision, next, options);
      if (swapped !== 'conflict') return swapped.journal;
    }
    throw new Fault('REGISTRY_UNREACHABLE', `The journal of ${this.plan} changes faster than it can be swapped`);
  }

  get #key(): string {
    return `dr/plans/${this.plan}/failover`;
  }
}

/** Of what programs have said as much as a register takes, the end of each: what they have said must not keep a failover from going on. */
function fitted(journal: FailoverJournal): FailoverJournal {
  return OUTPUT_CHARS.map((chars) => shortened(journal, chars)).find(isFitting) ?? journal;
}

function isFitting(journal: FailoverJournal): boolean {
  return Buffer.byteLength(JSON.stringify(journal)) <= REGISTRY_VALUE_BYTES_MAX;
}

function shortened(journal: FailoverJournal, chars: number): FailoverJournal {
  const actions = journal.actions.map((action): ActionRecord => {
    const { output } = action.facts;
    const isLong = typeof output === 'string' && output.length > chars;
    return isLong ? { ...action, facts: { ...action.facts, output: output.slice(output.length - chars) } } : action;
  });
  return { ...journal, actions };
}

function idKey(id: string): string {
  return `dr/failovers/${id}`;
}

function isOver(id: string, { plan, id: newest, entries }: FailoverJournal): Fault {
  return new Fault('FAILOVER_OVER', `The failover ${id} of ${plan} is over: ${newest} was declared after it, at ${entries[0]?.at}`);
}
