// A model of primary, candidates, register and orchestrator around the real code of src/dr: every step that anybody may take next. Messages
// are late or lost by nobody taking the step that delivers them; a pause is a node that takes no step; what a node did last may be forgotten
// by a crash. Only the watchdog is bound by time: a server is stopped at most STOP_LAG ticks after the end of the right (or else the host
// stood still, server and all, and what answers then is the clients' fence: routes with epochs).

import { type FencingEvidence, judgeFencing } from '../../src/dr/fencing.ts';
import {
  candidatesOffered,
  demotionBegun,
  type LeaseHolder,
  newHolder,
  promiseAnswered,
  recordSeen,
  renewalAnswered,
  writableUntilMs,
} from '../../src/dr/lease-holder.ts';
import { claimableAtMs, newCandidate, type PromotionCandidate, promise, recordRead } from '../../src/dr/promotion-candidate.ts';
import {
  claimed,
  demoted,
  givenBack,
  granted,
  isRefusal,
  type Refusal,
  reclaimed,
  relet,
  renewed,
  type WriterRecord,
  withheld,
} from '../../src/dr/writer-record.ts';
import type { Model } from '../repository/protocol-explorer.ts';
import {
  ALL_TERMS,
  ASKED,
  CLAIM,
  clockOf,
  DEMOTE,
  DONE,
  decode,
  encode,
  FREE,
  initialState,
  NODES,
  type Node,
  OPEN,
  PROOFS,
  RECLAIM,
  REFUSED,
  RENEW,
  type Scenario,
  STOP_LAG,
  type State,
  type Swap,
  TERMS,
  widthOf,
} from './lease-world.ts';

/** A change that looks harmless. */
export type Mutant =
  | 'wait without the drift'
  | 'wait without the margin'
  | 'count the lease from the answer'
  | 'count a promise from the answer'
  | 'grant without waiting'
  | 'grant what was seen in another revision'
  | 'claim without waiting for the own promises'
  | 'claim after a restart as if nothing had been promised'
  | 'promise before the register was read'
  | 'promise to holders of older epochs'
  | 'be content with the promise of one candidate'
  | 'renew whatever the revision'
  | 'forget the candidates that were offered'
  | 'write on after the demotion was begun'
  | 'change the terms while a server runs'
  | 'change the terms of what was granted and is not claimed';

const FAILOVER = 'f';
const DEMOTION = { systemId: '1', timeline: 1, lsn: '0/1' };
const STATES = ['open', 'withheld', 'demoted'] as const;

export function leaseModel(scenario: Scenario, mutant?: Mutant): Model {
  const width = widthOf(scenario);
  const initial = new Uint8Array(width);
  encode(initialState(scenario), initial, scenario);
  const next = new Uint8Array(width);
  return {
    width,
    initial,
    permutations: [],
    successors: (row, emit) => {
      const world = new Steps(scenario, mutant, (who, what, change) => {
        const state = decode(row, scenario);
        change(state);
        encode(state, next, scenario);
        emit(who, what, next);
      });
      world.all(decode(row, scenario));
    },
    violation: (row) => violation(decode(row, scenario), scenario),
  };
}

function violation(state: State, { healthy }: Scenario): string | undefined {
  if (state.nodes.filter(({ isWritable }) => isWritable === 1).length > 1) return 'two servers are writable';
  const isDemoted = state.state === 2 || PROOFS[state.proof] === 'demotion';
  const demotedEpoch = state.state === 2 ? state.epoch : state.epoch - 1;
  if (isDemoted && state.nodes.some((node) => node.isWritable === 1 && node.epoch !== 0 && node.epoch <= demotedEpoch))
    return 'a commit after the demotion said where the log ends';
  if (healthy !== undefined && state.nodes[0]!.isWritable === 0) return 'a healthy primary has stopped';
  return undefined;
}

type Emit = (who: string, what: string, change: (state: State) => void) => void;

