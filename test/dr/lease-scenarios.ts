// What the model of lease and promise is explored under. Each is as large as a few seconds allow; the long form (lease-walk.ts) goes further.

import type { Mutant } from './lease-model.ts';
import type { Scenario } from './lease-world.ts';

const nothing = { renewals: 0, promises: 0, crashes: 0, lives: 2, withholds: 1, undos: 0, demotions: 0, changes: 0, relets: 0 };
/** The primary's clock is the slow one: the worst that can be. */
const two = { ...nothing, nodes: 2, rates: [1, 2], swaps: 1, ticks: 6 };
const three = { ...nothing, nodes: 3, rates: [1, 1, 2], swaps: 1, ticks: 5 };

export const SCENARIOS = {
  'a failover against a primary that renews and asks': { ...two, renewals: 1, promises: 2 },
  'the same with clocks the other way round': { ...two, rates: [2, 1], renewals: 1, promises: 2 },
  'renewals that arrive late': { ...two, renewals: 2, promises: 0, swaps: 2 },
  'a gate that crashes': { ...two, renewals: 1, crashes: 1 },
  'a candidate that is restarted': { ...two, promises: 1, crashes: 1, lives: 3 },
  'a planned switch': { ...two, promises: 1, demotions: 1, ticks: 5 },
  'a failover that is undone': { ...two, renewals: 1, withholds: 2, undos: 1 },
  'a planned switch that is undone': { ...two, demotions: 1, undos: 1, lives: 3, ticks: 5 },
  'a candidate that is added': { ...three, promises: 1, changes: 1, ticks: 4 },
  'terms that are changed, with promises': { ...two, promises: 1, crashes: 1, relets: 1, ticks: 5 },
  'terms that are changed, with renewals': { ...two, renewals: 1, crashes: 1, relets: 1, ticks: 5 },
  'terms that are changed after a failover': { ...two, rates: [1, 1], promises: 1, crashes: 1, relets: 1, lives: 3, ticks: 5 },
  'a failover and one back': { ...two, withholds: 2, lives: 3, promises: 1, ticks: 8 },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

/** Where nothing but one thing fails. */
export const HEALTHY: Readonly<Record<string, Scenario>> = {
  'the candidates and the orchestrator are silent': { ...two, healthy: 'register', renewals: 20, withholds: 0, crashes: 0 },
  'the quorum is gone': { ...three, healthy: 'promises', promises: 20, withholds: 0, ticks: 6 },
};

export const MUTANTS: readonly (readonly [Mutant, Scenario])[] = [
  ['wait without the drift', two],
  ['wait without the margin', two],
  ['count the lease from the answer', { ...two, renewals: 1 }],
  ['count a promise from the answer', { ...two, promises: 1 }],
  ['grant without waiting', two],
  ['grant what was seen in another revision', { ...two, renewals: 1, withholds: 2, undos: 1, ticks: 8 }],
  ['claim without waiting for the own promises', { ...two, promises: 1 }],
  ['claim after a restart as if nothing had been promised', { ...two, promises: 1, crashes: 1 }],
  ['promise before the register was read', { ...two, promises: 1, crashes: 1, lives: 3 }],
  ['promise to holders of older epochs', { ...two, promises: 1, crashes: 1, lives: 3 }],
  ['be content with the promise of one candidate', { ...three, promises: 1 }],
  ['renew whatever the revision', { ...two, renewals: 1 }],
  ['forget the candidates that were offered', { ...three, promises: 1, changes: 1 }],
  ['write on after the demotion was begun', { ...two, demotions: 1 }],
  ['change the terms while a server runs', { ...two, promises: 1, relets: 1 }],
  ['change the terms of what was granted and is not claimed', { ...two, promises: 1, crashes: 1, relets: 1 }],
];
