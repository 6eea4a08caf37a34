// What a failover between two sites is tried with: a client that writes all the time to wherever the plan's route leads it, the plan, and
// the command line beside this process.

import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ASSET, type SiteName, type TwoSites, until } from './two-sites.ts';

const BIN = join(import.meta.dirname, '../../bin');

export type Ran = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

/** A client whose route is a hook: it writes to whatever site it is led to, and knows every write that was acknowledged. */
export class RoutedClient {
  /** With the time of the acknowledgement. */
  readonly acknowledged: { readonly word: string; readonly atMs: number }[] = [];
  readonly #over = new AbortController();
  readonly #sites: TwoSites;
  readonly #running: Promise<void>;

  constructor(sites: TwoSites) {
    this.#sites = sites;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#over.signal.aborted; n++) {
      const site = readFileSync(join(this.#sites.scratch, 'active'), 'utf8').trim() as SiteName;
      if (await this.#sites.writes(site, `w${n}`)) this.acknowledged.push({ word: `w${n}`, atMs: Date.now() });
      await sleep(20);
    }
  }
}

export function environmentOf({ scratch, environment }: TwoSites): Record<string, string> {
  return {
    ...environment,
    PATH: `${BIN}:${dirname(process.execPath)}:${process.env['PATH']}`,
    HOME: scratch,
  };
}

/** Beside this process, whose clients go on meanwhile. */
export function runBeside(words: readonly string[], env: Record<string, string>): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(words[0]!, words.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        said[name] += text;
      });
    child.once('close', (status) => resolve({ status, ...said }));
  });
}

const FENCING = 'proofs: [demotion, expiry], limit: 1m';

/** A route that leads clients to A, and a plan that leads them to B. */
export function writePlan(sites: TwoSites, { fencing = FENCING, lease = 'ttl: 2s, margin: 2s' } = {}): void {
  const active = join(sites.scratch, 'active');
  const route = join(sites.scratch, 'lead');
  writeFileSync(route, `#!/bin/sh\necho "$HOLDFAST_SITE" > ${active}.new && mv ${active}.new ${active}\n`);
  chmodSync(route, 0o755);
  writeFileSync(active, 'a\n');
  writeFileSync(planFile(sites), planText(sites, fencing, lease));
}

/** With such a plan; both sites run. */
export async function readyToFail(sites: TwoSites, fencing = FENCING): Promise<RoutedClient> {
  writePlan(sites, { fencing });
  await sites.run();
  const client = new RoutedClient(sites);
  await until('the client writes', () => client.acknowledged.length > 5);
  return client;
}

export function planFile({ scratch }: TwoSites): string {
  return join(scratch, 'plan.yaml');
}

function planText({ scratch }: TwoSites, fencing: string, lease: string): string {
  return `
name: portal
version: 1
sites: { source: a, target: b, witness: c }
objectives: { rpo: 30s, rto: 10m }
approvals: { planned: 1, unplanned: 2, breakGlass: 2 }
lease: { ${lease}, onLeaseLoss: stop }
fencing: { ${fencing} }
groups:
  - name: database
    members:
      - { asset: ${ASSET}, kind: postgres, replayLimit: 1m, startLimit: 1m }
routes:
  - { name: clients, group: database, kind: hook, command: [${scratch}/lead], limit: 10s }
smokeTests:
  - { name: looks, command: [/bin/true], limit: 10s }
`;
}
