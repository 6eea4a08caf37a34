// Agents and assets.

import type { Asset } from '../client/generated.ts';
import { usage } from './option.ts';
import { agentOf, assetOf, notOfTheAgent, withService } from './service-call.ts';
import { isApproval, showApproval, showList, showOne, whenOf } from './service-show.ts';
import { reasonOf } from './service-tenant.ts';
import type { Invocation } from './verb.ts';

export function agentsList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const columns = [
      { title: 'label' },
      { title: 'id' },
      { title: 'state' },
      { title: 'last seen' },
      { title: 'site' },
      { title: 'plans of' },
      { title: 'host' },
      { title: 'version' },
    ];
    const agents = client.each('listAgents', { tenant: (await tenant()).id });
    await showList(invocation.output, 'agent', agents, columns, ({ label, id, state, lastSeenAt, site, host }) => [
      label,
      id,
      state,
      whenOf(lastSeenAt),
      site ?? '-',
      host.planSite ?? '-',
      host.hostname,
      host.version,
    ]);
    return 0;
  });
}

export function agentsEnroll(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const request = { label: options.text('label'), site: options.text('site'), minutes: options.count('minutes') };
    const { body } = await client.call('createEnrolment', { tenant: (await tenant()).id, body: request });
    output.record('enrolment', body);
    output.notice(`For one agent, until ${whenOf(body.expiresAt)}. On its host: holdfast agent --service URL --enroll TOKEN`);
    output.line(body.secret);
    return 0;
  });
}

/** Without --site: at none. */
export function agentsPlace(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const agent = await agentOf(client, mine, invocation.args[0]!);
    const body = { site: invocation.options.text('site') };
    const answer = await client.call('placeAgent', { tenant: mine.id, agent: agent.id, body });
    showOne(invocation.output, 'agent', answer.body);
    return 0;
  });
}

export function agentsRevoke(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const agent = await agentOf(client, mine, invocation.args[0]!);
    const { body } = await client.call('revokeAgent', { tenant: mine.id, agent: agent.id });
    showOne(invocation.output, 'agent', body);
    return 0;
  });
}

export function assetList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const columns = [{ title: 'name' }, { title: 'id' }, { title: 'state' }, { title: 'kind' }, { title: 'what' }];
    const assets = client.each('listAssets', { tenant: (await tenant()).id });
    await showList(invocation.output, 'asset', assets, columns, ({ name, id, state, source }) => [
      name,
      id,
      state,
      source.kind,
      whatOf(source),
    ]);
    return 0;
  });
}

function whatOf(source: Asset['source']): string {
  if (source.kind === 'files') return source.paths.join(' ');
  return source.kind === 'postgres' ? source.connection : source.path;
}

export function assetShow(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const asset = await assetOf(client, mine, invocation.args[0]!);
    showOne(invocation.output, 'asset', asset);
    return 0;
  });
}

export function assetCreate(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const agent = await agentOf(client, mine, options.text('agent') ?? (await onlyAgent(invocation)));
    const source = sourceOf(invocation);
    if (source === undefined)
      throw usage('What is to be protected?', 'Give --include DIRECTORY (once or more), --volume PATH or --postgres CONNECTION.');
    const { body } = await client.call('createAsset', {
      tenant: mine.id,
      body: { name: args[0]!, label: options.text('label'), agentId: agent.id, source, policy: options.text('policy') },
    });
    showOne(output, 'asset', body);
    return 0;
  });
}

export function assetChange(invocation: Invocation): Promise<number> {
  const { args, options } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const agentName = options.text('agent');
    const agentId = agentName === undefined ? undefined : (await agentOf(client, mine, agentName)).id;
    const state = options.flag('pause') ? ('paused' as const) : options.flag('resume') ? ('active' as const) : undefined;
    return changeAsset(invocation, args[0]!, {
      label: options.text('label'),
      agentId,
      state,
      source: sourceOf(invocation),
      policy: policyOf(invocation),
    });
  });
}

/** A union of what the API takes; undefined fields stay as they are. */
type Change = Readonly<Record<string, unknown>>;

export function changeAsset(invocation: Invocation, named: string, change: Change): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const asset = await assetOf(client, mine, named);
    const reason = invocation.options.text('reason');
    const { body } = await client.call('changeAsset', {
      tenant: mine.id,
      asset: asset.id,
      body: { ...change, reason },
      ifMatch: `"${asset.version}"`,
    });
    if (isApproval(body)) showApproval(invocation.output, body);
    else showOne(invocation.output, 'asset', body);
    return 0;
  });
}

export function assetRetire(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const asset = await assetOf(client, mine, invocation.args[0]!);
    const { body } = await client.call('retireAsset', { tenant: mine.id, asset: asset.id, body: { reason: reasonOf(invocation) } });
    showApproval(invocation.output, body);
    return 0;
  });
}

function policyOf({ options }: Invocation): string | null | undefined {
  return options.flag('no-policy') ? null : options.text('policy');
}

function sourceOf({ options }: Invocation) {
  const [paths, volume, connection] = [options.texts('include'), options.text('volume'), options.text('postgres')];
  if ([paths.length > 0, volume !== undefined, connection !== undefined].filter(Boolean).length > 1)
    throw usage('An asset is files, a volume or a database, one of them');
  const relative = [...paths, ...(volume === undefined ? [] : [volume])].find((path) => !path.startsWith('/'));
  if (relative !== undefined) throw notOfTheAgent(relative);
  if (connection !== undefined) {
    const [secret, slot] = [options.text('secret'), options.text('slot')];
    return {
      kind: 'postgres' as const,
      connection,
      ...(secret === undefined ? {} : { secret }),
      ...(slot === undefined ? {} : { slot }),
    };
  }
  if (volume !== undefined) return { kind: 'volume' as const, path: volume };
  if (paths.length === 0) return undefined;
  const excludes = options.texts('exclude');
  return {
    kind: 'files' as const,
    paths,
    ...(excludes.length === 0 ? {} : { excludes }),
    ...(options.flag('one-file-system') ? { oneFileSystem: true } : {}),
  };
}

/** When there is one only, it is the one that is meant. */
async function onlyAgent(invocation: Invocation): Promise<string> {
  const found: string[] = [];
  await withService(invocation, async ({ client, tenant }) => {
    for await (const { id, state } of client.each('listAgents', { tenant: (await tenant()).id }))
      if (state === 'active') found.push(id);
    return 0;
  });
  if (found.length === 1) return found[0]!;
  throw usage(
    found.length === 0 ? 'There is no agent yet' : 'There are several agents',
    found.length === 0 ? 'Enrol one: "holdfast agents enroll".' : 'Name one with --agent.',
  );
}
