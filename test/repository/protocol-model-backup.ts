// The steps of a backup: src/repository/sessions.ts.

import {
  B,
  BACKUP_NAMES,
  backupBit,
  type Change,
  COMMITTED,
  type Done,
  END,
  F,
  NONE,
  OPEN,
  REVOKED,
  type State,
  type World,
} from './protocol-world.ts';

const JOIN = 0;
const LEARNED = 1;
const JOIN_UNSURE = 2;
const MAKE_REGISTER = 3;
const LIST = 4;
const CHOOSE = 5;
const ASK = 6;
const ADOPT = 7;
const ADOPT_UNSURE = 8;
const UPLOAD = 9;
const UPLOADED = 10;
const PUBLISH_UNSURE = 11;
const PUBLISHED = 12;
const LOOK = 13;
const COMMIT = 14;
const FINISH = 15;
const ABANDON = 16;
const WAS_ENDED = 17;
const LEAVE = 18;
const DELETE_REGISTER = 19;

/** One backup in one state. */
type Agent = {
  readonly world: World;
  readonly state: State;
  readonly w: number;
  readonly bit: number;
  /** Its fields. */
  readonly mask: number;
  readonly refs: number;
  readonly register: number;
  readonly isWriter: boolean;
  /** A step to `next`. */
  readonly step: (label: string, next: number, change?: Change) => void;
  /** A swap that takes effect. Where its answer is lost, it goes on at `unsure`. */
  readonly swap: (label: string, next: number, unsure: number, change: Change) => void;
};

export function backupSteps(world: World, state: State, w: number, begin: () => State, done: Done): void {
  const pc = world.backup(w, B.pc);
  if (state[pc] === END) return;
  const step = (label: string, next: number, change?: Change): void => {
    const s = begin();
    change?.(s);
    s[pc] = next;
    done(BACKUP_NAMES[w]!, label);
  };
  const swap = (label: string, next: number, unsure: number, change: Change): void => {
    step(label, next, change);
    if (state[F.lost]! >= world.scenario.lostAnswers) return;
    step(`${label}, and the answer is lost`, unsure, (s) => {
      change(s);
      s[F.lost]!++;
    });
  };
  const bit = backupBit(w);
  const fields = { mask: world.backup(w, B.mask), refs: world.backup(w, B.refs), register: world.backup(w, B.register) };
  STEPS[state[pc]!]!({ world, state, w, bit, ...fields, isWriter: (state[F.writers]! & bit) !== 0, step, swap });
}

const STEPS: Readonly<Record<number, (agent: Agent) => void>> = {
  [JOIN]: join,
  [LEARNED]: ({ bit, step }) =>
    step('joins', MAKE_REGISTER, (s) => {
      s[F.writers]! |= bit;
    }),
  [JOIN_UNSURE]: joinUnsure,
  [MAKE_REGISTER]: makeRegister,
  [LIST]: ({ world, w, mask, step }) =>
    step('lists packs', CHOOSE, (s) => {
      const { wants } = world.scenario.backups[w]!;
      for (let rest = s[F.stored]!; rest !== 0; rest &= rest - 1)
        if (world.blocksOf(s, rest & -rest) & wants) s[mask]! |= rest & -rest;
    }),
  [CHOOSE]: choose,
  [ASK]: ({ state, mask, step }) => {
    if (state[mask]! & ~state[F.stored]!) step('finds a pack gone', UPLOAD);
    else step('asks for the packs', ADOPT);
  },
  [ADOPT]: adopt,
  [ADOPT_UNSURE]: ({ isWriter, step }) => step('finds out whether it has adopted', isWriter ? UPLOAD : ABANDON),
  [UPLOAD]: ({ mask, bit, step }) =>
    step('stores its pack', UPLOADED, (s) => {
      s[F.stored]! |= bit;
      s[mask] = bit;
    }),
  [UPLOADED]: (agent) => {
    publish(agent);
    goOn(agent);
  },
  [PUBLISH_UNSURE]: publishUnsure,
  [PUBLISHED]: goOn,
  [LOOK]: look,
  [COMMIT]: commit,
  [FINISH]: ({ world, bit, step }) =>
    step('finishes', END, (s) => {
      world.finish(s, bit);
      s[F.told]! |= bit;
    }),
  [ABANDON]: ({ state, register, step }) =>
    step('decides its register', state[register] === COMMITTED ? FINISH : LEAVE, (s) => {
      if (s[register] === OPEN) s[register] = REVOKED;
    }),
  [WAS_ENDED]: ({ state, register, step }) => step('reads its register', state[register] === COMMITTED ? FINISH : LEAVE),
  [LEAVE]: ({ world, bit, step }) => step('leaves', DELETE_REGISTER, (s) => world.leave(s, bit)),
  [DELETE_REGISTER]: ({ register, step }) =>
    step('deletes its register', END, (s) => {
      s[register] = NONE;
    }),
};