class Steps {
  readonly #scenario: Scenario;
  readonly #mutant: Mutant | undefined;
  readonly #emit: Emit;

  constructor(scenario: Scenario, mutant: Mutant | undefined, emit: Emit) {
    this.#scenario = scenario;
    this.#mutant = mutant;
    this.#emit = emit;
  }

  all(state: State): void {
    this.#time(state);
    if (this.#scenario.healthy === undefined) this.#orchestrator(state);
    state.nodes.forEach((node, n) => {
      this.#server(state, node, n);
      this.#life(state, node, n);
      node.swaps.forEach((swap, i) => {
        this.#register(swap, n, i);
        if (node.isUp === 1) this.#answer(state, swap, n, i);
      });
      if (node.isUp === 0) return;
      this.#holder(state, node, n);
      this.#candidate(state, node, n);
      node.asks.forEach((_, m) => {
        this.#promises(state, n, m);
      });
    });
  }

  #now(state: State, n: number): number {
    return clockOf(this.#scenario, n, state.t);
  }

  #is(mutant: Mutant): boolean {
    return this.#mutant === mutant;
  }

  #time(state: State): void {
    if (state.t === this.#scenario.ticks) return;
    // Never before a server is stopped that must be.
    const isLate = (node: Node, n: number): boolean =>
      node.isWritable === 1 && clockOf(this.#scenario, n, state.t + 1 - STOP_LAG) >= node.stopAt;
    if (state.nodes.some(isLate)) return;
    if (this.#scenario.healthy !== undefined && !this.#isServed(state)) return;
    this.#emit('time', 'passes', (s) => {
      s.t++;
    });
  }

