// `holdfast serve`: the service until it is told to stop.

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ToldAgent } from '../../agents/host/open-agent.ts';
import type { CopySite } from '../model/replica.ts';
import { absoluteLocation } from '../store/location.ts';
import { wrongBlocks } from '../trust/allowed-sources.ts';
import { agentOptionsOf } from './agent-options.ts';
import { AT_EACH_START } from './common-options.ts';
import { readListen } from './listen-address.ts';
import { processFacts } from './open.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

const SITE_COPY = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)=(\/.+|s3\+https?:\/\/.+)$/;

export async function serve(invocation: Invocation): Promise<number> {
  const { options, environment, output, signal } = invocation;
  const { startService } = await import('../service.ts');
  const home = resolve(options.text('home') ?? environment.variables.HOLDFAST_HOME ?? join(homedir(), '.local/share/holdfast'));
  const store = options.text('store') ?? environment.variables.HOLDFAST_STORE;
  const service = await startService({
    home,
    listen: readListen(options.text('listen') ?? environment.variables.HOLDFAST_LISTEN ?? '127.0.0.1:8480'),
    store: store === undefined ? undefined : absoluteLocation(store),
    copies: copiesOf(invocation),
    publicUrl: options.text('public-url') ?? environment.variables.HOLDFAST_PUBLIC_URL,
    trustedProxies: proxiesOf(invocation),
    channelsFile: options.text('channels'),
    localAgent: localAgentOf(invocation),
    hasScheduler: !options.flag('no-scheduler'),
    takesOver: options.flag('take-over'),
    hasNewAdminToken: options.flag('new-admin-token'),
    traceEndpoint: options.text('trace-endpoint') ?? environment.variables.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    historyDays: options.count('keep-history'),
    eraseAfterDays: options.count('erase-after'),
    logLevel: options.text('log-level') ?? 'info',
    variables: environment.variables,
    version: versionText().replace(/^\S+ /, ''),
    process: processFacts(),
  });
  const { url, firstToken, tenant } = service;
  output.record('listening', { url, home, ...(firstToken === undefined ? {} : { adminToken: firstToken }) });
  output.line(`Holdfast serves at ${url}   (API: ${url}/docs)`);
  output.line(`Everything is in ${home}`);
  if (firstToken !== undefined) {
    output.line('');
    output.line(`Administrator's token of the tenant "${tenant}", shown this once:`);
    output.line(`  ${firstToken}`);
    output.line(`  export HOLDFAST_SERVICE=${url} HOLDFAST_TOKEN=...`);
  }
  output.flush();
  const told = new Promise<void>((stop) => {
    if (signal.aborted) stop();
    else signal.addEventListener('abort', () => stop(), { once: true });
  });
  const superseded = await Promise.race([told, service.superseded]);
  output.notice('Stopping: runs of this process end or are left to be taken up.');
  await service.stop();
  if (superseded !== undefined) throw superseded;
  return 0;
}

/** Undefined: there is none. */
function localAgentOf(invocation: Invocation): ToldAgent | undefined {
  const { options } = invocation;
  if (!options.flag('no-local-agent')) {
    if (options.flag('drill-dir') && !options.flag('site-config'))
      throw usage('--drill-dir is for an agent with a site', 'Name its configuration with --site-config.');
    return agentOptionsOf(invocation);
  }
  const told = AT_EACH_START.find(({ name }) => options.flag(name));
  if (told !== undefined) throw usage(`--${told.name} is for the local agent, and --no-local-agent says that there is none`);
  return undefined;
}

/** "second=/mnt/second": where a site keeps copies of repositories. */
function copiesOf({ options, environment }: Invocation): readonly CopySite[] {
  const given = options.texts('copy');
  const texts = given.length > 0 ? given : (environment.variables.HOLDFAST_COPIES?.split(',') ?? []);
  const copies = texts.map((text) => {
    const [, site, location] = SITE_COPY.exec(text.trim()) ?? [];
    if (site !== undefined && location !== undefined) return { site, location };
    throw usage(
      `"${text}" names no copy`,
      'Give a site and a place, e.g. second=/mnt/second or second=s3+https://host/bucket/prefix.',
    );
  });
  const twice = copies.find(({ site }, n) => copies.findIndex((one) => one.site === site) !== n);
  if (twice !== undefined) throw usage(`The copies of the site "${twice.site}" are named twice`);
  return copies;
}

/** Without them every request through a proxy comes from the proxy: tenants could not say from where, and one who guesses would lock out all. */
function proxiesOf({ options, environment }: Invocation): readonly string[] {
  const given = options.texts('trusted-proxy');
  const listed = environment.variables.HOLDFAST_TRUSTED_PROXIES?.split(',').map((one) => one.trim()) ?? [];
  const proxies = (given.length > 0 ? given : listed).filter((one) => one !== '');
  const wrong = wrongBlocks(proxies);
  if (wrong.length > 0)
    throw usage(`"${wrong[0]}" is no address of a proxy`, 'Give an address or a block, e.g. 127.0.0.1 or 10.0.0.0/24.');
  return proxies;
}
