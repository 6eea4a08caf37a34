// The state of the model of lease and promise, as rows of bytes for the explorer, and as records that the real code works on.
//
// Time is a number of ticks. A node's clock runs one unit a tick or two: a drift of 100 %, so that a drift that is not waited for shows within
// a few ticks. Units of the terms are "ms" for the code.

import { waitOutMs } from '../../src/dr/lease-terms.ts';

export const TERMS = { ttlMs: 2, drift: 1, marginMs: 2 } as const;
/** By number: those at first, and those that they are changed to. Shorter ones: who waited by them for the old ones would not wait enough. */
export const ALL_TERMS = [TERMS, { ...TERMS, ttlMs: 1 }] as const;
/** Ticks from the end of the right until the server is stopped, at worst. The margin is for it. */
export const STOP_LAG = 1;

const WAIT = waitOutMs(TERMS);
/** So long ago that every wait which began then is over. */
export const LONG_AGO = -WAIT;

export const NODES = ['a', 'b', 'c'] as const;
export const [FREE, ASKED, DONE, REFUSED] = [0, 1, 2, 3] as const;
export const [RENEW, CLAIM, RECLAIM, DEMOTE] = [1, 2, 3, 4] as const;
export const [OPEN, WITHHELD, DEMOTED] = [0, 1, 2] as const;
export const PROOFS = ['first', 'same server', 'demotion', 'power-off', 'expiry', 'unclaimed', 'break-glass'] as const;

/** A request to the register: under way, then its answer under way. */
export type Swap = {
  phase: number;
  kind: number;
  expects: number;
  sentAt: number;
  life: number;
  epoch: number;
  /** Of the record that was swapped in. */
  candidates: number;
  terms: number;
};

export type Asking = { phase: number; sentAt: number; epoch: number; terms: number };

export type Node = {
  isUp: number;
  isWritable: number;
  /** When the watchdog stops the server, by the node's clock. */
  stopAt: number;
  /** The revision of the register that it knows. */
  knows: number;
  /** Of the holder; epoch 0: it is none. */
  epoch: number;
  life: number;
  leaseUntil: number;
  candidates: number;
  isOver: number;
  terms: number;
  promisedBy: number[];
  /** Of the candidate. */
  hasPromised: number;
  startedAt: number;
  epochSeen: number;
  isWithheld: number;
  swaps: Swap[];
  asks: Asking[];
};

export type State = {
  t: number;
  revision: number;
  epoch: number;
  holder: number;
  life: number;
  state: number;
  candidates: number;
  terms: number;
  proof: number;
  nodes: Node[];
  lives: number;
  /** The orchestrator: the revision that it has seen, and when. */
  seen: number;
  seenAt: number;
  /** What may still happen. */
  renewals: number;
  promises: number;
  crashes: number;
  withholds: number;
  undos: number;
  demotions: number;
  changes: number;
  relets: number;
};

export type Scenario = {
  readonly nodes: number;
  /** Units a tick, of each node; the orchestrator has the clock of the last one. */
  readonly rates: readonly number[];
  /** Requests of one node to the register that may be under way at once. */
  readonly swaps: number;
  readonly ticks: number;
  readonly renewals: number;
  readonly promises: number;
  readonly crashes: number;
  /** Of gates that claimed; the first primary's is one. */
  readonly lives: number;
  readonly withholds: number;
  readonly undos: number;
  readonly demotions: number;
  /** Of the candidates, by the holder: it adds the last node, which is none before. */
  readonly changes: number;
  /** Changes of the terms, where a gate is down. */
  readonly relets: number;
  /** What always works, and at once. Then the primary must never stop. */
  readonly healthy?: 'register' | 'promises';
};

const swapFields = ['phase', 'kind', 'expects', 'sentAt', 'life', 'epoch', 'candidates', 'terms'] as const;
const askFields = ['phase', 'sentAt', 'epoch', 'terms'] as const;
const nodeFields = [
  'isUp',
  'isWritable',
  'stopAt',
  'knows',
  'epoch',
  'life',
  'leaseUntil',
  'candidates',
  'isOver',
  'terms',
  'hasPromised',
  'startedAt',
  'epochSeen',
  'isWithheld',
] as const;
const stateFields = [
  't',
  'revision',
  'epoch',
  'holder',
  'life',
  'state',
  'candidates',
  'terms',
  'proof',
  'lives',
  'seen',
  'seenAt',
  'renewals',
  'promises',
  'crashes',
  'withholds',
  'undos',
  'demotions',
  'changes',
  'relets',
] as const;

