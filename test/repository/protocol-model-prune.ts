// The steps of a prune: src/repository/maintenance.ts, writers.ts, sweep.ts. Between its tasks it stands at the hub and may do anything that
// there is to do, in any order, also what another prune has begun. It condemns once.

import { endWriterSteps, LEAVE, lookAtWriter, SAW_COMMITTED, SAW_OPEN } from './protocol-model-writers.ts';
import {
  BACKUP_BITS,
  backupBit,
  type Change,
  CLEANER,
  type Done,
  END,
  F,
  GONE,
  HUB,
  NONE,
  OPEN,
  P,
  PENDING,
  PRUNE_BITS,
  PRUNE_NAMES,
  type PruneAgent,
  pruneBit,
  SETTLED,
  type State,
  type World,
} from './protocol-world.ts';

const JOIN = 0;
const PLAN = 2;
const MOVE = 3;
const CONDEMN = 4;
const SETTLE = 5;
const UNSURE = 6;
const SWEEP = 7;
const DELETE_REGISTERS = 8;
const CLEAR_RETIRED = 9;
const LIST_LATE = 10;
const DELETE_LISTED = 11;
const DISCARD = 12;

export function pruneSteps(world: World, state: State, p: number, begin: () => State, done: Done): void {
  const field = (name: number) => world.prune(p, name);
  const [pc, target, mask, roots, moved, drop] = [P.pc, P.target, P.mask, P.roots, P.moved, P.drop].map(field) as number[];
  if (state[pc!] === END) return;
  const step = (label: string, next: number, change?: Change): void => {
    const s = begin();
    change?.(s);
    s[pc!] = next;
    if (next === HUB) s[target!] = s[mask!] = s[roots!] = s[drop!] = 0;
    done(PRUNE_NAMES[p]!, label);
  };
  const swap = (label: string, change: Change): void => {
    step(label, HUB, change);
    if (state[F.lost]! >= world.scenario.lostAnswers) return;
    step(`${label}, and the answer is lost`, UNSURE, (s) => {
      change(s);
      s[F.lost]!++;
    });
  };
  const bit = pruneBit(p);
  const isWriter = (state[F.writers]! & bit) !== 0 || world.mutant === 'move blocks without a session';
  const agent: PruneAgent = {
    world,
    state,
    p,
    bit,
    target: target!,
    mask: mask!,
    roots: roots!,
    moved: moved!,
    drop: drop!,
    isWriter,
    step,
    swap,
  };
  const at = STEPS[state[pc!]!];
  if (at === undefined) endWriterSteps(agent, state[pc!]!);
  else at(agent);
}

const STEPS: Readonly<Record<number, (agent: PruneAgent) => void>> = {
  [JOIN]: ({ world, bit, step }) =>
    step('joins', HUB, (s) => {
      if (world.mutant !== 'move blocks without a session') s[F.writers]! |= bit;
    }),
  [HUB]: atHub,
  [PLAN]: plan,
  [LIST_LATE]: ({ state, mask, step }) => {
    const listed = state[F.stored]! & ~state[mask]!;
    step('lists packs late', listed === 0 ? HUB : CONDEMN, (s) => {
      s[mask] = listed;
    });
  },
  [MOVE]: ({ bit, step }) =>
    step('stores moved blocks', CONDEMN, (s) => {
      s[F.stored]! |= bit;
    }),
  [CONDEMN]: condemn,
  [SETTLE]: settle,
  // Its place among the writers counts its steps: while it is there, it knows.
  [UNSURE]: ({ isWriter, step }) => step('finds out what it has done', isWriter ? HUB : END),
  [SWEEP]: sweep,
  [DELETE_REGISTERS]: ({ world, state, mask, step }) =>
    step('deletes registers', CLEAR_RETIRED, (s) => {
      for (let rest = state[mask]!; rest !== 0; rest &= rest - 1) s[world.register(rest & -rest)] = NONE;
    }),
  [CLEAR_RETIRED]: ({ state, mask, step }) =>
    step('clears what is retired', HUB, (s) => {
      s[F.retired]! &= ~state[mask]!;
    }),
  [DISCARD]: ({ bit, step }) =>
    step('deletes what it has stored', HUB, (s) => {
      s[F.stored]! &= ~bit;
    }),
  [DELETE_LISTED]: ({ state, mask, step }) =>
    step('deletes what it listed', HUB, (s) => {
      s[F.stored]! &= ~state[mask]!;
    }),
};

