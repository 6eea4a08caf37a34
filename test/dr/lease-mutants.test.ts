import { describe, expect, it } from 'vitest';
import { explore } from '../repository/protocol-explorer.ts';
import { leaseModel } from './lease-model.ts';
import { MUTANTS } from './lease-scenarios.ts';
import { walk } from './lease-walk.ts';

const TIMEOUT_MS = 300_000;
const STATES_MAX = 600_000;
const WALKS = 150;

describe('The model finds what goes wrong when somebody would', () => {
  it.each(MUTANTS)(
    '%s',
    (mutant, scenario) => {
      const { violation } = explore(leaseModel(scenario, mutant), STATES_MAX);
      expect(violation?.what).toMatch(/^two servers are writable$|^a commit after the demotion/);
    },
    TIMEOUT_MS,
  );

  it(
    'grant without waiting, in random walks too',
    () => {
      expect(walk(WALKS, 1, 'grant without waiting').violation?.what).toBe('two servers are writable');
    },
    TIMEOUT_MS,
  );
});
