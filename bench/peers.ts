// Where the peers come from: newer builds of restic and borg than a stable Debian has, as Debian packages of the next release,
// unpacked into the work directory. Nothing is installed and no configuration of the system is touched: apt runs on a directory of
// its own. The packages bring their own C library and Python, and run through their own dynamic loader beside the system's.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SUITE = 'trixie';
const MIRROR = 'http://deb.debian.org/debian';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/** How to start a program: the words before its own arguments, and what it needs in its environment. */
export type Program = { readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> };

export type Peers = { readonly restic: string; readonly borg: Program };

/** The Debian packages that the benchmark needs, by a program of each. */
const NEEDED: Readonly<Record<string, string>> = {
  time: '/usr/bin/time',
  tar: '/usr/bin/tar',
  zstd: '/usr/bin/zstd',
  e2fsprogs: '/sbin/mke2fs',
  'postgresql-15': '/usr/lib/postgresql/15/bin/initdb',
};

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, {
    env: { PATH, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** Installs what is missing when it may, otherwise says what to install. */
export function requirePackages(say: (line: string) => void, extra: Readonly<Record<string, string>> = {}): void {
  const missing = Object.entries({ ...NEEDED, ...extra }).flatMap(([name, program]) => (existsSync(program) ? [] : [name]));
  if (missing.length === 0) return;
  if (process.getuid!() !== 0) throw new Error(`Missing Debian packages: run "apt-get install ${missing.join(' ')}" as root.`);
  say(`installing ${missing.join(' ')}`);
  run('apt-get', 'update');
  run('apt-get', 'install', '-y', '--no-install-recommends', ...missing);
}

/** Downloads and unpacks packages with all they depend on into `home`/root. */
function unpack(home: string, packages: readonly string[]): void {
  const apt = join(home, 'apt');
  for (const directory of [
    'etc/apt.conf.d',
    'etc/preferences.d',
    'etc/sources.list.d',
    'state/lists/partial',
    'cache/archives/partial',
  ]) {
    mkdirSync(join(apt, directory), { recursive: true });
  }
  writeFileSync(join(apt, 'etc/sources.list'), `deb [signed-by=${KEYRING}] ${MIRROR} ${SUITE} main\n`);
  // An empty list of installed packages: the download then holds every dependency, the C library included.
  writeFileSync(join(apt, 'state/status'), '');
  const options = {
    'Dir::Etc': join(apt, 'etc'),
    'Dir::Etc::sourcelist': 'sources.list',
    'Dir::State': join(apt, 'state'),
    'Dir::State::status': join(apt, 'state/status'),
    'Dir::Cache': join(apt, 'cache'),
    ...(process.getuid!() === 0 ? { 'APT::Sandbox::User': 'root' } : {}),
  };
  const words = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  run('apt-get', ...words, 'update');
  run('apt-get', ...words, 'install', '-y', '--no-install-recommends', '--download-only', ...packages);
  const archives = join(apt, 'cache/archives');
  for (const name of readdirSync(archives)) if (name.endsWith('.deb')) run('dpkg', '-x', join(archives, name), join(home, 'root'));
  rmSync(apt, { recursive: true });
}

function unpackedBorg(root: string): Program {
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  const python = readdirSync(join(root, 'usr/bin')).find((name) => /^python3\.\d+$/.test(name));
  if (python === undefined) throw new Error(`No Python was unpacked into ${root}`);
  const env = { PYTHONHOME: join(root, 'usr'), PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'), PYTHONNOUSERSITE: '1' };
  const argv = [join(root, 'usr/lib64/ld-linux-x86-64.so.2'), '--library-path', libraries, join(root, 'usr/bin', python)];
  return { argv: [...argv, join(root, 'usr/bin/borg')], env };
}

/** As a package's installation would: otherwise each start of borg pays for compiling all of it. */
function compilePython(borg: Program, root: string): void {
  const words = [
    ...borg.argv.slice(1, -1),
    '-m',
    'compileall',
    '-q',
    join(root, 'usr/lib/python3/dist-packages'),
    join(root, 'usr/lib', 'python3.13'),
  ];
  execFileSync(borg.argv[0]!, words, { env: borg.env, stdio: 'ignore' });
}

function unpackedPeers(home: string, say: (line: string) => void): Peers | undefined {
  const [root, done] = [join(home, 'root'), join(home, 'done')];
  try {
    if (!existsSync(done)) {
      say(`fetching restic and borg of Debian ${SUITE} into ${home}`);
      rmSync(home, { recursive: true, force: true });
      unpack(home, ['restic', 'borgbackup']);
      compilePython(unpackedBorg(root), root);
      writeFileSync(done, '');
    }
    return { restic: join(root, 'usr/bin/restic'), borg: unpackedBorg(root) };
  } catch (error) {
    say(`no newer peers (${(error as Error).message.split('\n')[0]}): using those of this system`);
    return undefined;
  }
}

export type PeerChoice = { readonly resticBinary?: string; readonly borgBinary?: string; readonly areSystems: boolean };

/** The peers to run: as named, else unpacked below `work`, else this system's own (installed if need be). */
export function findPeers(work: string, choice: PeerChoice, say: (line: string) => void): Peers {
  const isNamed = choice.resticBinary !== undefined && choice.borgBinary !== undefined;
  const unpacked = isNamed || choice.areSystems || process.arch !== 'x64' ? undefined : unpackedPeers(join(work, 'peers'), say);
  if (unpacked === undefined && !isNamed) requirePackages(say, { restic: '/usr/bin/restic', borgbackup: '/usr/bin/borg' });
  return {
    restic: choice.resticBinary ?? unpacked?.restic ?? '/usr/bin/restic',
    borg:
      choice.borgBinary !== undefined
        ? { argv: [choice.borgBinary], env: {} }
        : (unpacked?.borg ?? { argv: ['/usr/bin/borg'], env: {} }),
  };
}

/** A program that starts the pgBackRest of the next Debian release, unpacked below `work`: it stores changed blocks, which that of the stable one
 *  does not. Undefined where it cannot be had. */
export function findPgBackRest(work: string, say: (line: string) => void): string | undefined {
  const home = join(work, 'pgbackrest-peer');
  const [root, program] = [join(home, 'root'), join(home, 'pgbackrest')];
  if (existsSync(program)) return program;
  try {
    say(`fetching pgBackRest of Debian ${SUITE} into ${home}`);
    rmSync(home, { recursive: true, force: true });
    unpack(home, ['pgbackrest']);
    const loader = join(root, 'usr/lib64/ld-linux-x86-64.so.2');
    const words = `exec ${loader} --library-path ${join(root, 'usr/lib/x86_64-linux-gnu')} ${join(root, 'usr/bin/pgbackrest')}`;
    // To start its own workers it must be told of this file (its option `cmd`).
    writeFileSync(program, `#!/bin/sh\n${words} "$@"\n`, { mode: 0o755 });
    return program;
  } catch (error) {
    say(`no newer pgBackRest (${(error as Error).message.split('\n')[0]})`);
    return existsSync('/usr/bin/pgbackrest') ? '/usr/bin/pgbackrest' : undefined;
  }
}
