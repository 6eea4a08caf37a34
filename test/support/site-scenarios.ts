// What may happen to two sites, by name; see site-rounds.ts.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn } from '../../agents/gate/server-processes.ts';
import type { FailoverJournal, FailoverState } from '../../src/dr/failover-journal.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { type DividedSites, OVER_MS, otherOf } from './divided-sites.ts';
import { sendSignal } from './send-signal.ts';
import type { FailingOver, Kind, Scenario, SiteRounds, Told } from './site-rounds.ts';
import { ASSET, type SiteName, until } from './two-sites.ts';

const NOBODY = { lost: 0, reported: '-' };
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** What stands still does so for this long, over which any lease has ended. */
const PAUSE_MS = Number(process.env['HOLDFAST_SITES_PAUSE_MS'] ?? 3 * OVER_MS);
const SIGKILL_BIT = 1n << 8n;
/** States in which a step is under way. */
const UNDER_WAY: readonly FailoverState[] = FAILOVER_STATES.slice(0, -1);

function back(primary: SiteName): Kind {
  return primary === 'a' ? 'planned' : 'failback';
}

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  /** I6: the witness is gone, with its member of the quorum. */
  'witness down': async (rounds, primary) => {
    const { places } = rounds.scene;
    await rounds.writesOn(primary, () => places.killEtcd('w'));
    places.startEtcd('w');
    return { what: primary, ...NOBODY };
  },
  /** I6: the control plane of the other site is gone. */
  'other daemon down': async (rounds, primary) => {
    const { sites } = rounds.scene;
    await rounds.writesOn(primary, () => sites.daemon(otherOf(primary)).kill());
    sites.start(otherOf(primary));
    return { what: primary, ...NOBODY };
  },
  /** The quorum is gone: the primary has nothing but the other's promises. */
  'quorum down': async (rounds, primary) => {
    const { places } = rounds.scene;
    await rounds.writesOn(primary, async () => {
      await places.killEtcd('w');
      await places.killEtcd(otherOf(primary));
    });
    places.startEtcd('w');
    places.startEtcd(otherOf(primary));
    return { what: primary, ...NOBODY };
  },
  /** One way only, between two of the three. */
  'asymmetric cut': async (rounds, primary) => {
    const { places } = rounds.scene;
    const other = otherOf(primary);
    const [from, to] = rounds.pick([
      [primary, other],
      [other, primary],
      [primary, 'w'],
      ['w', primary],
    ] as const);
    await rounds.writesOn(primary, () => places.mute(from, to));
    places.heal();
    return { what: `${primary} writes, ${from} is not heard by ${to}`, ...NOBODY };
  },
  'clock step': async (rounds, primary) => {
    const { scene } = rounds;
    const site = rounds.pick(['a', 'b'] as const);
    const aheadMs = Math.round((rounds.below(2) - 1) * rounds.pick([10 * MINUTE_MS, 26 * HOUR_MS]));
    await rounds.writesOn(primary, () => scene.stepClock(site, aheadMs));
    await rounds.writesOn(primary, () => scene.stepClock(site, 0));
    return { what: `${primary} writes, the clock of ${site} by ${aheadMs} ms`, ...NOBODY };
  },
  'planned switch': (rounds, primary) => rounds.failOver(back(primary), primary),
  'planned switch, killed everywhere': (rounds, primary) => rounds.failOver(back(primary), primary, { kills: UNDER_WAY }),
  'planned switch, killed somewhere': (rounds, primary) =>
    rounds.failOver(back(primary), primary, { kills: [rounds.pick(UNDER_WAY)] }),
  'cut off': (rounds, primary) => cutOff(rounds, primary, []),
  'cut off, clock set wrong': async (rounds, primary) => {
    const { scene } = rounds;
    const aheadMs = rounds.pick([-1, 1]) * (MINUTE_MS + rounds.below(rounds.pick([9 * MINUTE_MS, 26 * HOUR_MS])));
    await rounds.writesOn(primary, () => scene.stepClock(primary, aheadMs));
    const told = await cutOff(rounds, primary, []);
    scene.stepClock(primary, 0);
    return { ...told, what: `the clock of ${primary} by ${Math.round(aheadMs)} ms; ${told.what}` };
  },
  'cut off, killed everywhere': (rounds, primary) => cutOff(rounds, primary, UNDER_WAY),
  'cut off, killed somewhere': (rounds, primary) => cutOff(rounds, primary, [rounds.pick(UNDER_WAY)]),
  /** In every state another of those who take part is killed, and started again. */
  'planned switch, hosts killed': (rounds, primary) => {
    const { strike, told } = striker(rounds, ['a', 'b'], primary);
    return rounds.failOver(back(primary), primary, { strike }).then((one) => ({ ...one, what: `${told()}; ${one.what}` }));
  },
  'cut off, hosts killed': async (rounds, primary) => {
    const { strike, told } = striker(rounds, [otherOf(primary)]);
    const one = await cutOff(rounds, primary, [], strike);
    return { ...one, what: `${told()}; ${one.what}` };
  },
  /** Declared and withheld, and then it was not that bad. */
  undone: async (rounds, primary) => {
    const { scene } = rounds;
    const at = otherOf(primary);
    await scene.declare(at, 'unplanned');
    const orchestrator = scene.orchestrator(at);
    const ended = new Promise((resolve) => orchestrator.once('exit', resolve));
    await until('renewals are withheld', async () => (await scene.sites.register.read()).record.state === 'withheld');
    const isStopped = rounds.pick([true, false]);
    if (isStopped) await until('the primary is stopped', () => scene.sites.isStopped(primary));
    orchestrator.kill('SIGKILL');
    await ended;
    const { status, stdout, stderr } = await scene.holdfast(at, ['failover', 'undo', 'portal', '--reason', 'not that bad']);
    if (status !== 0) throw new Error(`It was not undone: ${stdout}${stderr}`);
    const from = performance.now();
    await until(`${primary} writes again`, () => scene.ledger.commits.some(({ askedAt }) => askedAt > from));
    return { what: `${primary}${isStopped ? ', after it was stopped' : ''}`, ...NOBODY };
  },
  /** The host of the primary is gone, with everything on it. */
  'host lost': async (rounds, primary) => {
    const { sites } = rounds.scene;
    const dead = [sites.daemon(primary).pid, ...rounds.scene.watchdogs(primary), ...processesIn(sites.data(primary))];
    for (const pid of dead) sendSignal(pid, 'SIGKILL');
    await sites.daemon(primary).ended;
    return rounds.failOver('unplanned', primary, { afterwards: async () => void sites.start(primary) });
  },
  paused: (rounds, primary) => standStill(rounds, primary, rounds.pick(['daemon', 'server', 'daemon and server'] as const)),
  /** With everything on its host, the member of the quorum, too. */
  'host paused': (rounds, primary) => standStill(rounds, primary, 'host'),
  /** I6: it has the witness. */
  'other host paused': async (rounds, primary) => {
    const { sites, places } = rounds.scene;
    const other = otherOf(primary);
    await rounds.writesOn(primary, () => {
      places.pauseEtcd(other);
      sites.daemon(other).signal('SIGSTOP');
    });
    places.resumeEtcd(other);
    sites.daemon(other).signal('SIGCONT');
    return { what: primary, ...NOBODY };
  },
  /** Across a lease nobody answers the primary, neither a majority nor the candidate: it stops by itself, and goes on when they do. */
  'all others paused': async (rounds, primary) => {
    const { sites, places, ledger } = rounds.scene;
    const other = otherOf(primary);
    for (const place of [other, 'w'] as const) places.pauseEtcd(place);
    sites.daemon(other).signal('SIGSTOP');
    await until('the primary has stopped', () => sites.isStopped(primary));
    sites.daemon(other).signal('SIGCONT');
    for (const place of [other, 'w'] as const) places.resumeEtcd(place);
    const from = performance.now();
    await until(`${primary} writes again`, () => ledger.commits.some(({ askedAt }) => askedAt > from));
    return { what: primary, ...NOBODY };
  },
  /** Whatever the listings of a store do not say: nothing is lost for it, and nobody is kept from taking over. */
  'stale lists': async (rounds, primary) => {
    const { scene } = rounds;
    const held = rounds.pick([['a'], ['b'], ['a', 'b']] as const);
    for (const site of held) scene.holdListings(site, true);
    await rounds.writesOn(primary, () => {});
    const kills = [rounds.pick(UNDER_WAY)];
    const told = rounds.pick([true, false])
      ? await rounds.failOver(back(primary), primary, { kills })
      : await cutOff(rounds, primary, kills);
    for (const site of held) scene.holdListings(site, false);
    return { ...told, what: `at ${held.join(' and ')}; ${told.what}` };
  },
  /** All of its orders are signed and right, and of a time that is over. */
  'slept over': async (rounds, primary) => {
    const { scene } = rounds;
    const other = otherOf(primary);
    const state = rounds.pick(UNDER_WAY);
    const there = await rounds.failOver(back(primary), primary, { kills: [state], sleeps: true });
    const { journal } = await scene.journal.read();
    await scene.bothWell();
    const again = await rounds.failOver(back(other), other);
    await scene.bothWell();
    await rounds.writesOn(primary, async () => {
      await rounds.wake();
      await mustBeRefused(scene, journal);
    });
    const seconds = Math.max(there.seconds ?? 0, again.seconds ?? 0);
    return { what: `${primary}, in "${state}"; ${again.what}`, seconds, lost: 0, reported: 'none' };
  },
  /** Of whoever takes part, by hours, again and again. */
  'clocks jump': async (rounds, primary) => {
    const { scene } = rounds;
    const over = new AbortController();
    const jumping = (async (): Promise<void> => {
      while (!over.signal.aborted) {
        scene.stepClock(rounds.pick(['a', 'b'] as const), Math.round((rounds.below(2) - 1) * 26 * HOUR_MS));
        await sleep(rounds.below(500), undefined, { signal: over.signal }).catch(() => {});
      }
    })();
    const settle = async (): Promise<void> => {
      over.abort();
      await jumping;
      for (const site of ['a', 'b'] as const) scene.stepClock(site, 0);
    };
    try {
      return await rounds.failOver(back(primary), primary, { afterwards: settle });
    } finally {
      await settle();
    }
  },
};

