// The first process of a drill's room: started by unshare in namespaces of its own (network, processes, mounts, IPC, and users when it is not
// root). It furnishes the room and runs in it what the drill asks for. When it ends, the kernel ends everything in the room: so it ends as
// soon as the drill is gone.
//
// Furnished: a loopback, and nothing else to send a packet through. Sockets with a path ignore network namespaces, so the places where they
// lie are covered with empty file systems; everything else of the file system is read-only, but the drill's own directory.
//
// A program: fork it through unshare, and speak with it (room-messages.ts).

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, lstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { makeDirectory } from '../../src/base/make-directory.ts';
import type { FromRoom, RoomCommand, RoomLayout, ToRoom } from './room-messages.ts';

/** Sockets of services, locks, what programs leave for each other. */
const COVERED = ['/run', '/var/run', '/tmp', '/var/tmp', '/dev/shm'];
const KEPT_FLAGS = new Set(['nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'relatime']);
/** What is in there is made by the kernel for this room. */
const OWN_KINDS = new Set(['proc', 'devpts', 'mqueue']);
const COVER_OPTIONS = 'mode=1777,size=256m,nosuid,nodev';
const TEXT_CHARS_MAX = 64 * 1024;

function furnish({ work, shown, covered }: RoomLayout): void {
  must('ip', ['link', 'set', 'lo', 'up']);
  const all = [...COVERED, ...covered].filter(isDirectory);
  const covers = all.filter((path) => !all.some((other) => path.startsWith(`${other}/`)));
  const alone = covered.filter((path) => !isDirectory(path));
  const secret = covered.filter(isDirectory);
  const isCovered = (path: string): boolean => covers.some((cover) => path === cover || path.startsWith(`${cover}/`));
  const kept = shown.filter((path) => isCovered(path) && isDirectory(path));
  // Held open, so that they can be found when they are covered.
  const files = new Map([...kept, work].map((path) => [path, openSync(path, 'r')]));
  // What this user cannot reach (below a private directory, or another mount) nobody in the room can, and it could not be named to the kernel.
  const reached = mounts().filter(({ at, kind }) => !OWN_KINDS.has(kind) && statOf(at) !== undefined);
  for (const { at, flags } of reached) must('mount', ['-c', '-o', `remount,bind,ro,${flags}`, at]);
  for (const cover of covers) must('mount', ['-t', 'tmpfs', '-o', COVER_OPTIONS, 'holdfast-drill', cover]);
  for (const [path, file] of files) {
    makeDirectory(path);
    must('mount', ['-c', '--bind', `/proc/${process.pid}/fd/${file}`, path]);
    if (path === work) must('mount', ['-c', '-o', 'remount,bind,rw,nosuid,nodev', path]);
    closeSync(file);
  }
  // Last, for they may lie in what is shown.
  for (const path of secret) {
    if (!isDirectory(path)) continue;
    if (!covers.includes(path)) must('mount', ['-t', 'tmpfs', '-o', COVER_OPTIONS, 'holdfast-drill', path]);
    must('mount', ['-c', '-o', 'remount,ro', path]);
  }
  for (const path of alone) if (statOf(path) !== undefined) must('mount', ['-c', '--bind', '/dev/null', path]);
}

/** Places where something is mounted, the uppermost of each. */
function mounts(): { readonly at: string; readonly kind: string; readonly flags: string }[] {
  const found = new Map<string, { readonly at: string; readonly kind: string; readonly flags: string }>();
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')) {
    const [before, after] = line.split(' - ');
    const words = before!.split(' ');
    const at = words[4]!.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const flags = words[5]!.split(',').filter((flag) => KEPT_FLAGS.has(flag));
    found.set(at, { at, kind: after!.split(' ')[0]!, flags: flags.join(',') });
  }
  return [...found.values()];
}

function isDirectory(path: string): boolean {
  return statOf(path)?.isDirectory() === true;
}

/** Undefined also where this user may not look: nobody in the room is more than that. */
function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function must(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

function start({ words, owner, environment, log }: RoomCommand): ChildProcess {
  const identity = owner === undefined ? [] : ['--reuid', `${owner.uid}`, '--regid', `${owner.gid}`, '--clear-groups'];
  const nothing = ['--no-new-privs', '--ambient-caps=-all', '--inh-caps=-all', '--bounding-set=-all'];
  const file = log === undefined ? 'pipe' : openSync(log, 'a', 0o600);
  try {
    return spawn('setpriv', [...identity, ...nothing, '--', ...words], {
      cwd: '/',
      env: environment,
      stdio: ['ignore', file, file],
    });
  } finally {
    if (typeof file === 'number') closeSync(file);
  }
}

function main(): void {
  const running = new Map<number, ChildProcess>();
  const tell = (message: FromRoom): void => void (process.connected && process.send?.(message, () => {}));
  const run = (number: number, command: RoomCommand): void => {
    let text = '';
    const ended = (status: number | null): void => {
      if (running.delete(number)) tell({ kind: 'ended', number, status, text: text.trim() });
    };
    const child = start(command);
    running.set(number, child);
    const take = (piece: Buffer): void => {
      text = (text + piece.toString()).slice(-TEXT_CHARS_MAX);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('error', (error) => {
      text += error.message;
      ended(null);
    });
    // Not "close": what it has started may hold its output open for ever.
    child.once('exit', (status) => setImmediate(() => ended(status)));
  };
  process.on('disconnect', () => process.exit(0));
  // The first process of a namespace gets only what it asks for; the kernel's SIGKILL from outside always.
  process.on('SIGTERM', () => process.exit(0));
  process.on('message', (message: ToRoom) => {
    try {
      if (message.kind === 'furnish') {
        furnish(message.layout);
        tell({ kind: 'ready' });
      } else if (message.kind === 'run') run(message.number, message.command);
      else running.get(message.number)?.kill(message.name);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (message.kind === 'run') tell({ kind: 'ended', number: message.number, status: null, text });
      else tell({ kind: 'refused', message: text });
    }
  });
}

if (process.argv[1] === import.meta.filename) main();