  /** What always works has worked in this tick. */
  #isServed(state: State): boolean {
    const [primary] = state.nodes;
    if (this.#scenario.healthy === 'register') return primary!.leaseUntil === this.#now(state, 0) + TERMS.ttlMs;
    return state.nodes.every((_, m) => m === 0 || primary!.promisedBy[m] === this.#now(state, 0) + TERMS.ttlMs);
  }

  #orchestrator(state: State): void {
    const record = this.#record(state);
    const nowMs = this.#now(state, state.nodes.length - 1);
    const swap = (what: string, changed: WriterRecord | Refusal, also: (s: State) => void = () => {}): void => {
      if (isRefusal(changed) || changed === record) return;
      this.#emit('orchestrator', what, (s) => {
        store(s, changed);
        also(s);
      });
    };
    if (state.withholds > 0) swap('withholds', withheld(record, FAILOVER), (s) => s.withholds--);
    if (state.undos > 0) swap('gives back', givenBack(record, FAILOVER), (s) => s.undos--);
    if (state.seen !== state.revision && state.state !== OPEN)
      this.#emit('orchestrator', 'looks', (s) => {
        s.seen = s.revision;
        s.seenAt = nowMs;
      });
    const isSeen = state.seen === state.revision || (this.#is('grant what was seen in another revision') && state.seen > 0);
    if (!isSeen) return;
    const verdict = judgeFencing(record, this.#evidence({ nowMs, seenAtMs: state.seenAt }));
    if (verdict.kind !== 'proven') return;
    for (const { name } of record.candidates)
      swap(`grants to ${name}`, granted(record, { failover: FAILOVER, to: name, sealed: DEMOTION, proof: verdict.proof }));
  }

  #evidence(evidence: FencingEvidence): FencingEvidence {
    // A mutant that waits less is one that has seen the record earlier.
    if (this.#is('wait without the drift')) return { ...evidence, seenAtMs: evidence.seenAtMs - TERMS.ttlMs * TERMS.drift };
    if (this.#is('wait without the margin')) return { ...evidence, seenAtMs: evidence.seenAtMs - TERMS.marginMs };
    return this.#is('grant without waiting') ? { ...evidence, seenAtMs: -Infinity } : evidence;
  }

  #server(state: State, node: Node, n: number): void {
    const nowMs = this.#now(state, n);
    const holder = holderOf(node, n);
    const untilMs = holder === undefined ? -Infinity : this.#until(holder);
    if (node.isWritable === 1 && (nowMs >= node.stopAt || (node.isUp === 1 && untilMs === -Infinity)))
      this.#emit(NODES[n]!, 'stops its server', (s) => {
        s.nodes[n]!.isWritable = 0;
      });
    if (node.isWritable === 0 && node.isUp === 1 && nowMs < untilMs)
      this.#emit(NODES[n]!, 'starts its server', (s) => {
        s.nodes[n]!.isWritable = 1;
        s.nodes[n]!.stopAt = untilMs;
      });
  }

  /** A crash of the gate leaves the server to the watchdog. */
  #life(state: State, node: Node, n: number): void {
    if (node.isUp === 1 && state.crashes > 0)
      this.#emit(NODES[n]!, 'crashes', (s) => {
        const gone = s.nodes[n]!;
        s.crashes--;
        Object.assign(gone, { isUp: 0, knows: 0, ...NO_HOLDER, hasPromised: 0, epochSeen: 0, isWithheld: 0 });
        gone.promisedBy.fill(0);
        for (const ask of gone.asks) ask.phase = FREE;
      });
    const isProven = node.isUp === 0 && node.isWritable === 0;
    if (state.relets > 0 && (isProven || this.#is('change the terms while a server runs'))) this.#relet(state, n);
    if (node.isUp === 0)
      this.#emit(NODES[n]!, 'is started again', (s) => {
        const back = s.nodes[n]!;
        back.isUp = 1;
        back.isWritable = 0;
        putCandidate(back, newCandidate(NODES[n]!, this.#now(state, n)));
      });
  }

  /** A person's command, while no gate is there. */
  #relet(state: State, n: number): void {
    const terms = { terms: ALL_TERMS[1], onLeaseLoss: 'stop' } as const;
    const record = this.#record(state);
    const isBlind = this.#is('change the terms of what was granted and is not claimed');
    const changed = relet(isBlind ? { ...record, life: 'any' } : record, NODES[n]!, terms);
    if (isRefusal(changed)) return;
    this.#emit(NODES[n]!, 'changes its terms', (s) => {
      s.relets--;
      store(s, { ...changed, life: record.life });
    });
  }

  /** The register gets a request. */
  #register(swap: Swap, n: number, i: number): void {
    if (swap.phase !== ASKED) return;
    this.#emit('register', `gets a request of ${NODES[n]}`, (s) => {
      const done = s.nodes[n]!.swaps[i]!;
      const record = this.#record(s);
      const changed = this.#swapped(record, swap, NODES[n]!);
      const isCurrent = swap.expects === s.revision || (this.#is('renew whatever the revision') && swap.kind === RENEW);
      if (!isCurrent || isRefusal(changed)) {
        done.phase = REFUSED;
        return;
      }
      store(s, changed);
      done.phase = DONE;
    });
  }

  #swapped(record: WriterRecord, { kind, epoch, life, candidates }: Swap, me: string): WriterRecord | Refusal {
    if (kind === CLAIM) return claimed(record, me, String(life), 'armed');
    if (kind === RECLAIM) return reclaimed(record, me, String(life), 'armed');
    if (kind === DEMOTE) return demoted(record, { epoch, life: String(life) }, DEMOTION, FAILOVER);
    if (this.#is('renew whatever the revision')) return { ...record, epoch, life: String(life), beat: record.beat + 1 };
    return renewed(record, epoch, String(life), members(candidates));
  }

  #answer(state: State, swap: Swap, n: number, i: number): void {
    if (swap.phase !== DONE && swap.phase !== REFUSED) return;
    const nowMs = this.#now(state, n);
    this.#emit(NODES[n]!, swap.phase === DONE ? 'hears that its swap took place' : 'hears that its swap was refused', (s) => {
      const node = s.nodes[n]!;
      const { phase, kind, sentAt, life, epoch, expects, candidates, terms } = swap;
      clear(node.swaps[i]!);
      if (phase === REFUSED) {
        this.#look(s, node, n);
        return;
      }
      node.knows = Math.max(node.knows, expects + 1);
      const countedFrom = this.#is('count the lease from the answer') ? nowMs : sentAt;
      const swapped = { epoch, life: String(life), holder: member(n), candidates: members(candidates), terms: ALL_TERMS[terms]! };
      const record = { ...this.#record(s), ...swapped };
      if (kind === CLAIM || kind === RECLAIM) this.#hold(node, n, newHolder(record, String(life), countedFrom));
      const holder = holderOf(node, n);
      if (kind === RENEW && holder !== undefined && node.life === life && node.epoch === epoch)
        this.#hold(node, n, renewalAnswered(holder, countedFrom, record));
    });
  }

  #holder(state: State, node: Node, n: number): void {
    const holder = holderOf(node, n);
    if (holder === undefined) return;
    const sentAt = this.#now(state, n);
    const free = slotOf(node);
    const { life, epoch } = node;
    const send = (s: State, kind: number, candidates: number): void => {
      s.nodes[n]!.swaps[free] = { phase: ASKED, kind, expects: node.knows, sentAt, life, epoch, candidates, terms: node.terms };
    };
    if (!holder.isOver && state.renewals > 0 && this.#mayRenew())
      this.#emit(NODES[n]!, 'renews', (s) => {
        s.renewals--;
        send(s, RENEW, node.candidates);
      });
    if (!holder.isOver && state.changes > 0)
      this.#emit(NODES[n]!, 'adds a candidate', (s) => {
        s.changes--;
        const all = ((1 << s.nodes.length) - 1) & ~(1 << n);
        if (!this.#is('forget the candidates that were offered')) this.#hold(s.nodes[n]!, n, candidatesOffered(holder, names(all)));
        send(s, RENEW, all);
      });
    if (!holder.isOver && state.demotions > 0)
      this.#emit(NODES[n]!, 'begins its demotion', (s) => {
        s.demotions--;
        if (!this.#is('write on after the demotion was begun')) this.#hold(s.nodes[n]!, n, demotionBegun(holder));
        if (this.#is('write on after the demotion was begun')) send(s, DEMOTE, 0);
      });
    const isAsked = node.swaps.some(({ phase, kind }) => phase !== FREE && kind === DEMOTE);
    if (!isAsked && holder.isOver && node.isWritable === 0 && state.state !== 2 && node.knows === state.revision)
      this.#emit(NODES[n]!, 'says where its log ends', (s) => send(s, DEMOTE, 0));
  }

  #mayRenew(): boolean {
    return this.#scenario.healthy !== 'promises';
  }

  #candidate(state: State, node: Node, n: number): void {
    if (node.knows !== state.revision || node.epochSeen < state.epoch || (node.isWithheld === 1) !== (state.state !== OPEN))
      if (this.#mayRenew()) this.#emit(NODES[n]!, 'reads the register', (s) => this.#look(s, s.nodes[n]!, n));
    if (state.lives === this.#scenario.lives) return;
    const record = this.#record(state);
    const nowMs = this.#now(state, n);
    const free = slotOf(node);
    const claim = (what: string, kind: number): void =>
      this.#emit(NODES[n]!, what, (s) => {
        const me = s.nodes[n]!;
        Object.assign(me, NO_HOLDER);
        this.#look(s, me, n);
        s.lives++;
        const epoch = kind === CLAIM ? s.epoch : s.epoch + 1;
        const swap = { kind, expects: s.revision, sentAt: nowMs, life: s.lives, epoch, candidates: s.candidates, terms: s.terms };
        me.swaps[free] = { phase: ASKED, ...swap };
      });
    const candidate = candidateOf(node, n);
    const at = claimableAtMs(this.#mutateCandidate(candidate), record);
    if (node.isWritable === 0 && at !== undefined && nowMs >= at) claim('claims', CLAIM);
    const isMine = record.holder.name === NODES[n] && record.life !== null && record.state === 'open' && node.epoch === 0;
    if (isMine && node.isWritable === 0) claim('claims again', RECLAIM);
  }

  #mutateCandidate(candidate: PromotionCandidate): PromotionCandidate {
    if (this.#is('claim without waiting for the own promises'))
      return { ...candidate, promisedUntilMs: -Infinity, startedAtMs: -Infinity };
    if (this.#is('claim after a restart as if nothing had been promised')) return { ...candidate, startedAtMs: -Infinity };
    return candidate;
  }

  /** Node n asks node m. */
  #promises(state: State, n: number, m: number): void {
    const node = state.nodes[n]!;
    const other = state.nodes[m]!;
    const { phase, sentAt, epoch, terms: asked } = node.asks[m]!;
    const holder = holderOf(node, n);
    const mayAsk = state.promises > 0 && this.#scenario.healthy !== 'register';
    if (mayAsk && holder !== undefined && !holder.isOver && holder.candidates.includes(NODES[m]!))
      this.#emit(NODES[n]!, `asks ${NODES[m]} for a promise`, (s) => {
        s.promises--;
        s.nodes[n]!.asks[m] = { phase: ASKED, sentAt: this.#now(s, n), epoch: holder.epoch, terms: node.terms };
      });
    if (phase === ASKED && other.isUp === 1 && other.isWritable === 0) {
      const promised = promise(
        this.#promiser(candidateOf(other, m), epoch),
        { epoch, terms: ALL_TERMS[asked]! },
        this.#now(state, m),
      );
      if (promised !== undefined)
        this.#emit(NODES[m]!, `promises ${NODES[n]}`, (s) => {
          putCandidate(s.nodes[m]!, promised);
          s.nodes[n]!.asks[m]!.phase = DONE;
        });
    }
    if (phase === DONE && holder !== undefined)
      this.#emit(NODES[n]!, `hears the promise of ${NODES[m]}`, (s) => {
        s.nodes[n]!.asks[m] = { phase: FREE, sentAt: 0, epoch: 0, terms: 0 };
        if (epoch !== holder.epoch) return;
        const countedFrom = this.#is('count a promise from the answer') ? this.#now(s, n) : sentAt;
        this.#hold(s.nodes[n]!, n, promiseAnswered(holder, NODES[m]!, countedFrom));
      });
  }

  #promiser(candidate: PromotionCandidate, epoch: number): PromotionCandidate {
    if (this.#is('promise before the register was read') && candidate.epochSeen === 0) return { ...candidate, epochSeen: epoch };
    if (this.#is('promise to holders of older epochs')) return { ...candidate, epochSeen: 1, isWithheld: false };
    return candidate;
  }

  /** A linearizable read. */
  #look(state: State, node: Node, n: number): void {
    const record = this.#record(state);
    node.knows = state.revision;
    putCandidate(node, recordRead(candidateOf(node, n), record));
    const holder = holderOf(node, n);
    if (holder !== undefined) this.#hold(node, n, recordSeen(holder, record));
  }

  #until(holder: LeaseHolder): number {
    if (!this.#is('be content with the promise of one candidate')) return writableUntilMs(holder);
    const promised = holder.candidates.filter((name) => holder.promisedUntilMs[name] !== undefined);
    return writableUntilMs({ ...holder, candidates: promised.slice(0, 1) });
  }

  /** The gate tells its watchdog until when. */
  #hold(node: Node, n: number, holder: LeaseHolder): void {
    node.epoch = holder.epoch;
    node.life = Number(holder.life);
    node.leaseUntil = Math.max(0, holder.leaseUntilMs);
    node.candidates = maskOf(holder.candidates);
    node.isOver = holder.isOver ? 1 : 0;
    node.terms = ALL_TERMS.findIndex(({ ttlMs }) => ttlMs === holder.terms.ttlMs);
    node.promisedBy = node.promisedBy.map((_, m) => holder.promisedUntilMs[NODES[m]!] ?? 0);
    const held = holderOf(node, n)!;
    if (node.isWritable === 1 && !held.isOver) node.stopAt = Math.max(0, this.#until(held));
  }

  #record(state: State): WriterRecord {
    const { epoch, holder, life, state: which, candidates, terms, proof, revision } = state;
    return {
      version: 1,
      incarnation: 'i',
      epoch,
      holder: member(holder),
      life: life === 0 ? null : String(life),
      candidates: members(candidates),
      terms: ALL_TERMS[terms]!,
      onLeaseLoss: 'stop',
      watchdog: life === 0 ? 'none' : 'armed',
      state: STATES[which]!,
      failover: which === OPEN ? null : FAILOVER,
      demotion: which === 2 ? DEMOTION : null,
      beat: revision,
      chain: [{ epoch, member: member(holder), from: 'in place', proof: PROOFS[proof]! }],
    };
  }
}

