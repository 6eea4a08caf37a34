// The model of the protocol: all agents over one world, the properties that hold in every state, and which states are alike.

import type { Model, Permutation } from './protocol-explorer.ts';
import { backupSteps, tidyBackup } from './protocol-model-backup.ts';
import { pruneSteps, tidyPrune } from './protocol-model-prune.ts';
import {
  B,
  BACKUP_KINDS,
  BACKUPS_MAX,
  type BackupSpec,
  backupBit,
  CLEANER,
  COMMITTED,
  type Done,
  type Emit,
  END,
  F,
  HUB,
  isListed,
  type Mutant,
  NONE,
  P,
  PACK_A,
  PENDING,
  PLAIN,
  PRUNE_KINDS,
  pruneBit,
  S0,
  S1,
  type Scenario,
  SESSIONS,
  type State,
  World,
} from './protocol-world.ts';

export function protocolModel(scenario: Scenario, mutant?: Mutant): Model {
  const world = new World(scenario, mutant);
  const next = new Uint8Array(world.width);
  const successors = (state: State, emit: Emit): void => {
    const begin = (): State => {
      next.set(state);
      return next;
    };
    const done: Done = (who, what) => {
      tidyState(world, next);
      emit(who, what, next);
    };
    scenario.backups.forEach((_, w) => {
      backupSteps(world, state, w, begin, done);
    });
    for (let p = 0; p < scenario.prunes; p++) {
      pruneSteps(world, state, p, begin, done);
    }
    othersSteps(world, state, begin, done);
  };
  return {
    width: world.width,
    initial: initialState(world),
    successors,
    violation: (state) => violation(world, state),
    permutations: permutations(world),
  };
}

function initialState(world: World): State {
  const s = new Uint8Array(world.width);
  s[F.stored] = s[F.index] = PACK_A;
  s[F.snapshots] = S0;
  s[F.registerOf0] = COMMITTED;
  return s;
}

function othersSteps(world: World, state: State, begin: () => State, done: Done): void {
  const { forgets, reader } = world.scenario;
  const target = forgets[state[F.forgets]!];
  if (target !== undefined && state[F.snapshots]! & target) {
    const s = begin();
    if (world.mutant === 'delete the register before forgetting') s[world.register(target)] = NONE;
    else world.forget(s, target);
    s[F.forgets]!++;
    done('somebody', 'forgets a snapshot');
  }
  if (!reader) return;
  if (state[F.reader] === 0 && state[F.snapshots]! & S0) {
    const s = begin();
    s[F.pins]! |= S0;
    s[F.reader] = 1;
    done('the reader', 'pins S0');
  } else if (state[F.reader] === 1) {
    const s = begin();
    s[F.pins] = 0;
    s[F.reader] = 2;
    done('the reader', 'is done');
  }
}

/** What no step will ever look at again does not tell states apart. */
function tidyState(world: World, s: State): void {
  const listed = s[F.writers]! | s[F.snapshots]! | s[F.pins]!;
  let active = 0;
  world.scenario.backups.forEach((_, w) => {
    if (world.mutant === undefined) tidyBackup(world, s, w);
    if (s[world.backup(w, B.pc)]! < END) {
      active |= backupBit(w);
      return;
    }
    s[world.backup(w, B.mask)] = 0;
    if ((listed & backupBit(w)) === 0) s[world.backup(w, B.refs)] = 0;
  });
  for (const p of world.prunes) {
    const bit = pruneBit(p);
    if (world.mutant === undefined) tidyPrune(world, s, p);
    if ((s[F.stored]! & bit) === 0 && s[world.prune(p, P.pc)]! >= END) s[world.prune(p, P.moved)] = 0;
    if (s[world.prune(p, P.pc)]! >= END)
      s[world.prune(p, P.target)] = s[world.prune(p, P.mask)] = s[world.prune(p, P.roots)] = s[world.prune(p, P.drop)] = 0;
    else active |= bit;
    if (s[world.prune(p, P.list)] !== PENDING) s[world.prune(p, P.awaits)] = 0;
    if (!isListed(s[world.prune(p, P.list)]!)) s[world.prune(p, P.packs)] = s[world.prune(p, P.dropped)] = 0;
  }
  s[F.fresh]! &= active;
  s[F.unpublished]! &= active | s[F.writers]!;
}

