// Rounds of what may happen to two sites. Each begins and ends with a primary and a healthy standby, and is held against the ledger: who may
// write is one at a time, nothing that was acknowledged is lost by a planned switch, and what an unplanned one loses is what it says.

import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FailoverJournal, type FailoverState, factsOf, isFinished } from '../../src/dr/failover-journal.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { type Commit, CommitLedger } from './commit-ledger.ts';
import { type DividedSites, OVER_MS, otherOf } from './divided-sites.ts';
import { MachinePulse } from './machine-pulse.ts';
import { type Loss, mustBeTold } from './told-loss.ts';
import { ASSET, type SiteName, until } from './two-sites.ts';

export type Round = {
  readonly scenario: string;
  readonly what: string;
  /** From the declaration to the first write that the other site acknowledged; undefined: nobody took over. */
  readonly seconds?: number;
  /** Without an acknowledgement. */
  readonly pauseSeconds: number;
  readonly acknowledged: number;
  readonly lost: number;
  /** As the operator is told. */
  readonly reported: string;
};

export type Told = Pick<Round, 'what' | 'seconds' | 'lost' | 'reported'>;
export type FailingOver = {
  /** The orchestrator is killed in these states, and followed by the next. */
  readonly kills?: readonly FailoverState[];
  /** It stands still instead, until the scenario wakes it. */
  readonly sleeps?: boolean;
  /** Done once in each state, while it is being carried out. */
  readonly strike?: (state: FailoverState) => Promise<void>;
  /** Before the old one is asked to rejoin. */
  readonly afterwards?: () => Promise<void>;
};

type Carrying = {
  readonly kills: readonly FailoverState[];
  readonly how: 'SIGKILL' | 'SIGSTOP';
  readonly strike: FailingOver['strike'];
};
export type Scenario = (rounds: SiteRounds, primary: SiteName) => Promise<Told>;
export type Kind = FailoverJournal['kind'];

const MINUTE_MS = 60_000;
const ATTEMPTS_MAX = 3;
const PATIENCE_MS = 10_000;
/** A good part of a lease. */
const LATE_MS = 500;

export class SiteRounds {
  readonly scene: DividedSites;
  readonly #random: () => number;
  /** Words of rows that an unplanned failover has lost, and said so. */
  readonly #lost = new Set<string>();
  readonly #sleepers: { readonly orchestrator: ChildProcess; readonly ended: Promise<unknown> }[] = [];
  #failovers = 0;
  #unstopped: { readonly site: SiteName; readonly server: string } | undefined;

  constructor(scene: DividedSites, random: () => number) {
    this.scene = scene;
    this.#random = random;
  }

  async play(name: string, scenario: Scenario): Promise<Round> {
    const { ledger } = this.scene;
    await until('somebody writes', () => ledger.commits.length > 0);
    const from = ledger.commits.length;
    const told = await this.#played(scenario);
    await this.#checkAll();
    const commits = ledger.since(from);
    return {
      scenario: name,
      ...told,
      pauseSeconds: CommitLedger.pause(ledger.since(from - 1)) / 1_000,
      acknowledged: commits.length,
    };
  }