/** For the next request: a free one, or that of the request whose answer is not waited for any more. */
function slotOf(node: Node): number {
  const free = node.swaps.findIndex(({ phase }) => phase === FREE);
  return free >= 0 ? free : node.swaps.length - 1;
}

const NO_HOLDER = { epoch: 0, life: 0, leaseUntil: 0, candidates: 0, isOver: 0, terms: 0 };

function store(state: State, record: WriterRecord): void {
  state.revision++;
  state.epoch = record.epoch;
  state.holder = NODES.indexOf(record.holder.name as 'a');
  state.life = Number(record.life ?? 0);
  state.state = STATES.indexOf(record.state);
  state.candidates = maskOf(record.candidates.map(({ name }) => name));
  state.terms = ALL_TERMS.findIndex(({ ttlMs }) => ttlMs === record.terms.ttlMs);
  state.proof = PROOFS.indexOf(record.chain.at(-1)!.proof);
}

function holderOf(node: Node, n: number): LeaseHolder | undefined {
  if (node.epoch === 0) return undefined;
  const promised = node.promisedBy.flatMap((untilMs, m) => (untilMs === 0 ? [] : [[NODES[m]!, untilMs] as const]));
  return {
    member: NODES[n]!,
    life: String(node.life),
    epoch: node.epoch,
    terms: ALL_TERMS[node.terms]!,
    onLeaseLoss: 'stop',
    candidates: names(node.candidates),
    leaseUntilMs: node.leaseUntil === 0 ? -Infinity : node.leaseUntil,
    promisedUntilMs: Object.fromEntries(promised),
    isOver: node.isOver === 1,
  };
}

