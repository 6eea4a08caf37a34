// What may happen to two sites, by name; see site-rounds.ts.

import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn } from '../../agents/gate/server-processes.ts';
import type { FailoverState } from '../../src/dr/failover-journal.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { OVER_MS, otherOf } from './divided-sites.ts';
import type { Kind, Scenario, SiteRounds, Told } from './site-rounds.ts';
import { type SiteName, until } from './two-sites.ts';

const NOBODY = { lost: 0, reported: '-' };
const MINUTE_MS = 60_000;
/** States in which a step is under way. */
const UNDER_WAY = FAILOVER_STATES.slice(0, -1);

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
    const aheadMs = Math.round((rounds.below(2) - 1) * 10 * MINUTE_MS);
    await rounds.writesOn(primary, () => scene.stepClock(site, aheadMs));
    await rounds.writesOn(primary, () => scene.stepClock(site, 0));
    return { what: `${primary} writes, the clock of ${site} by ${aheadMs} ms`, ...NOBODY };
  },
  'planned switch': (rounds, primary) => rounds.failOver(back(primary), primary, []),
  'planned switch, killed everywhere': (rounds, primary) => rounds.failOver(back(primary), primary, UNDER_WAY),
  'planned switch, killed somewhere': (rounds, primary) => rounds.failOver(back(primary), primary, [rounds.pick(UNDER_WAY)]),
  'cut off': (rounds, primary) => cutOff(rounds, primary, []),
  'cut off, clock set wrong': async (rounds, primary) => {
    const { scene } = rounds;
    const aheadMs = rounds.pick([-1, 1]) * (MINUTE_MS + rounds.below(9 * MINUTE_MS));
    await rounds.writesOn(primary, () => scene.stepClock(primary, aheadMs));
    const told = await cutOff(rounds, primary, []);
    scene.stepClock(primary, 0);
    return { ...told, what: `the clock of ${primary} by ${Math.round(aheadMs)} ms; ${told.what}` };
  },
  'cut off, killed everywhere': (rounds, primary) => cutOff(rounds, primary, UNDER_WAY),
  'cut off, killed somewhere': (rounds, primary) => cutOff(rounds, primary, [rounds.pick(UNDER_WAY)]),
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
    for (const pid of dead) process.kill(pid, 'SIGKILL');
    await sites.daemon(primary).ended;
    return rounds.failOver('unplanned', primary, [], async () => void sites.start(primary));
  },
  paused: async (rounds, primary) => {
    const { sites } = rounds.scene;
    const which = rounds.pick(['daemon', 'server', 'daemon and server'] as const);
    const daemon = which === 'server' ? [] : [sites.daemon(primary).pid];
    const server = which === 'daemon' ? [] : processesIn(sites.data(primary));
    const from = performance.now();
    for (const pid of [...daemon, ...server]) process.kill(pid, 'SIGSTOP');
    const told = await rounds.failOver('unplanned', primary, [], async () => {
      await sleep(Math.max(0, from + 3 * OVER_MS - performance.now()));
      for (const pid of [...daemon, ...server]) go(pid);
      await until('the old server is gone', () => sites.isStopped(primary));
    });
    return { ...told, what: `${which}; ${told.what}` };
  },
};

async function cutOff(rounds: SiteRounds, primary: SiteName, kills: readonly FailoverState[]): Promise<Told> {
  const { scene } = rounds;
  const silently = rounds.pick([true, false]);
  scene.cutOff(primary, silently);
  const told = await rounds.failOver('unplanned', primary, kills, async () => {
    await until('the old server has stopped', () => scene.sites.isStopped(primary));
    scene.places.heal();
  });
  return { ...told, what: `${silently ? 'silently; ' : ''}${told.what}` };
}

function go(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It was killed while it stood still.
  }
}
