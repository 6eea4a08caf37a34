import { describe, expect, it } from 'vitest';
import { type Exploration, explore, StateSet } from './protocol-explorer.ts';
import { atRest, cleanUp, dead, protocolModel } from './protocol-model.ts';
import { type BackupSpec, BLOCK_A, backupBit, type Mutant, S0, type Scenario, World } from './protocol-world.ts';

// Nobody has to crash here: an agent that takes no further step is a dead one, and every state is also explored without its next step. So
// each scenario covers the death of any of its agents at any point, and what the others do about it.

const backup = (details: Partial<BackupSpec> = {}): BackupSpec => ({ kind: 'new', wants: BLOCK_A, mayAbandon: false, ...details });
/** Goes on where backup 0 died. */
const resuming = backup({ kind: 'resume', wants: BLOCK_A | backupBit(0) });
const scenario = (details: Partial<Scenario>): Scenario => ({
  backups: [backup()],
  prunes: 1,
  forgets: [S0],
  reader: false,
  housekeeping: true,
  lostAnswers: 0,
  ...details,
});

const SCENARIOS = {
  'a backup, a prune, a forget, a lost answer': scenario({ backups: [backup({ mayAbandon: true })], lostAnswers: 1 }),
  'a backup, a prune, a forget, a reader': scenario({ reader: true, lostAnswers: 1 }),
  'two backups that may give up, a prune, a forget, a lost answer': scenario({
    backups: [backup({ mayAbandon: true }), backup({ mayAbandon: true })],
    lostAnswers: 1,
  }),
  'a backup, two prunes, a forget, a lost answer': scenario({ prunes: 2, lostAnswers: 1 }),
  'a backup, another that takes over its packs, a prune, a forget': scenario({ backups: [backup(), resuming] }),
  'a backup, another that shares its map, a prune, both forgotten': scenario({
    backups: [backup(), backup({ wants: BLOCK_A | backupBit(0) })],
    forgets: [S0, backupBit(0)],
  }),
  'two backups, two prunes without housekeeping, a forget': scenario({
    backups: [backup(), backup()],
    prunes: 2,
    housekeeping: false,
  }),
} satisfies Record<string, Scenario>;
type ScenarioName = keyof typeof SCENARIOS;

const CLEANED: readonly ScenarioName[] = [
  'a backup, a prune, a forget, a lost answer',
  'a backup, a prune, a forget, a reader',
  'two backups that may give up, a prune, a forget, a lost answer',
  'a backup, another that takes over its packs, a prune, a forget',
];

const STATES_MAX = 8_000_000;
const TIMEOUT_MS = 600_000;

const explored = new Map<ScenarioName, Exploration>();

/** Each scenario once; kept for those whose states are looked at again. */
function explorationOf(name: ScenarioName): Exploration {
  const exploration = explored.get(name) ?? explore(protocolModel(SCENARIOS[name]), STATES_MAX);
  if (CLEANED.includes(name)) explored.set(name, exploration);
  return exploration;
}

describe('The protocol, in every interleaving', () => {
  it.each(Object.keys(SCENARIOS) as ScenarioName[])(
    'loses nothing: %s',
    (name) => {
      const { states, transitions, depth, violation } = explorationOf(name);
      console.info(`${name}: ${states} states, ${transitions} transitions, up to ${depth} steps`);
      expect(violation).toBeUndefined();
    },
    TIMEOUT_MS,
  );
});

describe('Whatever state everybody dies in', () => {
  it.each(CLEANED)(
    'one prune brings back all waste: %s',
    (name) => {
      const world = new World(SCENARIOS[name], undefined);
      const { forEach } = explorationOf(name);
      const cleaned = new StateSet(world.width);
      const outcomes = new Map<string, number>();
      forEach((state) => {
        // When all have come to their end by themselves, not even a stray register may be left.
        if (atRest(world, state)) expect(cleanUp(world, state)).toBe('clean');
        if (!cleaned.add(dead(world, state))) return;
        const outcome = cleanUp(world, state);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      });
      console.info(`${name}: ${cleaned.size} stores, ${JSON.stringify(Object.fromEntries(outcomes))}`);
      outcomes.delete('clean');
      // The one thing that nobody finds: README.md, "What can be left behind".
      outcomes.delete('stray register');
      expect(Object.fromEntries(outcomes)).toEqual({});
    },
    TIMEOUT_MS,
  );
});

/** A change of the protocol that looks harmless, and what it leads to. */
const MUTANTS: readonly (readonly [Mutant, Scenario, string])[] = (() => {
  const one = scenario({ housekeeping: false });
  const reader = scenario({ reader: true });
  const resume = scenario({ backups: [backup(), resuming], housekeeping: false });
  const lost = 'a snapshot has lost a block';
  const condemned = 'the index names a condemned pack';
  const gone = 'the index names a pack that is not stored';
  const unregistered = 'a registered snapshot has no register';
  const told = 'a backup was told of success and is not there';
  return [
    ['sweep without settling', one, 'a list that is not settled has lost an index object'],
    ['settle without looking at commits', one, lost],
    ['settle leaves what it keeps on the list', one, condemned],
    ['await those of the plan', one, lost],
    ['condemn without checking the snapshots', one, lost],
    ['condemn without checking the generation', scenario({ prunes: 2, housekeeping: false, lostAnswers: 0 }), condemned],
    ['condemn from a head older than the list', one, condemned],
    ['condemn packs of running sessions', one, condemned],
    ['condemn overwrites the index', one, lost],
    ['condemn ignores pins', reader, lost],
    ['move blocks without a session', scenario({ prunes: 2, housekeeping: false }), condemned],
    ['delete what was only listed', resume, gone],
    ['learn the index before joining', one, lost],
    ['share maps of awaited snapshots', scenario({ backups: [backup(), backup()], housekeeping: false }), lost],
    ['join again under the same name', scenario({ lostAnswers: 1 }), unregistered],
    ['publish again what the head does not name', scenario({ lostAnswers: 1 }), 'the head names an index object that is deleted'],
    ['commit before the upload', one, lost],
    ['commit without looking at the head', scenario({}), told],
    ['revoke without compare-and-swap', one, unregistered],
    ['drop without a register', one, told],
    ['finish what is not among the writers', scenario({ forgets: [S0, backupBit(0)] }), unregistered],
    ['delete the register before forgetting', one, unregistered],
    ['delete registers of pinned snapshots', reader, unregistered],
    ['adopt without checking the generation', resume, condemned],
    ['adopt without checking condemned lists', resume, condemned],
    ['adopt without asking for the pack', resume, gone],
    ['drop the list before deleting', resume, gone],
  ];
})();

describe('The model finds what goes wrong when the protocol', () => {
  it.each(MUTANTS)(
    'would %s',
    (mutant, where, what) => {
      const { violation, states } = explore(protocolModel(where, mutant), STATES_MAX);
      expect(violation?.what, `${states} states`).toBe(what);
    },
    TIMEOUT_MS,
  );
});
