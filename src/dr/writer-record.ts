// Who may write: one register of a quorum for each incarnation of a database, changed by compare-and-swap only. These are all the changes there are.
//
//   open      the holder's gate claims the epoch once, and renews its lease by swapping the record for one with the next beat
//   withheld  a failover has begun: no claim and no renewal succeeds any more; it can be undone
//   demoted   for a planned failover the holder has stopped its server in order and said where its log ends: it never writes again in this epoch
//
// Only a grant hands the right on, always with the next epoch, and with where the log of the one before was sealed: history is one chain.
// A lease is not a lease of etcd: those are renewed by whoever believes to be the leader, without asking the quorum. A renewal here is a swap,
// so whoever has swapped the record to "withheld" knows that no renewal took place after it.

import type { LeaseTerms } from './lease-terms.ts';

/** An instance that could be the primary: one data directory on one host. */
export type Member = { readonly name: string; readonly site: string };

/** Where a log ends. `lsn` as PostgreSQL writes it: "0/3000060". */
export type LogEnd = { readonly timeline: number; readonly lsn: string };

export type Demotion = LogEnd & { readonly systemId: string };

export type ProofKind = 'demotion' | 'power-off' | 'expiry' | 'unclaimed' | 'break-glass';

/** How an epoch came about. `from` is where its predecessor's log was sealed; "in place" continues the same data directory. */
export type EpochStart = {
  readonly epoch: number;
  readonly member: Member;
  readonly from: LogEnd | 'in place';
  readonly proof: ProofKind | 'first' | 'same server';
};

export type WriterRecord = {
  readonly version: 1;
  readonly incarnation: string;
  readonly epoch: number;
  readonly holder: Member;
  /** The one life of the holder's gate that claimed this epoch: a restarted gate has another. */
  readonly life: string | null;
  /** Who else may be granted the right. Only the holder changes them: it must know them all. */
  readonly candidates: readonly Member[];
  /** The same for as long as anybody may write by them: who waits for their end, or was restarted, knows no others. Changed by `relet` only. */
  readonly terms: LeaseTerms;
  /** "continue": the end of the lease proves nothing, another proof of fencing is needed. */
  readonly onLeaseLoss: 'stop' | 'continue';
  /** What the holder's gate said when it claimed. Without one the end of a lease proves nothing. */
  readonly watchdog: 'armed' | 'none';
  readonly state: 'open' | 'withheld' | 'demoted';
  /** The failover that withholds renewals. */
  readonly failover: string | null;
  readonly demotion: Demotion | null;
  /** Grows with each renewal: no two values of the register are equal. */
  readonly beat: number;
  /** The newest epochs, newest last. */
  readonly chain: readonly EpochStart[];
};

/** Epochs that the record remembers. The evidence of each failover has the rest. */
export const CHAIN_MAX = 64;

export type Refusal = {
  readonly refused:
    | 'superseded'
    | 'withheld'
    | 'claimed'
    | 'not claimed'
    | 'not withheld'
    | 'other failover'
    | 'no candidate'
    | 'not proven'
    | 'not sealed';
};

export type NewRecord = Pick<WriterRecord, 'incarnation' | 'holder' | 'candidates' | 'terms' | 'onLeaseLoss'>;

/** `epoch`: a later one, where sites remember epochs of a register that was lost. */
export function firstRecord(facts: NewRecord, epoch = 1): WriterRecord {
  const chain: readonly EpochStart[] = [{ epoch, member: facts.holder, from: 'in place', proof: 'first' }];
  return { version: 1, ...facts, epoch, ...UNCLAIMED, beat: 0, chain };
}

/** It was entered, and nothing has been granted since. */
export function isFirst({ chain }: WriterRecord): boolean {
  return chain.at(-1)?.proof === 'first';
}

const UNCLAIMED = { life: null, watchdog: 'none', state: 'open', failover: null, demotion: null } as const;

/** The holder's gate takes up what was granted: once, for one life. */
export function claimed(
  record: WriterRecord,
  me: string,
  life: string,
  watchdog: WriterRecord['watchdog'],
): WriterRecord | Refusal {
  if (record.holder.name !== me) return { refused: 'superseded' };
  if (record.life !== null) return { refused: 'claimed' };
  if (record.state !== 'open') return { refused: 'withheld' };
  return { ...record, life, watchdog, beat: record.beat + 1 };
}

/** A new life of the holder's gate takes over. Only after it has proven that no server runs on the data directory. */
export function reclaimed(
  record: WriterRecord,
  me: string,
  life: string,
  watchdog: WriterRecord['watchdog'],
): WriterRecord | Refusal {
  if (record.holder.name !== me) return { refused: 'superseded' };
  if (record.state !== 'open') return { refused: 'withheld' };
  return { ...nextEpoch(record, record.holder, 'in place', 'same server'), life, watchdog };
}

