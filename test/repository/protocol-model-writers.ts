// How a prune ends backups of others: src/repository/writers.ts.

import { backupBit, COMMITTED, HUB, NONE, OPEN, type PruneAgent, REVOKED } from './protocol-world.ts';

export const SAW_NONE = 20;
export const SAW_OPEN = 21;
export const SAW_COMMITTED = 22;
export const LEAVE = 23;
const LEAVE_NEW = 24;
const DELETE_NEW = 25;

export function lookAtWriter({ world, state, target, step }: PruneAgent, w: number): void {
  const register = state[world.register(backupBit(w))]!;
  if (world.mutant === 'drop without a register' && register !== COMMITTED) {
    step('drops a backup', HUB, (s) => world.leave(s, backupBit(w)));
    return;
  }
  const seen = register === NONE ? SAW_NONE : register === OPEN ? SAW_OPEN : register === COMMITTED ? SAW_COMMITTED : LEAVE;
  step('looks at a backup', seen, (s) => {
    s[target] = backupBit(w);
  });
}

export function endWriterSteps({ world, state, target, step }: PruneAgent, pc: number): void {
  const bit = state[target]!;
  const register = world.register(bit);
  const isChanged = (pc === SAW_NONE && state[register] !== NONE) || (pc === SAW_OPEN && state[register] !== OPEN);
  if (isChanged && !(pc === SAW_OPEN && world.mutant === 'revoke without compare-and-swap')) {
    step('finds the register changed', HUB);
  } else if (pc === SAW_NONE || pc === SAW_OPEN) {
    step('revokes', pc === SAW_OPEN ? LEAVE : LEAVE_NEW, (s) => {
      s[register] = REVOKED;
    });
  } else if (pc === SAW_COMMITTED) {
    step('finishes for it', HUB, (s) => world.finish(s, bit));
  } else if (pc === DELETE_NEW) {
    step('deletes the register that it made', HUB, (s) => {
      s[register] = NONE;
    });
  } else {
    step('removes it from the head', pc === LEAVE_NEW ? DELETE_NEW : HUB, (s) => world.leave(s, bit));
  }
}
