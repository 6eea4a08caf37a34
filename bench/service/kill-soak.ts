// kill -9 of the service during runs, again and again: no run lost, none doubled, the catalogue consistent, nothing acknowledged missing.
//
//   bin/node bench/service/kill-soak.ts [--kills N] [--seed S] [--home DIR]
//
// A service with its local agent protects a few small trees on a schedule of once a minute, while a client asks for more runs (backups, verifies,
// prunes, forgets), changes files, and writes down what was acknowledged: a run that was queued, an asset that was made, a run that was seen to
// have succeeded with its snapshot. At a random moment the whole process is killed with SIGKILL (its children and the processes of the agent die by their
// lifelines), then started again. In the end the queue is worked off and everything is held against what was acknowledged.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { seededRandom } from '../../test/support/seeded-random.ts';
import { checkAfterwards } from './kill-soak-check.ts';
import { type Acknowledged, SoakClient } from './kill-soak-client.ts';
import { ServiceProcess } from './service-process.ts';

const ASSETS = 3;
/** A life is at most this long; on a busy machine so many times as long as a start takes, or no run would come to its end in one. */
const UP_MS_MAX = 6_000;
const UP_STARTS_MAX = 2;
const ENDING_MS_MAX = 900_000;

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '100' }, seed: { type: 'string' }, home: { type: 'string' } },
});
const kills = Number(values.kills);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const chance = seededRandom(seed);
const temporary = existsSync('/dev/shm') ? '/dev/shm' : '/tmp';
const directory = values.home ?? mkdtempSync(join(temporary, 'holdfast-soak-'));
const sources = Array.from({ length: ASSETS }, (_, n) => join(directory, `source-${n}`));
console.log(`seed ${seed}, ${kills} kills`);

for (const source of sources) mkdirSync(source, { recursive: true });
const service = new ServiceProcess(join(directory, 'home'));
const acknowledged: Acknowledged = { assets: new Map(), queued: new Set(), succeeded: new Map() };
let failed = false;
try {
  let startMs = await started();
  const client = new SoakClient(service, acknowledged);
  await client.prepare(sources);
  for (let n = 1; n <= kills; n++) {
    const stopping = new AbortController();
    const working = work(client, stopping.signal);
    await pause(Math.floor(chance() * Math.max(UP_MS_MAX, UP_STARTS_MAX * startMs)));
    await service.kill();
    stopping.abort();
    await working;
    startMs = await started();
    if (n % 10 === 0)
      console.log(`${n} kills; ${acknowledged.queued.size} runs queued, ${acknowledged.succeeded.size} seen to succeed`);
  }
  await settle(client);
  await client.look();
  await service.stop();
  const { problems, figures } = checkAfterwards(service, acknowledged);
  console.log(JSON.stringify({ seed, kills, ...figures }));
  for (const problem of problems) console.error(`PROBLEM: ${problem}`);
  failed = problems.length > 0;
} catch (error) {
  failed = true;
  console.error(error);
} finally {
  await service.kill();
  if (failed)
    console.error(`failed; seed ${seed}; everything is kept in ${directory}, the log of the service in ${service.logPath}`);
  else rmSync(directory, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

/** In so many milliseconds. */
async function started(): Promise<number> {
  const from = performance.now();
  await service.start();
  return performance.now() - from;
}

/** Until the service is gone. */
async function work(client: SoakClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const source = sources[Math.floor(chance() * sources.length)]!;
    writeFileSync(join(source, `file-${Math.floor(chance() * 20)}`), randomBytes(1 + Math.floor(chance() * 200_000)));
    const kind = (['backup', 'backup', 'backup', 'verify', 'prune', 'forget'] as const)[Math.floor(chance() * 6)]!;
    await client.ask(kind, chance);
    if (chance() < 0.5) await client.look();
    await pause(Math.floor(chance() * 400));
  }
}

/** Until the queue is empty. */
async function settle(client: SoakClient): Promise<void> {
  const until = performance.now() + ENDING_MS_MAX;
  while ((await client.unfinished()) > 0) {
    if (performance.now() > until) throw new Error(`${await client.unfinished()} runs did not come to an end`);
    await pause(500);
  }
}
