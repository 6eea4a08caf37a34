// Log files that lie ready before the server asks for them, so that it takes each with one `mv` instead of starting a helper: replay is fed at
// the speed of the disk. Only whole files of the way are here, under their names at once. What is not here is asked of the helper, which
// knows why; so when reading ahead fails, this just ends.

import { chownSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Leg } from '../../src/engine/recovery-plan.ts';
import { segmentName } from '../../src/model/lsn.ts';
import type { LogFiles } from './log-files.ts';
import type { FileOwner } from './log-server.ts';

const READY_BYTES_MAX = 128 * 1024 * 1024;
const LOOK_MS = 10;
const DRAFT = '.draft';

export class LogSpool {
  readonly directory: string;
  readonly #files: LogFiles;
  readonly #owner: FileOwner | undefined;
  readonly #names: readonly string[];
  readonly #readyMax: number;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #next = 0;

  constructor(directory: string, files: LogFiles, legs: readonly Leg[], segmentBytes: number, owner: FileOwner | undefined) {
    this.directory = directory;
    this.#files = files;
    this.#owner = owner;
    this.#names = segmentsOf(legs, segmentBytes);
    this.#readyMax = Math.max(2, Math.floor(READY_BYTES_MAX / segmentBytes));
    mkdirSync(directory, { mode: 0o700 });
    if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
    this.#running = this.#fill().catch(() => {});
  }

  /** Files that the server has taken. */
  get taken(): number {
    return this.#next - this.#ready();
  }

  /** Takes away what was not needed. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #fill(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#next < this.#names.length && !signal.aborted) {
      if (this.#ready() >= this.#readyMax) {
        await sleep(LOOK_MS, undefined, { signal });
        continue;
      }
      const name = this.#names[this.#next]!;
      const file = await this.#files.fetch(name);
      if (file.kind === 'absent') return;
      const draft = join(this.directory, `${name}${DRAFT}`);
      writeFileSync(draft, file.bytes, { mode: 0o600 });
      if (this.#owner !== undefined) chownSync(draft, this.#owner.uid, this.#owner.gid);
      renameSync(draft, join(this.directory, name));
      this.#next++;
    }
  }

  #ready(): number {
    try {
      return readdirSync(this.directory).filter((name) => !name.endsWith(DRAFT)).length;
    } catch {
      return 0;
    }
  }
}

/** The names of the way's segments, in the order in which a server asks for them. */
export function segmentsOf(legs: readonly Leg[], segmentBytes: number): string[] {
  const names: string[] = [];
  for (const [i, { timeline, from, to }] of legs.entries()) {
    // Of the segment in which a timeline ends, the next one has all that is needed.
    const isLast = i === legs.length - 1;
    const end = isLast ? Math.ceil(to / segmentBytes) : Math.floor(to / segmentBytes);
    for (let segment = Math.floor(from / segmentBytes); segment < end; segment++)
      names.push(segmentName(timeline, segment, segmentBytes));
  }
  return names;
}
