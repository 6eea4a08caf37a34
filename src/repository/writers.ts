// Ending sessions for others: a committed one is finished, one that will not come back is revoked. One swap of the session's own register
// decides between the two, and only then the head follows; so whoever looks, and however slowly, does the same.

import { forEachBounded } from '../base/bounded.ts';
import { invariant } from '../base/invariant.ts';
import type { ProcessFacts, Writer } from '../format/head.ts';
import type { CommittedRegister } from '../format/snapshot-register.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { HeadKeeper } from './head.ts';
import { leave, register, writerOf } from './head-changes.ts';

const REGISTERS_IN_FLIGHT_MAX = 16;
/** A register changes three times at most: made, decided, deleted. */
const REGISTER_ATTEMPTS_MAX = 5;

/** Whether to give up on a running session. It is asked again by a later prune when it answers 'wait'. */
export type WriterPolicy = (writer: Writer) => 'revoke' | 'wait' | Promise<'revoke' | 'wait'>;

export type WriterPolicyDetails = {
  readonly now: Date;
  /** A writer that has not changed the head for longer is given up, and so is one that seems to change it in a future as far away: its clock was
   *  ahead, and it could be dead for years. This can cost a writer its backup, and nobody any data. */
  readonly silenceMsMax: number;
  /** True when that process is dead for certain: same host, other boot or no such process. */
  readonly isDead: (process: ProcessFacts) => boolean;
};

export function silencePolicy({ now, silenceMsMax, isDead }: WriterPolicyDetails): WriterPolicy {
  return (writer) => (isDead(writer) || Math.abs(now.getTime() - Date.parse(writer.seenAt)) > silenceMsMax ? 'revoke' : 'wait');
}

export type EndedWriters = {
  /** Sessions that had committed and now are registered. */
  readonly finished: readonly string[];
  readonly revoked: readonly Writer[];
  /** Still among the writers. */
  readonly running: readonly Writer[];
};

/** Goes through the writers of the head (all, or those that `concerns` names): finishes, revokes as the policy says. `by` is for people. */
export async function endWriters(
  heads: HeadKeeper,
  policy: WriterPolicy,
  by: string,
  concerns: (writer: Writer) => boolean = () => true,
  options?: CallOptions,
): Promise<EndedWriters> {
  const head = await heads.read(options);
  const ended = { finished: [] as string[], revoked: [] as Writer[], running: [] as Writer[] };
  await forEachBounded(head.writers.filter(concerns), REGISTERS_IN_FLIGHT_MAX, async (writer) => {
    const end = await endWriter(heads, writer, policy, by, options);
    if (end === 'finished') ended.finished.push(writer.session);
    else if (end === 'revoked') ended.revoked.push(writer);
    else if (end === 'running') ended.running.push(writer);
  });
  return ended;
}

async function endWriter(
  heads: HeadKeeper,
  writer: Writer,
  policy: WriterPolicy,
  by: string,
  options?: CallOptions,
): Promise<'finished' | 'revoked' | 'running' | 'gone'> {
  const { session } = writer;
  if (writer.kind === 'maintenance') {
    if ((await policy(writer)) === 'wait') return 'running';
    await leaveHead(heads, session, options);
    return 'revoked';
  }
  const current = await heads.registers.readSnapshot(session, options);
  const isDecided = current?.value.state === 'committed' || current?.value.state === 'revoked';
  if (!isDecided && (await policy(writer)) === 'wait') return 'running';
  const decided = await decideRegister(heads, session, by, options);
  if (decided.state === 'committed') return (await finish(heads, decided.register, options)) === 'gone' ? 'gone' : 'finished';
  await leaveHead(heads, session, options);
  // It may have been over already, its register deleted: then nobody else knows of the one that was made here.
  if (decided.isNew) await heads.registers.deleteSnapshot(session, options);
  return 'revoked';
}

export type DecidedRegister =
  | { readonly state: 'committed'; readonly register: CommittedRegister }
  /** `isNew`: there was no register before. */
  | { readonly state: 'revoked'; readonly isNew: boolean; readonly by: string; readonly at: string };

/** Brings a register to its end: after this it is committed or revoked and stays so. */
export async function decideRegister(
  heads: HeadKeeper,
  session: string,
  by: string,
  options?: CallOptions,
): Promise<DecidedRegister> {
  const { registers } = heads;
  for (let attempt = 0; attempt < REGISTER_ATTEMPTS_MAX; attempt++) {
    const current = await registers.readSnapshot(session, options);
    if (current?.value.state === 'committed') return { state: 'committed', register: current.value };
    if (current?.value.state === 'revoked') return { state: 'revoked', isNew: false, by: current.value.by, at: current.value.at };
    const at = heads.now();
    const swapped = await registers.swapSnapshot({ state: 'revoked', session, by, at }, current?.version, options);
    if (swapped !== 'conflict') return { state: 'revoked', isNew: current === undefined, by, at };
  }
  invariant(false, `the register of session ${session} changes at most ${REGISTER_ATTEMPTS_MAX} times`);
}

/** Brings a committed session into the registry. 'gone' when it is neither among the writers nor among the snapshots: forgotten since. */
export async function finish(
  heads: HeadKeeper,
  { session, assetId, indexes }: CommittedRegister,
  options?: CallOptions,
): Promise<'finished' | 'gone'> {
  const { result } = await heads.change<'finished' | 'gone'>((head) => {
    if (writerOf(head, session) !== undefined) return { next: register(head, session, assetId, indexes), result: 'finished' };
    return { result: head.snapshots.some((snapshot) => snapshot.session === session) ? 'finished' : 'gone' };
  }, options);
  return result;
}

/** A session whose register says revoked, or that has none to say it, leaves the head. */
export async function leaveHead(heads: HeadKeeper, session: string, options?: CallOptions): Promise<void> {
  await heads.change(
    (current) =>
      writerOf(current, session) === undefined ? { result: undefined } : { next: leave(current, session), result: undefined },
    options,
  );
}
