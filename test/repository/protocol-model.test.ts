import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { ExplorationReport } from './protocol-explore.ts';
import { explore } from './protocol-explorer.ts';
import { protocolModel } from './protocol-model.ts';
import { backup, CLEANED, resuming, SCENARIOS, type ScenarioName, STATES_MAX, scenario } from './protocol-scenarios.ts';
import { backupBit, type Mutant, S0, type Scenario } from './protocol-world.ts';

const TIMEOUT_MS = 600_000;
const EXPLORE = new URL('protocol-explore.ts', import.meta.url).pathname;

async function explored(name: ScenarioName): Promise<ExplorationReport> {
  const { stdout } = await promisify(execFile)(process.execPath, [EXPLORE, name], { maxBuffer: 1 << 24 });
  return JSON.parse(stdout) as ExplorationReport;
}

describe('The protocol, in every interleaving', () => {
  it.each(Object.keys(SCENARIOS) as ScenarioName[])(
    'loses nothing, and leaves nothing for ever: %s',
    async (name) => {
      const { states, transitions, depth, violation, stores, storesAtRest } = await explored(name);
      console.info(`${name}: ${states} states, ${transitions} transitions, up to ${depth} steps ${JSON.stringify(stores ?? {})}`);
      expect(violation).toBeUndefined();
      expect(states).toBeGreaterThan(10_000);
      if (!CLEANED.includes(name)) return;
      // Whatever state everybody dies in, one prune brings back all waste; but for the one thing that nobody finds: README.md, "What can be
      // left behind". When all have come to their end by themselves, not even that is left.
      expect(stores?.clean).toBeGreaterThan(100);
      expect(Object.keys(stores ?? {}).filter((outcome) => outcome !== 'clean' && outcome !== 'stray register')).toEqual([]);
      expect(Object.keys(storesAtRest ?? {})).toEqual(['clean']);
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
    ['delete what a void plan has stored', scenario({ backups: [resuming], prunes: 2 }), gone],
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