function atHub(agent: PruneAgent): void {
  const { world, state, p, bit, mask, roots, step } = agent;
  const doesHouse = world.scenario.housekeeping || p === CLEANER;
  for (let w = 0; w < world.scenario.backups.length; w++) if (state[F.writers]! & backupBit(w)) lookAtWriter(agent, w);
  for (const q of world.prunes) atList(agent, q);
  for (let other = doesHouse ? state[F.writers]! & PRUNE_BITS & ~bit : 0; other !== 0; other &= other - 1) {
    step('drops maintenance', HUB, (s) => {
      s[F.writers]! &= ~(other & -other);
    });
  }
  const deletable = state[F.retired]! & ~(world.mutant === 'delete registers of pinned snapshots' ? 0 : state[F.pins]!);
  if (deletable && doesHouse) {
    step('tidies registers', DELETE_REGISTERS, (s) => {
      s[mask] = deletable;
    });
  }
  if (state[world.prune(p, P.list)] === NONE) {
    const isLate = world.mutant === 'condemn from a head older than the list';
    step('lists packs', isLate ? LIST_LATE : PLAN, (s) => {
      s[mask] = isLate ? s[F.index]! | world.condemned(s) | s[F.writers]! : s[F.stored]!;
      if (!isLate) return;
      s[roots] = world.roots(s);
      s[F.fresh]! |= bit;
    });
  }
  // One that stays here for ever has left, for the others. Only the one that must be through leaves.
  if (p !== CLEANER) return;
  step('leaves', END, (s) => {
    s[F.writers]! &= ~bit;
  });
}

function atList({ world, state, bit, target, mask, step }: PruneAgent, q: number): void {
  const { mutant } = world;
  const list = state[world.prune(q, P.list)];
  const packs = state[world.prune(q, P.packs)]!;
  const awaits = state[world.prune(q, P.awaits)]!;
  if (list === PENDING && (awaits & state[F.writers]!) === 0) {
    step('examines a list', SETTLE, (s) => {
      const lost = world.needs(s, awaits & world.roots(s)) & ~world.blocksOf(s, s[F.index]!);
      s[target] = pruneBit(q);
      s[F.fresh]! |= bit;
      for (let rest = packs; rest !== 0; rest &= rest - 1) if (world.blocksOf(s, rest & -rest) & lost) s[mask]! |= rest & -rest;
      if (mutant === 'settle without looking at commits') s[mask] = 0;
    });
  }
  if (list === SETTLED || (list === PENDING && mutant === 'sweep without settling')) {
    step('sweeps a list', SWEEP, (s) => {
      s[target] = pruneBit(q);
      s[mask] = packs;
      if (mutant === 'drop the list before deleting') s[world.prune(q, P.list)] = GONE;
    });
  }
}

/** Which packs are dead, or half dead with their live blocks moved. */
function plan({ world, state, p, bit, target, mask, roots, moved, drop, step }: PruneAgent): void {
  const { mutant } = world;
  const running = mutant === 'condemn packs of running sessions' ? bit : state[F.writers]!;
  const garbage = state[mask]! & ~(state[F.index]! | world.condemned(state) | running | bit);
  if (mutant === 'delete what was only listed' && garbage !== 0) {
    step('decides to delete what it listed', DELETE_LISTED, (s) => {
      s[mask] = garbage;
    });
    return;
  }
  const { dead, move } = deadPacks(world, state, p, running);
  const condemned = garbage | dead;
  if (condemned === 0) {
    step('finds nothing to condemn', HUB);
    return;
  }
  step('plans', move !== 0 && (state[F.stored]! & bit) === 0 ? MOVE : CONDEMN, (s) => {
    s[mask] = condemned | (move === 0 ? 0 : bit);
    s[roots] = world.roots(s);
    s[F.fresh]! |= bit;
    // Every plan merges the index objects of backups that there are.
    s[drop] = s[F.own]!;
    if (move !== 0) s[moved] = move;
    if (mutant === 'condemn overwrites the index') s[target] = s[F.index]!;
    if (mutant === 'await those of the plan') s[target] = s[F.writers]! & BACKUP_BITS;
  });
}

function deadPacks(world: World, state: State, p: number, running: number): { readonly dead: number; readonly move: number } {
  const live = state[F.index]!;
  const bit = pruneBit(p);
  const needed = world.needs(state, world.roots(state));
  const hasMoved = (state[F.stored]! & bit) !== 0;
  let dead = 0;
  let move = 0;
  for (let rest = live & ~running; rest !== 0; rest &= rest - 1) {
    const pack = rest & -rest;
    const blocks = world.blocksOf(state, pack);
    const only = needed & blocks & ~world.blocksOf(state, live & ~pack & ~dead);
    const mayMove = !hasMoved || ((live & bit) === 0 && state[world.prune(p, P.moved)] === only);
    if (only !== 0 && (only === blocks || !mayMove)) continue;
    dead |= pack;
    move |= only;
  }
  return { dead, move };
}

