// An enrolled agent, put together: for `holdfast agent`, and for the local agent of `holdfast serve`.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { Fault, isFault } from '../../src/base/faults.ts';
import { readSiteConfig } from '../site/site-config.ts';
import { AgentHome, type AgentState } from './agent-home.ts';
import { readCertificates } from './certificates.ts';
import { HostAgent } from './host-agent.ts';
import { HttpTransport } from './http-transport.ts';
import { restoresInTurn } from './restore-turns.ts';
import type { DrillLook } from './run-messages.ts';
import { processRuns } from './run-process.ts';

const CONCURRENCY = 2;
const THREADS_MAX = 8;

export type OpenAgentOptions = {
  /** Absolute. */
  readonly home: string;
  readonly log: Logger;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  /** "holdfast 0.1.0" */
  readonly program: string;
  /** Where the service is now, when it is not where the agent was enrolled. */
  readonly service?: string;
  /** Runs at the same time. */
  readonly concurrency?: number;
  readonly allowRestore?: readonly string[];
  readonly allowHooks?: readonly string[];
  /** Absolute: where programs of PostgreSQL are looked for before the usual places. */
  readonly serverPrograms?: readonly string[];
  /** Absolute; left out of every backup, as is the home. */
  readonly neverBackUp?: readonly string[];
  /** The configuration of the site daemon of this host: then plans are looked at and carried out here. */
  readonly siteConfig?: string | undefined;
  /** Where the clones of drills lie (temporary files). */
  readonly drillDirectory?: string | undefined;
  /** What drills look at, and do not touch. */
  readonly drillLooks?: readonly DrillLook[];
  /** Of the environment, what programs for plans may see. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Of the protocol; for tests. */
  readonly version?: string;
};

/** What an agent is told at each start: that of a host, and the local one of a service. */
export type ToldAgent = Pick<
  OpenAgentOptions,
  'allowRestore' | 'allowHooks' | 'serverPrograms' | 'siteConfig' | 'drillDirectory' | 'variables'
>;

export type OpenedAgent = {
  readonly state: AgentState;
  /** See `HostAgent.run`; frees everything at its end. */
  readonly run: (signal: AbortSignal) => Promise<void>;
};

/** AGENT_NOT_ENROLLED, AGENT_HOME_DAMAGED, SITE_CONFIG, USAGE. */
export function openAgent(options: OpenAgentOptions): OpenedAgent {
  const { log, now, random, program, concurrency = CONCURRENCY, allowRestore = [], allowHooks = [], neverBackUp = [] } = options;
  const { siteConfig, drillDirectory } = options;
  const planSite = siteConfig === undefined ? undefined : siteNamed(siteConfig);
  const home = new AgentHome(options.home);
  const kept = home.readState();
  if (kept === undefined) throw new Fault('AGENT_NOT_ENROLLED', `No agent is enrolled in ${options.home}`);
  const state: AgentState = { ...kept, ...(options.service === undefined ? {} : { service: options.service }) };
  const said = options.version === undefined ? {} : { version: options.version };
  const transport = new HttpTransport({
    url: state.service,
    key: home.readKey(),
    agentId: state.agentId,
    ...(state.caFile === undefined ? {} : { ca: readCertificates(state.caFile) }),
    now,
    random,
    ...said,
  });
  const start = processRuns({
    home: options.home,
    state,
    program,
    allowRestore: [home.restores, ...allowRestore],
    allowHooks: [home.hooks, ...allowHooks],
    serverPrograms: options.serverPrograms ?? [],
    neverBackUp: [options.home, ...neverBackUp],
    threads: Math.min(THREADS_MAX, availableParallelism()),
    drillLooks: options.drillLooks ?? [],
    variables: options.variables ?? {},
    ...(siteConfig === undefined ? {} : { siteConfig }),
    ...(drillDirectory === undefined ? {} : { drillDirectory }),
    ...said,
  });
  const programVersion = program.replace(/^\S+ /, '');
  const agent = new HostAgent({
    home,
    transport,
    start: restoresInTurn(start),
    log,
    now,
    random,
    programVersion,
    concurrency,
    planSite,
    ...said,
  });
  return {
    state,
    run: async (signal) => {
      try {
        await agent.run(signal);
      } finally {
        await transport.close();
      }
    },
  };
}

function siteNamed(file: string): string {
  try {
    return readSiteConfig(readFileSync(file, 'utf8'), file).site;
  } catch (error) {
    if (isFault(error)) throw error;
    throw new Fault('USAGE', `The configuration ${file} cannot be read: ${(error as Error).message}`);
  }
}