function candidateOf(node: Node, n: number): PromotionCandidate {
  return {
    member: NODES[n]!,
    promisedUntilMs: node.hasPromised,
    startedAtMs: node.startedAt,
    epochSeen: node.epochSeen,
    isWithheld: node.isWithheld === 1,
  };
}

function putCandidate(node: Node, candidate: PromotionCandidate): void {
  node.hasPromised = Math.max(0, candidate.promisedUntilMs);
  node.startedAt = candidate.startedAtMs;
  node.epochSeen = candidate.epochSeen;
  node.isWithheld = candidate.isWithheld ? 1 : 0;
}

function clear(swap: Swap): void {
  Object.assign(swap, { phase: FREE, kind: 0, expects: 0, sentAt: 0, life: 0, epoch: 0, candidates: 0, terms: 0 });
}

function member(n: number): { readonly name: string; readonly site: string } {
  return { name: NODES[n]!, site: NODES[n]! };
}

function names(mask: number): string[] {
  return NODES.filter((_, n) => (mask & (1 << n)) !== 0);
}

function members(mask: number): { readonly name: string; readonly site: string }[] {
  return names(mask).map((name) => ({ name, site: name }));
}

function maskOf(all: readonly string[]): number {
  return all.reduce((mask, name) => mask | (1 << NODES.indexOf(name as 'a')), 0);
}
