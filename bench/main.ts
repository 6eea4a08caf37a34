// `npm run bench`: ours beside restic and borg on generated data. See README.md here.

import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GIB } from '../src/base/units.ts';
import { borg } from './contenders/borg.ts';
import type { Contender } from './contenders/contender.ts';
import { holdfast } from './contenders/holdfast.ts';
import { copy, tarZstd } from './contenders/limits.ts';
import { restic } from './contenders/restic.ts';
import { type Extent, openSet, SET_NAMES, type SetName } from './data/sets.ts';
import { requireRoom, touchSpareMemory } from './memory.ts';
import { findPeers, requirePackages } from './peers.ts';
import { medians, report, writeBetweenMarkers } from './report.ts';
import { runRounds, type Sample } from './rounds.ts';

const HELP = `npm run bench -- [options]

  --short                small data (a sixteenth): minutes become seconds; for CI
  --only A,B             of: holdfast, restic, borg, limits (default: all)
  --sets A,B             of: ${SET_NAMES.join(', ')} (default: all)
  --runs N               rounds (default 3)
  --noise PERCENT        foreign CPU time above which a run counts as noisy (default 8)
  --retries N            how often a noisy run is done again (default 2)
  --patience SECONDS     how long to wait for a quiet machine before each run (default 10)
  --work DIRECTORY       data sets and repositories (default: /dev/shm/holdfast-bench, else below the temporary directory)
  --json FILE            where the samples and medians go (default: bench/results/TIME.json)
  --write-readme         puts the tables into bench/README.md
  --system-peers         restic and borg of this system instead of newer ones
  --restic-binary FILE   --borg-binary FILE   --holdfast-binary FILE
`;

const HERE = import.meta.dirname;
const PEERS = ['restic', 'borg'];
/** Room for the repositories and restored data of all contenders, as a multiple of the largest data set. */
const ROOM_FACTOR = 5;

function parse() {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean', default: false },
      only: { type: 'string', default: 'holdfast,restic,borg,limits' },
      sets: { type: 'string', default: SET_NAMES.join(',') },
      runs: { type: 'string', default: '3' },
      noise: { type: 'string', default: '8' },
      retries: { type: 'string', default: '2' },
      patience: { type: 'string', default: '10' },
      work: { type: 'string' },
      json: { type: 'string' },
      'write-readme': { type: 'boolean', default: false },
      'system-peers': { type: 'boolean', default: false },
      'restic-binary': { type: 'string' },
      'borg-binary': { type: 'string' },
      'holdfast-binary': { type: 'string', default: join(HERE, '../bin/holdfast') },
      help: { type: 'boolean', default: false },
    },
  });
  const sets = values.sets.split(',').map((name) => {
    if (!(SET_NAMES as readonly string[]).includes(name))
      throw new Error(`No data set "${name}"; there are ${SET_NAMES.join(', ')}.`);
    return name as SetName;
  });
  return { ...values, sets, only: values.only.split(','), work: values.work ?? defaultWork() };
}

type Options = ReturnType<typeof parse>;

/** A RAM disk with room for the data, so that no disk is measured. */
function defaultWork(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    if (bavail * bsize > 2 * GIB) return '/dev/shm/holdfast-bench';
  } catch {
    // No RAM disk here.
  }
  return join(tmpdir(), 'holdfast-bench');
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function contendersOf(options: Options): Contender[] {
  const needsPeers = PEERS.some((peer) => options.only.includes(peer));
  const { 'restic-binary': resticBinary, 'borg-binary': borgBinary } = options;
  const choice = {
    areSystems: options['system-peers'],
    ...(resticBinary === undefined ? {} : { resticBinary }),
    ...(borgBinary === undefined ? {} : { borgBinary }),
  };
  const peers = needsPeers ? findPeers(options.work, choice, say) : undefined;
  return options.only.flatMap((name) => {
    if (name === 'holdfast') return [holdfast(options['holdfast-binary'])];
    if (name === 'restic') return [restic(peers!.restic)];
    if (name === 'borg') return [borg(peers!.borg)];
    if (name === 'limits') return [copy, tarZstd];
    throw new Error(`No contender "${name}"; there are holdfast, restic, borg and limits.`);
  });
}

function machine(): string {
  return `${availableParallelism()} cores of ${cpus()[0]!.model.trim()}, ${Math.round(totalmem() / GIB)} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

function save(options: Options, samples: readonly Sample[], about: readonly string[], extents: ReadonlyMap<SetName, Extent>): void {
  const results = join(HERE, 'results');
  mkdirSync(results, { recursive: true });
  const path =
    options.json ?? join(results, `${new Date().toISOString().replaceAll(':', '-')}${options.short ? '-short' : ''}.json`);
  const value = { isShort: options.short, about, sets: Object.fromEntries(extents), medians: medians(samples), samples };
  writeFileSync(path, `${JSON.stringify(value, undefined, 1)}\n`);
  say(`samples and medians: ${path}`);
}

/** What runs that were killed have left behind. */
function removeLeftOvers(work: string): void {
  for (const name of readdirSync(work)) {
    const owner = /^run-(\d+)$/.exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) rmSync(join(work, name), { recursive: true });
  }
}

async function main(): Promise<void> {
  const options = parse();
  if (options.help) return void process.stdout.write(HELP);
  mkdirSync(options.work, { recursive: true });
  requirePackages(say);
  const contenders = contendersOf(options);
  const about = [
    machine(),
    `${contenders.map((c) => c.version()).join(', ')}; ${new Date().toISOString().slice(0, 10)}${options.short ? '; short form' : ''}`,
  ];
  for (const line of about) say(line);
  removeLeftOvers(options.work);
  const directory = join(options.work, `run-${process.pid}`);
  const samples: Sample[] = [];
  const extents = new Map<SetName, Extent>();
  const rounds = {
    count: Number(options.runs),
    noiseMax: Number(options.noise) / 100,
    retries: Number(options.retries),
    patienceMs: Number(options.patience) * 1000,
    directory,
    say,
  };
  try {
    mkdirSync(directory);
    for (const name of options.sets) {
      const set = openSet(name, options.work, options.short, say);
      extents.set(name, set.extent);
      try {
        const room = set.extent.allocatedBytes * ROOM_FACTOR;
        requireRoom(options.work, room);
        touchSpareMemory(directory, room);
        await runRounds(set, contenders, rounds, (sample) => samples.push(sample));
      } finally {
        set.close();
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
    if (samples.length > 0) save(options, samples, about, extents);
  }
  const text = report(samples, extents, PEERS, about);
  process.stdout.write(`${text}\n`);
  if (options['write-readme']) writeBetweenMarkers(join(HERE, 'README.md'), text);
}

try {
  await main();
} catch (error) {
  say(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}