function condemn({ world, state, p, bit, target, mask, roots, drop, isWriter, step, swap }: PruneAgent): void {
  const { mutant } = world;
  const isFresh = (state[F.fresh]! & bit) !== 0 || mutant === 'condemn without checking the generation';
  const isMarked = (world.roots(state) & ~state[roots]!) === 0 || mutant === 'condemn without checking the snapshots';
  if (!isWriter) step('learns that it is dropped', END);
  else if (!isFresh || !isMarked) step('must plan again', mutant === 'delete what a void plan has stored' ? DISCARD : HUB);
  else {
    swap('condemns', (s) => {
      const packs = state[mask]! & ~bit;
      const index = mutant === 'condemn overwrites the index' ? state[target]! : state[F.index]!;
      const awaits = mutant === 'await those of the plan' ? state[target]! : state[F.writers]! & BACKUP_BITS;
      s[F.index] = (index & ~packs) | (state[mask]! & bit);
      s[F.own]! &= ~state[drop]!;
      s[F.fresh] = 0;
      s[world.prune(p, P.dropped)] = state[drop]!;
      s[world.prune(p, P.list)] = awaits === 0 ? SETTLED : PENDING;
      s[world.prune(p, P.packs)] = packs;
      s[world.prune(p, P.awaits)] = awaits;
    });
  }
}

function settle({ world, state, bit, target, mask, isWriter, step, swap }: PruneAgent): void {
  const q = world.prunes.find((other) => pruneBit(other) === state[target])!;
  if (!isWriter) step('learns that it is dropped', END);
  else if ((state[F.fresh]! & bit) === 0 || state[world.prune(q, P.list)] !== PENDING) step('must examine again', HUB);
  else {
    swap('settles the list', (s) => {
      const kept = state[mask]!;
      s[F.index]! |= kept;
      if (world.mutant !== 'settle leaves what it keeps on the list') s[world.prune(q, P.packs)]! &= ~kept;
      s[world.prune(q, P.list)] = SETTLED;
      if (kept !== 0) s[F.fresh] = 0;
    });
  }
}

function sweep({ world, state, target, mask, step }: PruneAgent): void {
  const pack = state[mask]! & -state[mask]!;
  const q = world.prunes.find((other) => pruneBit(other) === state[target])!;
  const dropped = state[world.prune(q, P.dropped)]!;
  if (pack !== 0) {
    step('deletes a pack', SWEEP, (s) => {
      s[F.stored]! &= ~pack;
      s[mask]! &= ~pack;
    });
  } else if (dropped & ~state[F.ownGone]!) {
    step('deletes index objects', SWEEP, (s) => {
      s[F.ownGone]! |= dropped;
    });
  } else {
    step('drops the list', HUB, (s) => {
      s[world.prune(q, P.list)] = GONE;
    });
  }
}

/** Takes at once the steps that only find out what cannot change any more. Fewer states, the same behaviour. */
export function tidyPrune(world: World, s: State, p: number): void {
  const field = (name: number) => world.prune(p, name);
  const pc = field(P.pc);
  if (s[pc]! <= HUB || s[pc] === END) return;
  const target = s[field(P.target)]!;
  const mask = field(P.mask);
  const isFresh = (s[F.fresh]! & pruneBit(p)) !== 0;
  let next = s[pc]!;
  if ((next === MOVE || next === CONDEMN || next === SETTLE) && (s[F.writers]! & pruneBit(p)) === 0) next = END;
  else if ((next === CONDEMN || next === SETTLE) && !isFresh) next = HUB;
  else if (next === SAW_OPEN && s[world.register(target)] !== OPEN) next = HUB;
  else if ((next === SAW_COMMITTED || next === LEAVE) && (s[F.writers]! & target) === 0) next = HUB;
  else if (next === SWEEP) {
    // A pack that is gone does not come back.
    s[mask]! &= s[F.stored]!;
    const q = world.prunes.find((other) => pruneBit(other) === target)!;
    if (s[mask] === 0 && s[world.prune(q, P.list)] === GONE) next = HUB;
  } else if (next === CLEAR_RETIRED) {
    s[mask]! &= s[F.retired]!;
    if (s[mask] === 0) next = HUB;
  }
  if (next === s[pc]) return;
  s[pc] = next;
  s[field(P.target)] = s[mask] = s[field(P.roots)] = s[field(P.drop)] = 0;
}