/** Renews the lease of that life, and may change who the candidates are. */
export function renewed(
  record: WriterRecord,
  epoch: number,
  life: string,
  candidates: readonly Member[] = record.candidates,
): WriterRecord | Refusal {
  if (record.epoch !== epoch || record.life !== life || record.state === 'demoted') return { refused: 'superseded' };
  if (record.state !== 'open') return { refused: 'withheld' };
  return { ...record, candidates, beat: record.beat + 1 };
}

/** Other terms, for the lives to come. Only after it is proven that no gate and no server of the holder runs: then nobody writes by the old ones
 *  any more, be it by a lease or by promises. What was granted and is not claimed keeps its terms: by them its holder may have promised. */
export function relet(
  record: WriterRecord,
  me: string,
  { terms, onLeaseLoss }: Pick<WriterRecord, 'terms' | 'onLeaseLoss'>,
): WriterRecord | Refusal {
  if (record.holder.name !== me) return { refused: 'superseded' };
  if (record.state !== 'open') return { refused: 'withheld' };
  if (record.life === null && !isFirst(record)) return { refused: 'not claimed' };
  return { ...record, terms, onLeaseLoss, beat: record.beat + 1 };
}

/** From here on nobody can claim or renew. */
export function withheld(record: WriterRecord, failover: string): WriterRecord | Refusal {
  if (record.state !== 'open') return record.failover === failover ? record : { refused: 'other failover' };
  return { ...record, state: 'withheld', failover, beat: record.beat + 1 };
}

/** For a failover the holder of that life has stopped its server in order, and never writes again in this epoch. May take place twice. */
export function demoted(
  record: WriterRecord,
  { epoch, life }: Pick<WriterRecord, 'epoch' | 'life'>,
  demotion: Demotion,
  failover: string,
): WriterRecord | Refusal {
  if (record.epoch !== epoch || record.life !== life) return { refused: 'superseded' };
  if (record.failover !== null && record.failover !== failover) return { refused: 'other failover' };
  if (record.demotion !== null) return isSameEnd(record.demotion, demotion) ? record : { refused: 'superseded' };
  return { ...record, state: 'demoted', failover, demotion, beat: record.beat + 1 };
}

/** Undoes what a failover did before its grant. Who was demoted gets the right back as a new epoch, so that its demotion proves nothing more. */
export function givenBack(record: WriterRecord, failover: string): WriterRecord | Refusal {
  if (record.failover !== failover) return { refused: record.state === 'open' ? 'not withheld' : 'other failover' };
  if (record.demotion !== null) return nextEpoch(record, record.holder, logEnd(record.demotion), 'demotion');
  return { ...record, state: 'open', failover: null, beat: record.beat + 1 };
}

export type Grant = {
  readonly failover: string;
  readonly to: string;
  readonly sealed: LogEnd;
  readonly proof: ProofKind;
};

/** Hands the right to a candidate. `proof` is what `judgeFencing` found of this very revision of the record. */
export function granted(record: WriterRecord, { failover, to, sealed, proof }: Grant): WriterRecord | Refusal {
  if (record.state === 'open') return { refused: 'not withheld' };
  if (record.failover !== failover) return { refused: 'other failover' };
  const next = record.candidates.find(({ name }) => name === to);
  if (next === undefined) return { refused: 'no candidate' };
  if ((proof === 'demotion') !== (record.demotion !== null)) return { refused: 'not proven' };
  if (record.demotion !== null && !isSameEnd(record.demotion, sealed)) return { refused: 'not sealed' };
  return nextEpoch(record, next, sealed, proof);
}

function nextEpoch(record: WriterRecord, holder: Member, from: EpochStart['from'], proof: EpochStart['proof']): WriterRecord {
  const epoch = record.epoch + 1;
  const chain = [...record.chain, { epoch, member: holder, from, proof }].slice(-CHAIN_MAX);
  const candidates = record.candidates.filter(({ name }) => name !== holder.name);
  return { ...record, ...UNCLAIMED, epoch, holder, candidates, beat: record.beat + 1, chain };
}

function logEnd({ timeline, lsn }: LogEnd): LogEnd {
  return { timeline, lsn };
}

function isSameEnd(a: LogEnd, b: LogEnd): boolean {
  return a.timeline === b.timeline && a.lsn === b.lsn;
}

export function isRefusal(answer: WriterRecord | Refusal): answer is Refusal {
  return 'refused' in answer;
}