  /** Once more where a server was stopped that should not have been, on a machine that had no time for its processes. */
  async #played(scenario: Scenario): Promise<Told> {
    for (let attempt = 1; ; attempt++) {
      const pulse = new MachinePulse();
      try {
        const told = await scenario(this, await this.scene.primary());
        await this.scene.bothWell();
        const { site, server } = this.#unstopped ?? {};
        this.#unstopped = undefined;
        if (site === undefined || this.scene.sites.serverOf(site) === server) return told;
        if (attempt === ATTEMPTS_MAX || !pulse.wasLateBy(LATE_MS)) throw new Error(`The server at ${site} was stopped`);
      } finally {
        pulse.stop();
      }
    }
  }

  pick<T>(some: readonly T[]): T {
    return some[Math.floor(this.#random() * some.length)]!;
  }

  below(limit: number): number {
    return this.#random() * limit;
  }

  /** By no lease of before. Until the end of the round its server may not be stopped once, unless it is failed over. */
  async writesOn(site: SiteName, meanwhile: () => void | Promise<void>): Promise<void> {
    const { sites, ledger } = this.scene;
    this.#unstopped = { site, server: sites.serverOf(site) };
    await meanwhile();
    const from = performance.now() + OVER_MS;
    await until(`${site} writes on`, () => ledger.commits.at(-1)!.site === site && ledger.commits.at(-1)!.askedAt > from);
  }

  /** Whoever slept over a failover goes on, to the end. */
  async wake(): Promise<void> {
    for (const { orchestrator, ended } of this.#sleepers.splice(0)) {
      orchestrator.kill('SIGCONT');
      await ended;
    }
  }

  /** To the other site. */
  async failOver(kind: Kind, from: SiteName, { kills = [], sleeps = false, strike, afterwards }: FailingOver = {}): Promise<Told> {
    const { scene } = this;
    const { ledger } = scene;
    const to = otherOf(from);
    const declaredAt = performance.now();
    const place = ledger.commits.length;
    await scene.declare(to, kind);
    this.#failovers++;
    this.#unstopped = undefined;
    const journal = await this.#carriedOut(to, kind, { kills, how: sleeps ? 'SIGSTOP' : 'SIGKILL', strike });
    const first = await until(`${to} writes`, () => ledger.since(place, to)[0]);
    await afterwards?.();
    const acknowledged = ledger.since(0, from).filter(({ word }) => !this.#lost.has(word));
    const missing = await until(`${to} is asked`, () => ledger.missingAt(to, acknowledged));
    const loss = (factsOfAction(journal, 'show-loss').losses as Record<string, Loss>)[ASSET]!;
    const divergence = await scene.rejoin(from);
    const lost = await this.#judge(kind, missing, loss, divergence, scene.aheadMs(from));
    await this.#mustProve(to, journal);
    const what = `${from} to ${to}, ${kind}, ${kills.length} kills, proof ${proofOf(journal)}, ${phasesOf(journal)}`;
    const reported = kind === 'unplanned' ? `${loss.ms} ms, ${loss.missingBytes} B` : 'none';
    return { what, seconds: (first.answeredAt - declaredAt) / 1_000, lost, reported };
  }

  /** Its journal went through all states once, and its evidence verifies with nothing but a key. */
  async #mustProve(at: SiteName, journal: FailoverJournal): Promise<void> {
    const states = journal.entries.map(({ state }) => state);
    if (states.join() !== FAILOVER_STATES.join()) throw new Error(`It went through ${states.join(', ')}`);
    const { file } = factsOf(journal, 'normal').evidence as { readonly file: string };
    const { status, stdout, stderr } = await this.scene.verify(file, at);
    if (status !== 0) throw new Error(`Its evidence does not verify: ${stdout}${stderr}`);
    if (!stdout.includes('"outcome":"succeeded"')) throw new Error(`Its outcome is not that it succeeded: ${stdout}`);
    for (const language of ['en', 'zh'])
      if (!existsSync(file.replace(/json$/, `${language}.html`))) throw new Error(`There is no report in ${language}`);
  }

  /** What was lost is what is told and kept: nothing by a planned switch, nothing of before the heartbeat that was found, and all of it exported. */
  async #judge(
    kind: Kind,
    missing: readonly Commit[],
    { newest, ms }: Loss,
    divergence: string | null,
    aheadMs: number,
  ): Promise<number> {
    const told = (): string => JSON.stringify({ missing: missing.slice(0, 5), newest, ms, divergence });
    if (aheadMs >= MINUTE_MS && ms !== null) throw new Error(`A loss was measured with a clock of a time to come: ${told()}`);
    if (kind !== 'unplanned' && missing.length > 0) throw new Error(`A ${kind} switch has lost ${missing.length} rows: ${told()}`);
    mustBeTold(missing, { newest, ms }, divergence, aheadMs);
    for (const { word } of missing) this.#lost.add(word);
    return missing.length;
  }

  /** Everything that was ever acknowledged and not told as lost is there, and as often as there were failovers another has acknowledged. */
  async #checkAll(): Promise<void> {
    const { ledger } = this.scene;
    const commits = [...ledger.commits];
    const kept = commits.filter(({ word }) => !this.#lost.has(word));
    const missing = await ledger.missingAt(await this.scene.primary(), kept);
    if (missing.length > 0) throw new Error(`Lost without a word: ${JSON.stringify(missing.slice(0, 5))}`);
    const turns = CommitLedger.turns(commits);
    if (turns > this.#failovers) throw new Error(`Two were writable at once: ${turns} turns in ${this.#failovers} failovers`);
  }

  async #carriedOut(at: SiteName, kind: Kind, { kills, how, strike }: Carrying): Promise<FailoverJournal> {
    const { journal, sites } = this.scene;
    const left = new Set(kills);
    const struck = new Set<FailoverState>();
    for (;;) {
      const orchestrator = this.scene.orchestrator(at);
      const ended = new Promise((resolve) => orchestrator.once('exit', resolve));
      const state = await until('the orchestrator comes to where it is killed, or to its end', async () => {
        const { state: now } = (await journal.read({ signal: AbortSignal.timeout(PATIENCE_MS) })).journal;
        if (!struck.has(now)) {
          struck.add(now);
          await strike?.(now);
        }
        return orchestrator.exitCode === null && !left.has(now) ? undefined : now;
      });
      if (left.delete(state)) {
        await sleep(this.below(300));
        orchestrator.kill(how);
        if (how === 'SIGSTOP') {
          this.#sleepers.push({ orchestrator, ended });
          continue;
        }
      }
      await ended;
      const { journal: known } = await journal.read();
      if (isFinished(known)) return known;
      if (known.blockedBy.some((why) => why.includes('"show-loss"'))) {
        const words = ['failover', 'decide', 'portal', 'show-loss', '--yes', '--by', 'wei', '--by', 'lin'];
        await this.scene.holdfast(at, words);
      }
      // The gate of the old primary was killed before it gave up its right, and holds it by a later epoch.
      if (known.blockedBy.some((why) => why.includes('declare the failover anew'))) {
        await this.scene.holdfast(at, ['failover', 'undo', 'portal', '--reason', 'its epoch is over']);
        await until('both are well', async () => (await sites.status(at)).standby?.isHealthy);
        await this.scene.declare(at, kind);
        struck.clear();
      }
    }
  }
}

function factsOfAction({ actions }: FailoverJournal, id: string): Readonly<Record<string, unknown>> {
  return actions.find((one) => one.id === id)?.facts ?? {};
}

/** How long it took to each state that took long. */
function phasesOf({ entries }: FailoverJournal): string {
  const seconds = entries.map(({ at }, i) => (Date.parse(at) - Date.parse(entries[Math.max(0, i - 1)]!.at)) / 1_000);
  return entries.flatMap(({ state }, i) => (seconds[i]! < 0.5 ? [] : [`${state} ${seconds[i]!.toFixed(1)}`])).join(' ');
}

function proofOf(journal: FailoverJournal): string {
  return (factsOf(journal, 'fenced') as { fencing: Record<string, { proof: string }> }).fencing[ASSET]!.proof;
}
