// What the model is explored with. A person explores one of them by: bin/node test/repository/protocol-explore.ts "<name>"

import { type BackupSpec, BLOCK_A, BLOCK_B, backupBit, S0, type Scenario } from './protocol-world.ts';

// Nobody has to crash here: an agent that takes no further step is a dead one, and every state is also explored without its next step. So
// each scenario covers the death of any of its agents at any point, and what the others do about it.

export const backup = (details: Partial<BackupSpec> = {}): BackupSpec => ({
  kind: 'new',
  wants: BLOCK_A,
  mayAbandon: false,
  ...details,
});
/** Goes on where backup 0 died. */
export const resuming = backup({ kind: 'resume', wants: BLOCK_A | BLOCK_B | backupBit(0) });
export const scenario = (details: Partial<Scenario>): Scenario => ({
  backups: [backup()],
  prunes: 1,
  forgets: [S0],
  reader: false,
  housekeeping: true,
  lostAnswers: 0,
  ...details,
});

export const SCENARIOS = {
  'a backup, a prune, a forget, a lost answer': scenario({ backups: [backup({ mayAbandon: true })], lostAnswers: 1 }),
  'a backup, a prune, a forget, a reader, a lost answer': scenario({ reader: true, lostAnswers: 1 }),
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
export type ScenarioName = keyof typeof SCENARIOS;

/** Those of which every state is cleaned up. */
export const CLEANED: readonly ScenarioName[] = [
  'a backup, a prune, a forget, a lost answer',
  'a backup, a prune, a forget, a reader, a lost answer',
  'two backups that may give up, a prune, a forget, a lost answer',
  'a backup, another that takes over its packs, a prune, a forget',
];

export const STATES_MAX = 8_000_000;