/** The properties, in every state. */
function violation(world: World, s: State): string | undefined {
  let committed = 0;
  world.scenario.backups.forEach((_, w) => {
    if (s[F.writers]! & backupBit(w) && s[world.backup(w, B.register)] === COMMITTED) committed |= backupBit(w);
  });
  const live = s[F.index]!;
  if (live & ~s[F.stored]!) return 'the index names a pack that is not stored';
  if (live & world.condemned(s)) return 'the index names a condemned pack';
  if (s[F.own]! & s[F.ownGone]!) return 'the head names an index object that is deleted';
  const registered = (s[F.snapshots]! | s[F.pins]!) & ~S1;
  for (let bit = 1; bit <= backupBit(BACKUPS_MAX - 1); bit <<= 1) {
    if (registered & bit && s[world.register(bit)] !== COMMITTED) return 'a registered snapshot has no register';
  }
  if (s[F.told]! & ~(s[F.snapshots]! | committed | s[F.forgotten]!)) return 'a backup was told of success and is not there';
  for (let bit = 1; bit !== 256; bit <<= 1) {
    if (((s[F.snapshots]! | s[F.pins]! | committed | S1) & bit) === 0) continue;
    let packs = live;
    if (committed & bit) packs |= s[F.unpublished]! & bit;
    for (const p of world.prunes) {
      if (s[world.prune(p, P.dropped)]! & s[F.ownGone]! && s[world.prune(p, P.list)] === PENDING)
        return 'a list that is not settled has lost an index object';
      if (s[world.prune(p, P.list)] === PENDING && s[world.prune(p, P.awaits)]! & bit) packs |= s[world.prune(p, P.packs)]!;
    }
    if (world.needs(s, bit) & ~world.blocksOf(s, packs & s[F.stored]!)) return 'a snapshot has lost a block';
  }
  const parents = s[F.snapshots]! & ~world.awaited(s);
  if (world.needs(s, parents) & ~world.blocksOf(s, live)) return 'a snapshot that may be shared needs more than the index';
  return undefined;
}

/** Exchanging backups that are specified alike, and the prunes. */
function permutations(world: World): Permutation[] {
  const { backups, prunes, forgets } = world.scenario;
  const result: Permutation[] = [];
  const alike = backups.length >= 2 && forgets.every((bit) => bit === S0) && isExchangeable(backups[0]!, backups[1]!);
  for (const swapBackups of alike ? [false, true] : [false]) {
    for (const swapPrunes of prunes === 2 ? [false, true] : [false]) {
      if (swapBackups || swapPrunes) result.push(permutation(world, swapBackups, swapPrunes));
    }
  }
  return result;
}

function isExchangeable(a: BackupSpec, b: BackupSpec): boolean {
  return a.kind === b.kind && a.mayAbandon === b.mayAbandon && exchangeBits(a.wants, 2, 4) === b.wants;
}

function exchangeBits(value: number, one: number, other: number): number {
  const rest = value & ~(one | other);
  return rest | (value & one ? other : 0) | (value & other ? one : 0);
}

function permutation(world: World, swapBackups: boolean, swapPrunes: boolean): Permutation {
  const backups = (v: number) => (swapBackups ? exchangeBits(v, 2, 4) : v);
  const sessions = (v: number) => (swapPrunes ? exchangeBits(backups(v), 16, 32) : backups(v));
  const table = (map: (v: number) => number) => Uint8Array.from({ length: 256 }, (_, v) => map(v));
  const tables = [table((v) => v), table(sessions), table(backups)];
  const kinds: number[] = [
    ...Array.from({ length: F.forgets }, () => SESSIONS),
    ...Array.from({ length: F.registerOf0 + 1 - F.forgets }, () => PLAIN),
  ];
  const from = kinds.map((_, i) => i);
  world.scenario.backups.forEach((_, w) => {
    const source = swapBackups && w < 2 ? 1 - w : w;
    BACKUP_KINDS.forEach((kind, field) => {
      kinds.push(kind);
      from.push(world.backup(source, field));
    });
  });
  for (const p of world.prunes) {
    const source = swapPrunes && p < 2 ? 1 - p : p;
    PRUNE_KINDS.forEach((kind, field) => {
      kinds.push(kind);
      from.push(world.prune(source, field));
    });
  }
  return { from, tables: kinds.map((kind) => tables[kind]!) };
}