export function initialState(scenario: Scenario): State {
  const { nodes, changes, swaps } = scenario;
  const others = (1 << nodes) - 2;
  const candidates = changes > 0 ? others & ~(1 << (nodes - 1)) : others;
  const node = (n: number): Node => ({
    isUp: 1,
    isWritable: n === 0 ? 1 : 0,
    stopAt: n === 0 ? TERMS.ttlMs : 0,
    knows: 1,
    epoch: n === 0 ? 1 : 0,
    life: n === 0 ? 1 : 0,
    leaseUntil: n === 0 ? TERMS.ttlMs : 0,
    candidates: n === 0 ? candidates : 0,
    isOver: 0,
    terms: 0,
    promisedBy: Array(nodes).fill(0),
    hasPromised: 0,
    startedAt: LONG_AGO,
    epochSeen: 1,
    isWithheld: 0,
    swaps: Array.from({ length: swaps }, () => ({
      phase: 0,
      kind: 0,
      expects: 0,
      sentAt: 0,
      life: 0,
      epoch: 0,
      candidates: 0,
      terms: 0,
    })),
    asks: Array.from({ length: nodes }, () => ({ phase: 0, sentAt: 0, epoch: 0, terms: 0 })),
  });
  const { renewals, promises, crashes, withholds, undos, demotions, relets } = scenario;
  const budgets = { renewals, promises, crashes, withholds, undos, demotions, changes, relets };
  const register = { t: 0, revision: 1, epoch: 1, holder: 0, life: 1, state: OPEN, candidates, terms: 0, proof: 0 };
  return { ...register, nodes: Array.from({ length: nodes }, (_, n) => node(n)), lives: 1, seen: 0, seenAt: 0, ...budgets };
}

export function widthOf({ nodes, swaps }: Scenario): number {
  return stateFields.length + nodes * (nodeFields.length + nodes + swaps * swapFields.length + nodes * askFields.length);
}

/** Where the explorer's numbers of revisions begin: only which is the current one, and the one before, can matter. */
const REVISION = 9;

/** What lies in the past for good is the same whenever it was: such states are one. */
function normalize(state: State, scenario: Scenario): void {
  const nowOf = (n: number): number => clockOf(scenario, n, state.t);
  const recent = (revision: number): number => Math.max(0, REVISION - (state.revision - revision));
  const orchestrator = nowOf(scenario.nodes - 1);
  if (state.seen !== state.revision) state.seenAt = LONG_AGO;
  if (state.seenAt + WAIT <= orchestrator) state.seenAt = LONG_AGO;
  state.seen = state.seen === 0 ? 0 : recent(state.seen);
  state.nodes.forEach((node, n) => {
    const now = nowOf(n);
    if (node.isWritable === 0) node.stopAt = 0;
    if (node.leaseUntil <= now) node.leaseUntil = 0;
    if (node.hasPromised <= now) node.hasPromised = 0;
    if (node.startedAt + WAIT <= now) node.startedAt = LONG_AGO;
    node.promisedBy = node.promisedBy.map((until) => (until <= now ? 0 : until));
    node.knows = node.knows === 0 ? 0 : recent(node.knows);
    for (const swap of node.swaps) {
      if (swap.phase === FREE) continue;
      swap.expects = recent(swap.expects);
      if (swap.sentAt + TERMS.ttlMs <= now) swap.sentAt = LONG_AGO;
    }
    for (const ask of node.asks) if (ask.phase !== FREE && ask.sentAt + TERMS.ttlMs <= now) ask.sentAt = LONG_AGO;
  });
  state.revision = REVISION;
}

export function encode(state: State, row: Uint8Array, scenario: Scenario): void {
  normalize(state, scenario);
  let at = 0;
  const put = (value: number): void => {
    if (value < LONG_AGO || value > 255 + LONG_AGO) throw new Error(`${value} does not fit`);
    row[at++] = value - LONG_AGO;
  };
  for (const name of stateFields) put(state[name]);
  for (const node of state.nodes) {
    for (const name of nodeFields) put(node[name]);
    node.promisedBy.forEach(put);
    for (const swap of node.swaps) for (const name of swapFields) put(swap[name]);
    for (const ask of node.asks) for (const name of askFields) put(ask[name]);
  }
}

export function decode(row: Uint8Array, { nodes, swaps }: Scenario): State {
  let at = 0;
  const take = (names: readonly string[]): Record<string, number> => {
    const record: Record<string, number> = {};
    for (const name of names) record[name] = row[at++]! + LONG_AGO;
    return record;
  };
  const state = take(stateFields) as unknown as State;
  state.nodes = [];
  for (let n = 0; n < nodes; n++) {
    const node = take(nodeFields) as unknown as Node;
    node.promisedBy = [];
    for (let i = 0; i < nodes; i++) node.promisedBy.push(row[at++]! + LONG_AGO);
    node.swaps = [];
    for (let i = 0; i < swaps; i++) node.swaps.push(take(swapFields) as unknown as Swap);
    node.asks = [];
    for (let i = 0; i < nodes; i++) node.asks.push(take(askFields) as unknown as Asking);
    state.nodes.push(node);
  }
  return state;
}

export function clockOf(scenario: Scenario, node: number, t: number): number {
  return t * scenario.rates[node]!;
}
