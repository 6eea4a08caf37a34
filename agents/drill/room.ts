// A room that nothing gets out of: namespaces of its own for the network (a loopback alone), processes, mounts and IPC. The drill's clones, its
// steps and its probes run in there. Whoever reads the repository is outside, so that no credential is in the room.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { type ProcessIdentity, identityOf as processOf } from '../../src/base/process-identity.ts';
import type { ServerProcess, StartServer } from '../postgres/server-process.ts';
import { installedWith } from '../postgres/server-programs.ts';
import type { FromRoom, RoomCommand, RoomLayout, ToRoom } from './room-messages.ts';

const KEEPER = join(import.meta.dirname, 'room-keeper.ts');
export const PROGRAM_DIRECTORY = resolve(import.meta.dirname, '../..');
const NAMESPACES = [
  '--net',
  '--pid',
  '--ipc',
  '--mount',
  '--fork',
  '--kill-child=SIGKILL',
  '--mount-proc',
  '--propagation',
  'private',
];
const AS_ONESELF = ['--user', '--map-current-user', '--keep-caps'];
/** Nothing of the drill's own: no credential, no address. */
export const ROOM_ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  HOME: '/tmp',
};

export type RoomEnd = { readonly status: number | null; readonly text: string };

/** What is needed to end a room without speaking to it. */
export type RoomIdentity = {
  /** Unshare, and the room's first process: as seen from outside. */
  readonly first: readonly ProcessIdentity[];
  /** Of the namespaces of its network and its processes: "net:[4026532180]". */
  readonly network: string;
  readonly processes: string;
};

export class Room {
  readonly identity: RoomIdentity;
  /** Settles when the room is over, whoever ended it. */
  readonly ended: Promise<void>;
  readonly #unshare: ChildProcess;
  readonly #waiting = new Map<number, (end: RoomEnd) => void>();
  #number = 0;
  #isOver = false;

  private constructor(unshare: ChildProcess, identity: RoomIdentity) {
    this.#unshare = unshare;
    this.identity = identity;
    this.ended = new Promise((resolve) => {
      const over = (): void => {
        this.#isOver = true;
        for (const [number, settle] of this.#waiting) {
          this.#waiting.delete(number);
          settle({ status: null, text: 'the room of the drill is over' });
        }
        resolve();
      };
      if (unshare.exitCode !== null || unshare.signalCode !== null) over();
      else unshare.once('exit', over);
    });
    unshare.on('message', (message: FromRoom) => {
      if (message.kind !== 'ended') return;
      const settle = this.#waiting.get(message.number);
      this.#waiting.delete(message.number);
      settle?.({ status: message.status, text: message.text });
    });
  }

  /** DRILL_NOT_ISOLATED when this user, or this host, cannot have such a room: nothing runs then. */
  static async open(layout: RoomLayout): Promise<Room> {
    checkNamespaces();
    const words = [...unshareWords(), '--', process.execPath, KEEPER];
    const unshare = spawn('unshare', words, {
      cwd: '/',
      env: ROOM_ENVIRONMENT,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
    });
    let text = '';
    unshare.stderr?.on('data', (piece: Buffer) => {
      text = (text + piece.toString()).slice(-4096);
    });
    const answer = await new Promise<FromRoom>((settle) => {
      unshare.once('message', (message: FromRoom) => settle(message));
      unshare.once('error', ({ message }) => settle({ kind: 'refused', message }));
      unshare.once('exit', () => settle({ kind: 'refused', message: text.trim() || 'it ended at once' }));
      send(unshare, { kind: 'furnish', layout });
    });
    const identity = answer.kind === 'ready' ? identityOf(unshare.pid!) : undefined;
    if (identity !== undefined) return new Room(unshare, identity);
    unshare.kill('SIGKILL');
    throw notIsolated(answer.kind === 'refused' ? answer.message : 'its first process is gone');
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Waits for its end; when the signal ends it, it is killed. */
  async run(command: RoomCommand, signal?: AbortSignal): Promise<RoomEnd> {
    const { number, ended } = this.#start(command);
    const kill = (): void => this.#send({ kind: 'signal', number, name: 'SIGKILL' });
    signal?.addEventListener('abort', kill, { once: true });
    if (signal?.aborted) kill();
    try {
      return await ended;
    } finally {
      signal?.removeEventListener('abort', kill);
    }
  }

  /** For servers of clones. */
  readonly startServer: StartServer = (program, args, { owner, log }): ServerProcess => {
    const words = [program, ...args];
    const { number, ended } = this.#start({ words, environment: ROOM_ENVIRONMENT, log, ...(owner === undefined ? {} : { owner }) });
    let isOver = false;
    return {
      pid: undefined,
      ended: ended.then(() => {
        isOver = true;
      }),
      hasEnded: () => isOver,
      kill: (name) => this.#send({ kind: 'signal', number, name }),
      unref: () => {},
    };
  };

  /** Ends every process in it at once. */
  async close(): Promise<void> {
    this.#unshare.kill('SIGKILL');
    await this.ended;
  }

  #start(command: RoomCommand): { readonly number: number; readonly ended: Promise<RoomEnd> } {
    const number = ++this.#number;
    const { promise, resolve } = Promise.withResolvers<RoomEnd>();
    if (this.#isOver) resolve({ status: null, text: 'the room of the drill is over' });
    else {
      this.#waiting.set(number, resolve);
      this.#send({ kind: 'run', number, command });
    }
    return { number, ended: promise };
  }

  #send(message: ToRoom): void {
    send(this.#unshare, message);
  }
}

/** DRILL_NOT_ISOLATED; see Room.open. */
export function checkNamespaces(): void {
  const { status, stderr, error } = spawnSync('unshare', [...unshareWords(), '--', 'ip', 'link', 'set', 'lo', 'up'], {
    encoding: 'utf8',
    cwd: '/',
  });
  if (status !== 0) throw notIsolated(error?.message ?? stderr.trim());
}

function unshareWords(): string[] {
  return process.getuid?.() === 0 ? NAMESPACES : [...AS_ONESELF, ...NAMESPACES];
}

function notIsolated(why: string): Fault {
  return new Fault('DRILL_NOT_ISOLATED', `No room that is shut off from the network can be made here: ${why}`);
}

function send(child: ChildProcess, message: ToRoom): void {
  if (child.connected) child.send(message, () => {});
}

/** Undefined when it is gone already. */
function identityOf(pid: number): RoomIdentity | undefined {
  try {
    const first = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
    const namespace = (name: string): string => readlinkSync(`/proc/${first}/ns/${name}`);
    return { first: [pid, first].map((one) => processOf(one)!), network: namespace('net'), processes: namespace('pid') };
  } catch {
    return undefined;
  }
}

/** What has to be seen in a room for our own programs and servers to run there. */
export function programPlaces(serverPrograms: readonly string[]): string[] {
  const servers = serverPrograms.flatMap((programs) => [programs, ...installedWith(programs)]);
  return [...new Set([PROGRAM_DIRECTORY, dirname(process.execPath), ...servers])];
}
