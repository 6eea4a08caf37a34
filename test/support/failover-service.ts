// A service that people ask for failovers of two sites: it keeps the plan, an agent at B carries it out, and each person types commands with
// a login of their own.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Failover } from '../../src/model/failover.ts';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { environmentOf, planFile, runBeside } from './failing-over.ts';
import { enrolAgentIn, tenantBase } from './postgres-agent.ts';
import { Served } from './served.ts';
import type { TwoSites } from './two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const PASSWORD = 'a horse with nine batteries';

export type CommandRecord = Readonly<Record<string, unknown>> & { readonly kind: string };

export class FailoverService {
  readonly served: Served;
  readonly base: string;
  readonly #sites: TwoSites;
  readonly #secrets = new Map<string, string>();

  /** `planText` is made from the plan of the sites. The agent is enrolled and does not run yet. */
  static async start(sites: TwoSites, people: readonly string[], planText = (text: string) => text): Promise<FailoverService> {
    const served = await Served.start(join(sites.scratch, 'service'), { args: ['--no-local-agent'] });
    const service = new FailoverService(served, await tenantBase(served), sites);
    const put = await served.ask('PUT', `${service.base}/plans/portal`, { text: planText(readFileSync(planFile(sites), 'utf8')) });
    if (put.status !== 201) throw new Error(JSON.stringify(put.body));
    await enrolAgentIn(served, sites.scratch);
    for (const name of people) await service.#addPerson(name);
    return service;
  }

  private constructor(served: Served, base: string, sites: TwoSites) {
    this.served = served;
    this.base = base;
    this.#sites = sites;
  }

  startAgent(): ChildProcess {
    const { scratch } = this.#sites;
    const home = ['--home', join(scratch, 'agent'), '--service', this.served.url];
    const site = ['--site-config', this.#sites.file('b'), '--allow-hooks', scratch, '--allow-hooks', '/usr/bin'];
    const child = spawn(PROGRAM, ['agent', ...home, ...site], { stdio: 'ignore', env: environmentOf(this.#sites) });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  secretOf(person: string): string {
    return this.#secrets.get(person)!;
  }

  /** What the command answers to programs. Throws with what it said when it failed. */
  async type(person: string, ...words: readonly string[]): Promise<readonly CommandRecord[]> {
    const { status, stdout, stderr } = await this.#run(person, words);
    if (status !== 0) throw new Error(`${words.join(' ')}: ${status} ${stdout}${stderr}`);
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as CommandRecord);
  }

  /** As soon as an agent that could carry it out is known. */
  async request(person: string, kind: Failover['kind'], reason: string): Promise<Failover> {
    return this.served.until('an agent at the site', async () => {
      const { status, stdout, stderr } = await this.#run(person, [
        'failover',
        'request',
        'portal',
        '--kind',
        kind,
        '--reason',
        reason,
      ]);
      if (status === 0) return JSON.parse(stdout.trim().split('\n')[0]!) as Failover;
      if (`${stdout}${stderr}`.includes('REQUEST_CONFLICT')) return undefined;
      throw new Error(`${stdout}${stderr}`);
    });
  }

  show({ id }: Pick<Failover, 'id'>): Promise<Failover> {
    return this.served.get<Failover>(`${this.base}/failovers/${id}`);
  }

  /** Until it waits for something whose words include these. */
  async blocked(failover: Failover, by: string): Promise<void> {
    await this.served.until(`it is blocked by ${by}`, async () => {
      const { journal } = await this.show(failover);
      return journal?.blockedBy.some((why) => why.includes(by)) ? true : undefined;
    });
  }

  /** The end of the run that carries it out. */
  async carriedOut(failover: Failover): Promise<Run> {
    return this.served.until('the end of the run', async () => {
      const { runId } = await this.show(failover);
      const run = runId === undefined ? undefined : await this.served.get<Run>(`${this.base}/runs/${runId}`);
      return run !== undefined && isOver(run.state) ? run : undefined;
    });
  }

  #run(person: string, words: readonly string[]): ReturnType<typeof runBeside> {
    const token = { HOLDFAST_TOKEN: this.secretOf(person), HOLDFAST_SERVICE: this.served.url };
    return runBeside([PROGRAM, ...words, '--json'], { ...environmentOf(this.#sites), ...token });
  }

  async #addPerson(name: string): Promise<void> {
    const person = { login: name, label: name, password: PASSWORD, roles: ['owner'] };
    const { login } = await this.served.post<{ login: string }>(`${this.base}/people`, person);
    const { secret } = await this.served.post<{ secret: string }>('/v1/login', { login, password: PASSWORD });
    this.#secrets.set(name, secret);
  }
}