type Strike = NonNullable<FailingOver['strike']>;
type Paused = 'daemon' | 'server' | 'daemon and server' | 'host';

/** Longer than any lease; somebody takes over meanwhile. */
async function standStill(rounds: SiteRounds, primary: SiteName, which: Paused): Promise<Told> {
  const { scene } = rounds;
  const { sites, places } = scene;
  const isHost = which === 'host';
  const daemon = which === 'server' ? [] : [sites.daemon(primary).pid];
  const watchdogs = isHost ? scene.watchdogs(primary) : [];
  const server = which === 'daemon' ? [] : processesIn(sites.data(primary));
  // Who goes on first is the kernel's choice on a real host; here the watchdog, since clients of this ledger follow no route.
  const paused = [...watchdogs, ...daemon, ...server];
  const from = performance.now();
  if (isHost) places.pauseEtcd(primary);
  for (const pid of paused) sendSignal(pid, 'SIGSTOP');
  const afterwards = async (): Promise<void> => {
    await sleep(Math.max(0, from + PAUSE_MS - performance.now()));
    if (isHost) places.resumeEtcd(primary);
    for (const pid of watchdogs) sendSignal(pid, 'SIGCONT');
    if (isHost) await until('the watchdog has ended its server', () => server.every((pid) => hasEnded(pid)));
    for (const pid of paused) sendSignal(pid, 'SIGCONT');
    await until('the old server is gone', () => sites.isStopped(primary));
  };
  const told = await rounds.failOver('unplanned', primary, { afterwards });
  return { ...told, what: `${which}; ${told.what}` };
}

