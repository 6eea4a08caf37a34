// After the last kill: the catalogue and the repository against each other, and both against what was acknowledged.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import type { Acknowledged } from './kill-soak-client.ts';
import type { ServiceProcess } from './service-process.ts';

const PROGRAM = resolve(import.meta.dirname, '../../bin/holdfast');

type RunRow = {
  id: string;
  asset_id: string | null;
  kind: string;
  key: string;
  state: string;
  due_at: string;
  fence: number;
  attempt: number;
  lost: number | null;
  result: string | null;
};

export type Checked = { readonly problems: readonly string[]; readonly figures: Readonly<Record<string, number>> };

export function checkAfterwards(service: ServiceProcess, acknowledged: Acknowledged): Checked {
  const database = new Database(join(service.home, 'catalog.sqlite'), { readonly: true });
  try {
    const runs = database
      .prepare('SELECT id, asset_id, kind, key, state, due_at, fence, attempt, lost, result FROM runs')
      .all() as RunRow[];
    const problems = [
      ...problemsOfFile(database),
      ...problemsOfRuns(runs, acknowledged),
      ...problemsOfFailures(database),
      ...doneTwice(database),
      ...problemsOfSnapshots(service, database, runs, acknowledged),
    ];
    const retried = runs.filter(({ attempt }) => attempt > 1).length;
    const count = (state: string): number => runs.filter((run) => run.state === state).length;
    const figures = {
      runs: runs.length,
      acknowledged: acknowledged.queued.size,
      succeeded: count('succeeded') + count('warned'),
      failed: count('failed'),
      retried,
      lostMost: Math.max(...runs.map(({ lost }) => lost ?? 0)),
    };
    return { problems, figures };
  } finally {
    database.close();
  }
}

function problemsOfFile(database: Database.Database): string[] {
  const integrity = database.pragma('integrity_check') as { integrity_check: string }[];
  const foreign = database.pragma('foreign_key_check') as unknown[];
  return [
    ...integrity.filter((row) => row.integrity_check !== 'ok').map((row) => `the catalogue is damaged: ${row.integrity_check}`),
    ...foreign.map((row) => `a row names what is not there: ${JSON.stringify(row)}`),
  ];
}

function problemsOfRuns(runs: readonly RunRow[], { assets, queued, succeeded }: Acknowledged): string[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  const problems: string[] = [];
  for (const id of queued) if (!byId.has(id)) problems.push(`the run ${id} was acknowledged and is lost`);
  for (const id of assets.keys())
    if (!runs.some((run) => run.asset_id === id && run.kind === 'backup')) problems.push(`the asset ${id} never got a run`);
  for (const [id, seen] of succeeded) {
    const run = byId.get(id);
    if (run === undefined) problems.push(`the run ${id} was seen to succeed and is lost`);
    else if (run.state !== seen.state) problems.push(`the run ${id} was seen as ${seen.state} and is ${run.state}`);
    else if (run.fence !== seen.fence) problems.push(`the run ${id} was done again after it had succeeded`);
  }
  const scheduled = runs.filter(({ key }) => !key.startsWith('manual:') && !key.includes('/after/'));
  const doubled = Object.entries(
    Object.groupBy(scheduled, ({ asset_id, kind, due_at, key }) => `${asset_id ?? key.split('/')[1]} ${kind} ${due_at}`),
  );
  for (const [what, some] of doubled) if (some!.length > 1) problems.push(`planned twice: ${what}`);
  // Due in this minute.
  const unfinished = runs.filter(({ state }) => state === 'running');
  for (const { id, kind } of unfinished) problems.push(`the ${kind} ${id} is still said to run after the service was stopped`);
  for (const { id, kind, key } of runs
    .filter(({ state }) => state === 'queued')
    .filter(({ key: one }) => one.startsWith('manual:')))
    problems.push(`the ${kind} ${id} (${key}) was never done`);
  return problems;
}

