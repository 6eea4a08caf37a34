// `holdfast agent`: enrols an agent on this host, or runs the one that was enrolled until it is told to stop.

import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { DrillLook } from '../../agents/host/run-messages.ts';
import { LOG_OPTIONS } from '../base/log-options.ts';
import { agentOptionsOf } from './agent-options.ts';
import { AT_EACH_START } from './common-options.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

const NOT_ENROLLING = [...AT_EACH_START.map(({ name }) => name), 'production', 'standby', 'concurrency', 'log-level'];

export async function agent(invocation: Invocation): Promise<number> {
  const { options } = invocation;
  const isEnrolling = options.text('enroll') !== undefined;
  if (isEnrolling) {
    for (const name of NOT_ENROLLING)
      if (options.flag(name)) throw usage(`--${name} is said at each start, not with --enroll`, 'Give it to the agent that runs.');
    return enroll(invocation);
  }
  for (const name of ['label', 'ca'])
    if (options.flag(name)) throw usage(`--${name} is said once, with --enroll`, 'Leave it away: the home knows it.');
  return serveRuns(invocation);
}

async function enroll(invocation: Invocation): Promise<number> {
  const { options, environment, output } = invocation;
  const service = options.text('service') ?? environment.variables.HOLDFAST_SERVICE;
  if (service === undefined) throw usage('Where the service is was not said', 'Give --service URL.');
  const [{ AgentHome }, { enrolAgent }, { readCertificates }] = await Promise.all([
    import('../../agents/host/agent-home.ts'),
    import('../../agents/host/host-agent.ts'),
    import('../../agents/host/certificates.ts'),
  ]);
  const home = homeOf(invocation);
  const label = options.text('label');
  const ca = options.text('ca');
  const state = await enrolAgent({
    home: new AgentHome(home),
    service,
    token: options.text('enroll')!,
    ...(label === undefined ? {} : { label }),
    ...(ca === undefined ? {} : { caFile: resolve(ca), ca: readCertificates(resolve(ca)) }),
    programVersion: versionText().replace(/^\S+ /, ''),
    now: () => new Date(),
    random: randomBytes,
  });
  output.line(`Enrolled as ${state.agentId} ("${state.label}") at ${service}`);
  output.line(`Its key and name are in ${home}; run it with: holdfast agent --home ${home}`);
  output.summary('agent', { agentId: state.agentId, tenantId: state.tenantId, label: state.label, service, home });
  return 0;
}

async function serveRuns(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const [{ openAgent }, { pino }] = await Promise.all([import('../../agents/host/open-agent.ts'), import('pino')]);
  const level = options.text('log-level') ?? 'info';
  const log = pino({ ...LOG_OPTIONS, level, base: null }, pino.destination({ fd: 2, sync: true }));
  const concurrency = options.count('concurrency');
  const service = options.text('service');
  const opened = openAgent({
    home: homeOf(invocation),
    log,
    now: () => new Date(),
    random: randomBytes,
    program: versionText(),
    ...agentOptionsOf(invocation),
    drillLooks: (['production', 'standby'] as const).flatMap((at) => options.texts(at).map((text) => lookOf(at, text))),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(service === undefined ? {} : { service }),
  });
  const { agentId, service: at } = opened.state;
  output.line(`The agent ${agentId} asks ${at} for work`);
  output.flush();
  await opened.run(signal);
  return 0;
}

function lookOf(at: DrillLook['at'], text: string): DrillLook {
  const cut = text.indexOf('=');
  if (cut < 1) throw usage(`--${at} must be ASSET=SERVER; "${text}" is not`);
  return { at, asset: text.slice(0, cut), server: text.slice(cut + 1) };
}

function homeOf({ options, environment }: Invocation): string {
  return resolve(
    options.text('home') ?? environment.variables.HOLDFAST_AGENT_HOME ?? join(homedir(), '.local/share/holdfast-agent'),
  );
}
