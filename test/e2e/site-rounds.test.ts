// Two sites and a witness, cut off, paused, killed and set wrong, by a seed: see test/support/site-scenarios.ts. `bench/site-soak.ts` makes it long.

import { afterAll, beforeAll, describe, it } from 'vitest';
import { startS3 } from '../support/ceph.ts';
import { DividedSites } from '../support/divided-sites.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type Round, SiteRounds } from '../support/site-rounds.ts';
import { SCENARIOS } from '../support/site-scenarios.ts';
import { needNamespaces } from '../support/three-places.ts';

const SEED = Number(process.env['HOLDFAST_SITES_SEED'] ?? 20261121);
const ROUNDS = Number(process.env['HOLDFAST_SITES_ROUNDS'] ?? 0);
const ONLY = process.env['HOLDFAST_SITES_ONLY']?.split('/');
const SHORT = [
  'quorum down',
  'asymmetric cut',
  'planned switch, killed somewhere',
  'planned switch, hosts killed',
  'cut off, killed somewhere',
  'paused',
];
const TIMEOUT_MS = 300_000;
const programs = postgresPrograms();
const s3 = programs !== undefined && needNamespaces() ? await startS3() : undefined;

describe.runIf(s3 !== undefined)(`Two sites and a witness (seed ${SEED})`, () => {
  const random = seededRandom(SEED);
  const names = ONLY ?? Object.keys(SCENARIOS);
  const unknown = names.filter((name) => SCENARIOS[name] === undefined);
  if (unknown.length > 0) throw new Error(`No scenario ${unknown.join(', ')}: there are ${Object.keys(SCENARIOS).join(', ')}`);
  const played = ROUNDS === 0 ? SHORT : Array.from({ length: ROUNDS }, () => names[Math.floor(random() * names.length)]!);
  let scene: DividedSites;
  let rounds: SiteRounds;

  beforeAll(async () => {
    scene = await DividedSites.create(programs!, s3!);
    rounds = new SiteRounds(scene, random);
  }, TIMEOUT_MS);

  afterAll(() => scene?.end(), TIMEOUT_MS);

  it.each(played.map((scenario, i) => ({ scenario, i })))(
    'round $i: $scenario',
    async ({ scenario, i }) => {
      try {
        tell(i, await rounds.play(scenario, SCENARIOS[scenario]!));
      } catch (error) {
        console.log(await scene.state());
        throw error;
      }
    },
    TIMEOUT_MS,
  );
});

function tell(i: number, { scenario, what, seconds, pauseSeconds, acknowledged, lost, reported }: Round): void {
  const cells = [i, scenario, what, seconds?.toFixed(1) ?? '-', pauseSeconds.toFixed(1), acknowledged, lost, reported];
  process.stdout.write(`seed ${SEED} | ${cells.join(' | ')}\n`);
}