/** No run fails because it was killed, however often that was. And of one that fails somebody is told. */
function problemsOfFailures(database: Database.Database): string[] {
  const failed = database
    .prepare(
      `SELECT id, kind, attempt - coalesce(lost, 0) AS attempt, attempts_max, fault,
        (SELECT count(*) FROM events WHERE events.run_id = runs.id AND events.kind = 'run.failed') AS told FROM runs WHERE state = 'failed'`,
    )
    .all() as {
    id: string;
    kind: string;
    attempt: number;
    attempts_max: number;
    fault: string | null;
    told: number;
  }[];
  return failed.flatMap(({ id, kind, attempt, attempts_max, fault, told }) => {
    const what = `the ${kind} ${id} failed`;
    const problems = told === 1 ? [] : [`${what} and was told ${told} times`];
    if (attempt < attempts_max) problems.push(`${what} at attempt ${attempt} of ${attempts_max}: ${fault}`);
    return problems;
  });
}

/** A backup that was killed after its commit and before its end was told is not made once more. */
function doneTwice(database: Database.Database): string[] {
  const twice = database
    .prepare('SELECT run_id, count(*) AS count FROM recovery_points WHERE run_id IS NOT NULL GROUP BY run_id HAVING count(*) > 1')
    .all() as { run_id: string; count: number }[];
  return twice.map(({ run_id, count }) => `the backup ${run_id} made ${count} recovery points`);
}

/** Every snapshot that a run was seen to have made is there (or was forgotten by the policy), the repository is whole, and no run made two. */
function problemsOfSnapshots(
  service: ServiceProcess,
  database: Database.Database,
  runs: readonly RunRow[],
  { succeeded }: Acknowledged,
): string[] {
  const repositories = join(service.home, 'repositories');
  // Names that begin with "_" are the service's own.
  const [name] = existsSync(repositories) ? readdirSync(repositories).filter((one) => !one.startsWith('_')) : [];
  const [passphrase] = readdirSync(join(service.home, 'secrets')).filter((one) => /^ten_.*\.passphrase$/.test(one));
  const where = ['--repo', join(repositories, name!), '--passphrase-file', join(service.home, 'secrets', passphrase!)];
  const problems: string[] = [];
  const verified = spawnSync(PROGRAM, ['verify', '--full', ...where], { encoding: 'utf8' });
  if (verified.status !== 0) problems.push(`verify --full ended with ${verified.status}: ${verified.stdout} ${verified.stderr}`);
  const listed = spawnSync(PROGRAM, ['snapshots', '--json', ...where], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  const snapshots = listed.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { kind: string; id: string; asset: string })
    .filter(({ kind, asset }) => kind === 'snapshot' && asset !== 'holdfast/catalog')
    .map(({ id }) => id);
  const points = database.prepare('SELECT snapshot FROM recovery_points').all() as { snapshot: string }[];
  const known = new Set(points.map(({ snapshot }) => snapshot));
  const kept = new Set(snapshots);
  for (const snapshot of known) if (!kept.has(snapshot)) problems.push(`the recovery point ${snapshot} has no snapshot`);
  for (const snapshot of kept) if (!known.has(snapshot)) problems.push(`the snapshot ${snapshot} is unknown to the catalogue`);
  const forgotten = new Set(
    runs
      .filter(({ kind, result }) => kind === 'forget' && result !== null)
      .flatMap(({ result }) => (JSON.parse(result!) as { forgotten?: string[] }).forgotten ?? []),
  );
  for (const [id, { kind, result }] of succeeded) {
    const snapshot = kind === 'backup' ? result?.snapshot : undefined;
    if (kind === 'backup' && typeof snapshot !== 'string') problems.push(`the backup ${id} succeeded without a snapshot`);
    if (typeof snapshot === 'string' && !kept.has(snapshot) && !forgotten.has(snapshot))
      problems.push(`the snapshot ${snapshot} of the run ${id} was acknowledged and is gone`);
  }
  return problems;
}
