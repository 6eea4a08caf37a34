// Commands of the plan, run in the room: as the user of the clones, without a capability, with an environment that knows the clones and nothing
// else.

import { Fault } from '../../src/base/faults.ts';
import type { PlanDocument, PlanStep } from '../../src/plan/plan-document.ts';
import type { FileOwner } from '../postgres/log-server.ts';
import type { Clone } from './clone.ts';
import type { DrillCopy } from './drill-copy.ts';
import { ROOM_ENVIRONMENT, type Room, type RoomEnd } from './room.ts';

/** Of nobody: for a plan without databases. */
const NOBODY: FileOwner = { uid: 65_534, gid: 65_534 };

export type StepPlace = {
  readonly room: Room;
  readonly drill: string;
  readonly plan: PlanDocument;
  /** Of the step's group; all of them for a smoke test. The first one is what PGHOST and its like lead to. */
  readonly clones: readonly Clone[];
  readonly copies: readonly DrillCopy[];
  readonly signal: AbortSignal;
};

/** A status that is not 0 is the caller's to judge; null: it was killed, or could not be started. */
export function runStep({ command }: PlanStep, { room, drill, plan, clones, copies, signal }: StepPlace): Promise<RoomEnd> {
  const words = command ?? [];
  if (words[0]?.startsWith('/') !== true)
    throw new Fault('PLAN_INVALID', `The program "${words[0] ?? ''}" is not named by its absolute path`);
  const owner = ownerOf(clones);
  const first = clones[0]?.address;
  const environment = {
    ...ROOM_ENVIRONMENT,
    HOLDFAST_RUN: 'drill',
    HOLDFAST_DRILL: drill,
    HOLDFAST_PLAN: plan.name,
    HOLDFAST_SITE: plan.sites.target,
    HOLDFAST_CLONES: JSON.stringify(Object.fromEntries(clones.map(({ asset, address }) => [asset, address]))),
    HOLDFAST_COPIES: JSON.stringify(Object.fromEntries(copies.map(({ asset, path }) => [asset, path]))),
    ...(first === undefined ? {} : { PGHOST: first.host, PGPORT: `${first.port}`, PGUSER: first.user, PGDATABASE: first.database }),
  };
  return room.run({ words, environment, ...(owner === undefined ? {} : { owner }) }, signal);
}

/** Who runs what is not the drill's own: never root. */
export function ownerOf(clones: readonly Clone[]): FileOwner | undefined {
  return ownersOf(clones)[0];
}

/** Every account that a clone runs as: each of them is an incarnation that must reach nothing. Undefined: this process's own. */
export function ownersOf(clones: readonly Clone[]): readonly (FileOwner | undefined)[] {
  if (process.getuid?.() !== 0) return [undefined];
  const known = clones.flatMap(({ owner }) => (owner === undefined ? [] : [owner]));
  const different = known.filter(({ uid }, i) => known.findIndex((one) => one.uid === uid) === i);
  return different.length > 0 ? different : [NOBODY];
}