async function mustBeRefused({ sites }: DividedSites, journal: FailoverJournal): Promise<void> {
  const { id, from, to, sealed, databases } = journal;
  const { epoch } = databases[0]!;
  const call = { signal: AbortSignal.timeout(30_000) };
  const of = { epoch, failover: id };
  const clients = sites.clients();
  const orders = (['a', 'b'] as const).flatMap((site) => [
    clients[site].demote(ASSET, of, call),
    clients[site].revoke(ASSET, of, call),
    clients[site].seal(ASSET, of, call),
    clients[site].rejoin(ASSET, { ...of, epoch: epoch + 1, sealed: sealed[ASSET]! }, call),
  ]);
  for (const outcome of await Promise.allSettled(orders))
    if (outcome.status === 'fulfilled' || (outcome.reason as { code?: string }).code !== 'SITE_REFUSED')
      throw new Error(`An order of ${id}, from ${from} to ${to}, was not refused: ${JSON.stringify(outcome)}`);
}

/** Kills a process of one of these sites, or a member of the quorum, and starts it again. Not of `source` before it is stopped: it would go on
 *  there with an epoch of its own, and what was declared against the one before is over: it says so, and is to be undone. */
function striker(
  rounds: SiteRounds,
  at: readonly SiteName[],
  source?: SiteName,
): { readonly strike: Strike; readonly told: () => string } {
  const { scene } = rounds;
  const { sites, places } = scene;
  const strokes: string[] = [];
  const strike: Strike = async (state) => {
    if (!UNDER_WAY.includes(state)) return;
    await sleep(rounds.below(300));
    const site = rounds.pick(state === 'declared' ? at.filter((one) => one !== source) : at);
    const whom = rounds.pick(['daemon', 'watchdog', 'server', 'host', 'etcd'] as const);
    strokes.push(`${state}: ${whom} ${whom === 'etcd' ? '' : site}`);
    if (whom === 'etcd') {
      const place = rounds.pick([...at, 'w'] as const);
      await places.killEtcd(place);
      places.startEtcd(place);
      return;
    }
    const hit = [
      ...(whom === 'daemon' || whom === 'host' ? [sites.daemon(site).pid] : []),
      ...(whom === 'watchdog' || whom === 'host' ? scene.watchdogs(site) : []),
      ...(whom === 'server' || whom === 'host' ? processesIn(sites.data(site)) : []),
    ];
    for (const pid of hit) sendSignal(pid, 'SIGKILL');
    if (whom !== 'daemon' && whom !== 'host') return;
    await sites.daemon(site).ended;
    sites.start(site);
  };
  return { strike, told: () => strokes.join(', ') };
}

async function cutOff(rounds: SiteRounds, primary: SiteName, kills: readonly FailoverState[], strike?: Strike): Promise<Told> {
  const { scene } = rounds;
  const silently = rounds.pick([true, false]);
  scene.cutOff(primary, silently);
  try {
    const told = await rounds.failOver('unplanned', primary, {
      kills,
      ...(strike && { strike }),
      afterwards: async () => {
        await until('the old server has stopped', () => scene.sites.isStopped(primary));
        scene.places.heal();
      },
    });
    return { ...told, what: `${silently ? 'silently; ' : ''}${told.what}` };
  } finally {
    // The next round is another one.
    scene.places.heal();
  }
}

/** Or will, as soon as it goes on: it is a zombie, or a deadly signal waits for it. */
function hasEnded(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const pending = [...status.matchAll(/^S[hi][dg]Pnd:\s*(\w+)$/gm)].reduce((all, [, mask]) => all | BigInt(`0x${mask}`), 0n);
    return /^State:\s*[ZX]/m.test(status) || (pending & SIGKILL_BIT) !== 0n;
  } catch {
    return true;
  }
}
