import { execFile } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectsIn, readTree, restoreTo, writeFileAt } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const CHILD = new URL('../support/churn-child.ts', import.meta.url).pathname;
const SEEDS = [1, 2];
const STEPS = 28;
const run = promisify(execFile);

/** A tree that changes, a repository that is worked on and killed, and what every snapshot must hold. */
class Churn {
  readonly #directory: string;
  readonly #tree: string;
  readonly #repository: Repository;
  readonly #random: () => number;
  readonly #expected = new Map<string, Map<string, string>>();
  #files = 0;
  readonly log: string[] = [];

  constructor(directory: string, repository: Repository, seed: number) {
    this.#directory = directory;
    this.#tree = join(directory, 'tree');
    this.#repository = repository;
    this.#random = seededRandom(seed);
    for (let n = 0; n < 20; n++) this.#change();
  }

  #pick(n: number): number {
    return Math.floor(this.#random() * n);
  }

  /** Adds, removes or changes a file; paged ones change in places. */
  #change(): void {
    const number = this.#pick(40);
    const path = `d${number % 4}/f${number}`;
    const kind = this.#pick(4);
    if (kind === 0) rmSync(join(this.#tree, path), { force: true });
    else if (kind === 1) writeFileAt(this.#tree, path, seededBytes(this.#pick(30_000), this.#files++));
    else if (kind === 2) writeFileAt(this.#tree, path, seededBytes(100_000 + this.#pick(400_000), this.#files++));
    else {
      const bytes = seededBytes(512 * 1024, number);
      for (let n = this.#pick(20); n > 0; n--) bytes.set(seededBytes(16 * 1024, this.#files++), this.#pick(32) * 16 * 1024);
      writeFileAt(this.#tree, path, bytes);
    }
  }

  async step(): Promise<void> {
    const dice = this.#pick(10);
    if (dice < 4) await this.#backUp(false);
    else if (dice < 6) await this.#backUp(true);
    else if (dice < 7) await this.#forget();
    else if (dice < 9) await this.#prune(false);
    else await this.#prune(true);
  }

  async #backUp(isKilled: boolean): Promise<void> {
    for (let n = 1 + this.#pick(8); n > 0; n--) this.#change();
    const state = readTree(this.#tree);
    if (!isKilled) {
      this.log.push('backup');
      this.#expected.set((await backUpTree(this.#repository, this.#tree)).id, state);
      return;
    }
    await this.#inChild('backup');
    // It may have committed before it was killed, or its commit is finished by the next who looks.
    await this.#adoptSnapshots(state);
  }

  async #prune(isKilled: boolean): Promise<void> {
    if (isKilled) await this.#inChild('prune');
    else {
      this.log.push('prune');
      const { waiting } = await prune(this.#repository, { by: 'test', unusedShareMax: this.#random() < 0.5 ? 0 : 0.2 });
      expect(waiting).toEqual([]);
    }
  }

  async #inChild(verb: 'backup' | 'prune'): Promise<void> {
    const changes = 1 + this.#pick(14);
    this.log.push(`${verb} killed after ${changes}`);
    const outcome = await run(process.execPath, [CHILD, verb, this.#directory, this.#tree, String(changes)]).catch(
      (error: { signal?: string }) => error.signal,
    );
    if (typeof outcome === 'string' || outcome === undefined) expect(outcome).toBe('SIGKILL');
  }

  async #forget(): Promise<void> {
    const sessions = [...this.#expected.keys()];
    const gone = sessions.filter(() => this.#random() < 0.4);
    this.log.push(`forget ${gone.length} of ${sessions.length}`);
    await forgetSnapshots(this.#repository.heads, new Set(gone));
    for (const session of gone) this.#expected.delete(session);
  }

  /** Snapshots that have appeared hold this state. */
  async #adoptSnapshots(state: Map<string, string>): Promise<void> {
    const { snapshots, writers } = await this.#repository.heads.read();
    for (const { session } of snapshots) if (!this.#expected.has(session)) this.#expected.set(session, state);
    for (const { session, kind } of writers) {
      if (kind !== 'backup' || this.#expected.has(session)) continue;
      const register = await this.#repository.heads.registers.readSnapshot(session);
      if (register?.value.state === 'committed') this.#expected.set(session, state);
    }
  }

  /** Nothing is damaged, and a snapshot at random is what was backed up. */
  async check(step: number): Promise<void> {
    const depth = step % 4 === 0 ? ({ kind: 'full' } as const) : ({ kind: 'structure' } as const);
    const message = this.log.join(', ');
    expect(await verify(this.#repository, { depth, threads: 1 }), message).toMatchObject({ outcome: 'clean' });
    const registered = (await this.#repository.heads.read()).snapshots.map(({ session }) => session);
    for (const session of registered) expect(this.#expected.has(session), message).toBe(true);
    if (registered.length === 0) return;
    const session = registered[this.#pick(registered.length)]!;
    const target = join(this.#directory, `out${step}`);
    expect(await restoreTo(this.#repository, session, target), message).toEqual([]);
    expect(readTree(target), message).toEqual(this.#expected.get(session));
    rmSync(target, { recursive: true });
  }

  /** After a last prune nothing is there but what the snapshots need. */
  async end(): Promise<void> {
    await prune(this.#repository, { by: 'test', unusedShareMax: 0 });
    await prune(this.#repository, { by: 'test', unusedShareMax: 0 });
    const head = await this.#repository.heads.read();
    expect(head).toMatchObject({ writers: [], condemned: [], retired: [] });
    expect(head.snapshots.map(({ session }) => session).sort()).toEqual([...this.#expected.keys()].sort());
    const { packs, outcome } = await verify(this.#repository, { depth: { kind: 'full' }, threads: 1 });
    expect(outcome).toBe('clean');
    expect(objectsIn(this.#directory, 'packs/').size).toBe(packs);
    expect(objectsIn(this.#directory, 'index/').size).toBe(head.indexes.length);
    expect(objectsIn(this.#directory, 'condemned/').size).toBe(0);
    expect(readdirSync(join(this.#directory, 'repository', 'snapshots'))).toHaveLength(head.snapshots.length);
    for (const [session, state] of this.#expected) {
      const target = join(this.#directory, `out-${session}`);
      expect(await restoreTo(this.#repository, session, target)).toEqual([]);
      expect(readTree(target)).toEqual(state);
    }
  }
}

test.each(SEEDS)(
  'after each of many backups, forgets and prunes, some of them killed, everything is there (seed %i)',
  async (seed) => {
    const directory = scratchDirectory();
    const churn = new Churn(directory, await newRepository(directory), seed);
    for (let step = 0; step < STEPS; step++) {
      await churn.step();
      await churn.check(step);
    }
    await churn.end();
  },
  600_000,
);