/** The store as it is when everybody dies in this state, in a form that is equal for equal stores. */
export function dead(world: World, state: State): State {
  const s = state.slice();
  world.scenario.backups.forEach((_, w) => {
    s[world.backup(w, B.pc)] = END;
  });
  for (let p = 0; p < world.scenario.prunes; p++) s[world.prune(p, P.pc)] = END;
  s[F.pins] = s[F.reader] = s[F.forgets] = s[F.told] = 0;
  s[F.lost] = world.scenario.lostAnswers;
  tidyState(world, s);
  return s;
}

/** Nobody is in the middle of anything. */
export function atRest(world: World, s: State): boolean {
  const isEnded = (pc: number) => pc === 0 || pc === END;
  const backups = world.scenario.backups.every((_, w) => isEnded(s[world.backup(w, B.pc)]!));
  return backups && world.prunes.every((p) => isEnded(s[world.prune(p, P.pc)]!) || s[world.prune(p, P.pc)] === HUB);
}

/** Everybody dies here; then one prune runs alone. Answers what it could not clean up, or 'clean', or 'stray register'. */
export function cleanUp(world: World, state: State): string {
  let s = dead(world, state);
  let hasPlanned = false;
  while (s[world.prune(CLEANER, P.pc)] !== END) {
    const best = nextOfCleaner(world, s, hasPlanned);
    if (best === undefined) return 'the prune is stuck';
    hasPlanned ||= best.label.includes('lists');
    s = best.next;
    const what = violation(world, s);
    if (what !== undefined) return `while cleaning: ${what}`;
  }
  return leftOver(world, s);
}

const PREFERENCE = ['looks at', 'drops maintenance', 'examines', 'sweeps', 'tidies', 'lists', 'leaves'];

function nextOfCleaner(
  world: World,
  state: State,
  hasPlanned: boolean,
): { readonly label: string; readonly next: State } | undefined {
  const next = new Uint8Array(world.width);
  let best: { label: string; next: State; rank: number } | undefined;
  const begin = (): State => {
    next.set(state);
    return next;
  };
  pruneSteps(world, state, CLEANER, begin, (_, label) => {
    const preference = PREFERENCE.findIndex((verb) => label.includes(verb));
    const rank = preference < 0 ? PREFERENCE.length : preference;
    if ((label.includes('lists') && hasPlanned) || (best !== undefined && best.rank <= rank)) return;
    tidyState(world, next);
    best = { label, next: next.slice(), rank };
  });
  return best;
}

function leftOver(world: World, s: State): string {
  if (s[F.stored] !== s[F.index]) return `packs ${s[F.stored]} are stored and ${s[F.index]} are in the index`;
  const needed = world.needs(s, world.roots(s));
  for (let bit = 1; bit !== 256; bit <<= 1) {
    if (s[F.index]! & bit && (world.blocksOf(s, bit) & needed) === 0) return `pack ${bit} is kept and nobody needs it`;
  }
  if (world.prunes.some((p) => isListed(s[world.prune(p, P.list)]!))) return 'a condemned list is left';
  if (s[F.writers] || s[F.retired]) return 'a session is left';
  for (let bit = 1; bit <= backupBit(world.scenario.backups.length - 1); bit <<= 1) {
    const register = s[world.register(bit)];
    if (register === NONE || s[F.snapshots]! & bit) continue;
    return register === COMMITTED ? 'a committed register is left' : 'stray register';
  }
  return 'clean';
}
