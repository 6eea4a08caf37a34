// Gates on real clusters, each in a process that can be killed or stopped, and a watcher who asks every server all the time whether it takes
// writes: at no moment may two of them.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn } from '../../../agents/gate/server-processes.ts';
import type { GateFacts } from '../../../agents/gate/start-gate.ts';
import { PgConnection } from '../../../agents/postgres/connection.ts';
import { firstRecord, type WriterRecord } from '../../../src/dr/writer-record.ts';
import { WriterRegister } from '../../../src/dr/writer-register.ts';
import { openEmbeddedRegistry } from '../../../src/registry/embedded.ts';
import type { Registry } from '../../../src/registry/registry.ts';
import type { GateChildOptions } from '../../support/gate-child.ts';
import { makeOwned, removeScratch, serverScratch, TEST_PORT, TestServer } from '../../support/postgres.ts';
import { sendSignal } from '../../support/send-signal.ts';

export const TERMS = { ttlMs: 1_500, drift: 0.05, marginMs: 1_500 } as const;
const CONDITION_TIMEOUT_MS = 60_000;

export async function until<T>(what: string, ask: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + CONDITION_TIMEOUT_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`It did not come to be: ${what}`);
    await sleep(20);
  }
}

export class GateScene {
  readonly scratch = serverScratch();
  readonly programs: string;
  readonly registryPath: string;
  readonly registry: Registry;
  readonly register: WriterRegister;
  readonly #gates: GateProcess[] = [];

  constructor(programs: string) {
    this.programs = programs;
    this.registryPath = join(this.scratch, 'registry.db');
    this.registry = openEmbeddedRegistry(this.registryPath);
    this.register = new WriterRegister(this.registry, 'orders');
  }

  /** Site "a" holds the right; "b" is a candidate with a copy of its directory. */
  async prepare(facts: Partial<WriterRecord> = {}): Promise<void> {
    const a = await TestServer.create(this.programs, this.scratch, 'a');
    await a.sql('CREATE TABLE kept (id bigserial PRIMARY KEY, word text)');
    await a.stop();
    const b = new TestServer(this.programs, join(this.scratch, 'b'), makeOwned(join(this.scratch, 'b-socket')));
    execFileSync('cp', ['-a', a.directory, b.directory]);
    const [holder, candidate] = ['a', 'b'].map((name) => ({ name, site: name }));
    const terms = { terms: TERMS, onLeaseLoss: 'stop' } as const;
    const first = firstRecord({ incarnation: 'orders', holder: holder!, candidates: [candidate!], ...terms, ...facts });
    await this.register.create(first);
  }

  optionsOf(member: string): GateChildOptions {
    return {
      member,
      registry: this.registryPath,
      incarnation: 'orders',
      programs: this.programs,
      dataDirectory: join(this.scratch, member),
      tokenFile: join(this.scratch, `${member}.token`),
      args: ['-k', join(this.scratch, `${member}-socket`), '-p', String(TEST_PORT)],
    };
  }

  start(member: string): GateProcess {
    const gate = new GateProcess(this.optionsOf(member));
    this.#gates.push(gate);
    return gate;
  }

  /** Who answers writes now. */
  async writes(member: string, word: string): Promise<boolean> {
    const address = { host: join(this.scratch, `${member}-socket`), port: TEST_PORT, user: 'postgres', database: 'postgres' };
    let sql: PgConnection | undefined;
    try {
      sql = await PgConnection.open({ address: { ...address, password: undefined, tls: 'disable' } });
      await sql.query(`INSERT INTO kept (word) VALUES ('${word}')`);
      return true;
    } catch {
      return false;
    } finally {
      sql?.close();
    }
  }

  async sql(member: string, text: string): Promise<readonly (readonly (string | null)[])[]> {
    return new TestServer(this.programs, join(this.scratch, member), join(this.scratch, `${member}-socket`)).sql(text);
  }

  isStopped(member: string): boolean {
    return processesIn(join(this.scratch, member)).length === 0;
  }

  async end(): Promise<void> {
    await Promise.all(this.#gates.map((gate) => gate.kill()));
    for (const member of ['a', 'b']) for (const pid of processesIn(join(this.scratch, member))) sendSignal(pid, 'SIGKILL');
    await until('all servers are gone', () => this.isStopped('a') && this.isStopped('b'));
    await this.registry.close();
    removeScratch(this.scratch);
  }
}

export class GateProcess {
  readonly #child: ChildProcess;
  facts: GateFacts | undefined;
  errors = '';
  readonly ended: Promise<number | null>;

  constructor(options: GateChildOptions) {
    const program = new URL('../../support/gate-child.ts', import.meta.url).pathname;
    this.#child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let rest = '';
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      const last = lines.at(-1);
      if (last !== undefined) this.facts = JSON.parse(last) as GateFacts;
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
    });
    this.ended = new Promise((resolve) => this.#child.once('exit', (code) => resolve(code)));
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  primary(): Promise<GateFacts> {
    return until('the gate is primary', () =>
      this.facts?.role === 'primary' && this.facts.serverPid !== undefined ? this.facts : undefined,
    );
  }
}