/** What it will refer to: blocks of the live index, and of snapshots whose maps it may share. */
function learn({ world, w, bit }: Agent, s: State): number {
  const parents = s[F.snapshots]! & ~(world.mutant === 'share maps of awaited snapshots' ? 0 : world.awaited(s));
  return bit | ((world.blocksOf(s, s[F.index]!) | world.needs(s, parents)) & world.scenario.backups[w]!.wants);
}

function join(agent: Agent): void {
  const { world, bit, refs, step, swap } = agent;
  if (world.mutant === 'learn the index before joining') {
    step('learns the index', LEARNED, (s) => {
      s[refs] = learn(agent, s);
    });
    return;
  }
  swap('joins', MAKE_REGISTER, JOIN_UNSURE, (s) => {
    s[F.writers]! |= bit;
    s[refs] = learn(agent, s);
  });
}

// Thrown out since: it goes on under another name, as another backup.
function joinUnsure(agent: Agent): void {
  const { world, bit, refs, isWriter, step } = agent;
  const goesOn = isWriter || world.mutant === 'join again under the same name';
  step('finds out whether it has joined', goesOn ? MAKE_REGISTER : END, (s) => {
    if (goesOn) s[F.writers]! |= bit;
    s[refs] = goesOn ? learn(agent, s) : 0;
  });
}

function makeRegister({ world, state, w, register, step, swap }: Agent): void {
  if (state[register] !== NONE) {
    step('finds its register made', WAS_ENDED);
    return;
  }
  const upload = world.mutant === 'commit before the upload' ? LOOK : UPLOAD;
  swap('makes its register', world.scenario.backups[w]!.kind === 'resume' ? LIST : upload, WAS_ENDED, (s) => {
    s[register] = OPEN;
  });
}

function choose({ world, state, bit, mask, step }: Agent): void {
  const condemned = world.mutant === 'adopt without checking condemned lists' ? 0 : world.condemned(state);
  const chosen = state[mask]! & ~(state[F.index]! | state[F.writers]! | condemned | bit);
  if (chosen === 0) {
    step('finds nothing to adopt', UPLOAD);
    return;
  }
  step('chooses packs to adopt', world.mutant === 'adopt without asking for the pack' ? ADOPT : ASK, (s) => {
    s[mask] = chosen;
    s[F.fresh]! |= bit;
  });
}

function adopt({ world, state, w, bit, mask, refs, isWriter, step, swap }: Agent): void {
  const isFresh = (state[F.fresh]! & bit) !== 0 || world.mutant === 'adopt without checking the generation';
  if (!isWriter) step('learns that it is revoked', ABANDON);
  else if (!isFresh) step('is too late to adopt', UPLOAD);
  else {
    swap('adopts', UPLOAD, ADOPT_UNSURE, (s) => {
      s[F.index]! |= s[mask]!;
      s[refs]! |= world.blocksOf(s, s[mask]!) & world.scenario.backups[w]!.wants;
      s[F.fresh] = 0;
    });
  }
}

function publish({ bit, mask, isWriter, step, swap }: Agent): void {
  if (!isWriter) {
    step('learns that it is revoked', ABANDON);
    return;
  }
  swap('publishes', PUBLISHED, PUBLISH_UNSURE, (s) => {
    s[F.index]! |= bit;
    s[F.own]! |= bit;
    s[mask] = 0;
  });
}

// Its step tells. Whether the head names the index object does not: a prune may have merged it into another since.
function publishUnsure({ world, bit, isWriter, step }: Agent): void {
  step('finds out whether it has published', isWriter ? PUBLISHED : ABANDON, (s) => {
    if (isWriter && world.mutant === 'publish again what the head does not name') s[F.own]! |= bit;
  });
}

function goOn(agent: Agent): void {
  look(agent);
  if (agent.world.scenario.backups[agent.w]!.mayAbandon) agent.step('gives up', ABANDON);
}

function look({ world, isWriter, step }: Agent): void {
  step('looks whether it is a writer', isWriter || world.mutant === 'commit without looking at the head' ? COMMIT : WAS_ENDED);
}

function commit({ state, bit, mask, register, step, swap }: Agent): void {
  if (state[register] !== OPEN) {
    step('finds its register changed', WAS_ENDED);
    return;
  }
  swap('commits', FINISH, WAS_ENDED, (s) => {
    s[register] = COMMITTED;
    if (s[mask]) s[F.unpublished]! |= bit;
  });
}

/** Takes at once the steps that only find out what cannot change any more. Fewer states, the same behaviour. */
export function tidyBackup(world: World, s: State, w: number): void {
  const pc = world.backup(w, B.pc);
  const bit = backupBit(w);
  if (s[pc] === ADOPT && (s[F.fresh]! & bit) === 0) s[pc] = UPLOAD;
  if (s[pc] === UPLOAD) s[world.backup(w, B.mask)] = 0;
  if (s[pc] === COMMIT && s[world.register(bit)] !== OPEN) s[pc] = WAS_ENDED;
  if (s[pc] === LEAVE && (s[F.writers]! & bit) === 0) s[pc] = DELETE_REGISTER;
}
