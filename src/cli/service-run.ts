// Runs, recovery points and restores.

import { formatBytes } from '../base/units.ts';
import type { Asset, RestorePlan, Run, Tenant } from '../client/generated.ts';
import { dateOfMicros, textOfMicros } from '../model/instant-text.ts';
import { localMicrosOf } from './moment.ts';
import { usage } from './option.ts';
import { agentOf, assetNames, assetOf, notOfTheAgent, withService } from './service-call.ts';
import { followRun } from './service-follow.ts';
import { runLine, showApproval, showList, showOne, whenOf } from './service-show.ts';
import { reasonOf } from './service-tenant.ts';
import type { Invocation } from './verb.ts';

type Kind = 'backup' | 'restore-test' | 'verify' | 'forget' | 'prune';
const RUNS_SHOWN = 50;
/** The status when one that was queued already stands for the new one. */
const JOINED = 200;

export function runList(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const named = options.text('asset');
    const assetId = named === undefined ? undefined : (await assetOf(client, mine, named)).id;
    const query = {
      assetId,
      kind: options.text('kind') as Run['kind'] | undefined,
      state: options.text('state') as Run['state'] | undefined,
      limit: options.count('limit') ?? RUNS_SHOWN,
    };
    const { body } = await client.call('listRuns', { tenant: mine.id, query });
    const columns = [
      { title: 'id' },
      { title: 'due' },
      { title: 'asset' },
      { title: 'kind' },
      { title: 'state' },
      { title: 'ended' },
      { title: 'what' },
    ];
    const names = output.isJson ? new Map<string, string>() : await assetNames(client, mine);
    await showList(output, 'run', body.items, columns, (run) => [
      run.id,
      whenOf(run.dueAt),
      run.assetId === undefined ? '-' : (names.get(run.assetId) ?? run.assetId),
      run.kind,
      run.state,
      whenOf(run.endedAt),
      runLine(run),
    ]);
    return 0;
  });
}

export function runStart(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const assetId = args[1] === undefined ? undefined : (await assetOf(client, mine, args[1])).id;
    const mode = options.text('mode') as 'structure' | 'sampled' | 'full' | 'scrub' | undefined;
    const request = {
      kind: args[0] as Kind,
      assetId,
      priority: options.count('priority'),
      verify: mode === undefined ? undefined : { mode },
    };
    const { status, body } = await client.call('startRun', { tenant: mine.id, body: request });
    if (status === JOINED) output.notice(`${body.id} was queued already (due ${whenOf(body.dueAt)}): it goes now`);
    else await tellOfRunning(client, mine, body, output);
    if (options.flag('follow')) return followRun(invocation, client, mine, body.id);
    output.record('run', body);
    output.line(`Queued ${body.id}; "holdfast run follow ${body.id}" shows how it goes`);
    return 0;
  });
}

/** One of the same that has begun is not enough: it may lack what was changed since. */
async function tellOfRunning(client: Client, tenant: Tenant, run: Run, output: Invocation['output']): Promise<void> {
  const query = { assetId: run.assetId, kind: run.kind, state: 'running' as const };
  const { items } = (await client.call('listRuns', { tenant: tenant.id, query })).body;
  const before = items.find(({ id, assetId }) => id !== run.id && assetId === run.assetId);
  if (before === undefined) return;
  output.notice(
    `${before.id} is under way since ${whenOf(before.startedAt)}; ${run.id} begins when that is over, and holds what was changed since`,
  );
}

export function runShow(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('getRun', { tenant: (await tenant()).id, run: invocation.args[0]! });
    showOne(invocation.output, 'run', body);
    return 0;
  });
}

export function runFollow(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => followRun(invocation, client, await tenant(), invocation.args[0]!));
}

export function runCancel(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('cancelRun', { tenant: (await tenant()).id, run: invocation.args[0]! });
    showOne(invocation.output, 'run', body);
    return 0;
  });
}

export function pointList(invocation: Invocation): Promise<number> {
  const { args, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const assetId = args[0] === undefined ? undefined : (await assetOf(client, mine, args[0])).id;
    const columns = [
      { title: 'snapshot' },
      { title: 'state of' },
      { title: 'size', align: 'right' as const },
      { title: 'stored', align: 'right' as const },
      { title: 'proved' },
      { title: 'notes' },
      { title: 'asset' },
    ];
    await showList(
      output,
      'recovery-point',
      client.each('listRecoveryPoints', { tenant: mine.id, query: { assetId } }),
      columns,
      (point) => [
        point.snapshot,
        whenOf(point.startedAt),
        formatBytes(point.bytesScanned),
        formatBytes(point.bytesStored),
        whenOf(point.provenAt),
        [point.isSound ? '' : 'DAMAGED', point.isHeld ? 'held' : '', point.hasWarnings ? 'warnings' : '', ...point.tags]
          .filter((note) => note !== '')
          .join(','),
        point.assetName,
      ],
    );
    return 0;
  });
}

export function pointShow(invocation: Invocation): Promise<number> {
  return onPoint(invocation, async (client, at) => (await client.call('getRecoveryPoint', at)).body);
}

export function pointTag(invocation: Invocation): Promise<number> {
  return onPoint(
    invocation,
    async (client, at) => (await client.call('setTags', { ...at, body: { tags: invocation.args.slice(1) } })).body,
  );
}

export function pointHold(invocation: Invocation): Promise<number> {
  return onPoint(
    invocation,
    async (client, at) => (await client.call('placeHold', { ...at, body: { reason: reasonOf(invocation) } })).body,
  );
}

type PointAt = { readonly tenant: string; readonly snapshot: string };
type Client = Parameters<Parameters<typeof withService>[1]>[0]['client'];

function onPoint(invocation: Invocation, work: (client: Client, at: PointAt) => Promise<object>): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    showOne(
      invocation.output,
      'recovery-point',
      await work(client, { tenant: (await tenant()).id, snapshot: invocation.args[0]! }),
    );
    return 0;
  });
}

export function pointRelease(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const at = { tenant: (await tenant()).id, snapshot: invocation.args[0]!, body: { reason: reasonOf(invocation) } };
    showApproval(invocation.output, (await client.call('releaseHold', at)).body);
    return 0;
  });
}

export function pointDelete(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const at = { tenant: (await tenant()).id, snapshot: invocation.args[0]!, body: { reason: reasonOf(invocation) } };
    showApproval(invocation.output, (await client.call('deleteRecoveryPoint', at)).body);
    return 0;
  });
}

export function window(invocation: Invocation): Promise<number> {
  const { args, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const asset = await assetOf(client, mine, args[0]!);
    const { body } = await client.call('getRecoveryWindow', { tenant: mine.id, asset: asset.id });
    output.record('recovery-window', body);
    output.line(
      `${asset.name}: ${body.points} recovery points${body.earliest === undefined ? '' : `, ${whenOf(body.earliest)} to ${whenOf(body.latest)}`}`,
    );
    for (const { from, to, points, evidence, log } of body.intervals) {
      const last = log?.lastTransaction;
      const known = last === undefined ? '' : `; the last transaction is ${last.id} at ${last.position}`;
      output.line(`  from ${whenOf(from)} to ${whenOf(to)}: ${points} points, ${evidence.proven} proved${known}`);
    }
    for (const { from, to, cause, isOpen } of body.gaps)
      output.line(`  GAP from ${whenOf(from)} to ${isOpen ? 'now' : whenOf(to)}: ${cause}`);
    for (const missing of body.missing) output.line(`  MISSING: ${missing}`);
    return 0;
  });
}

export function recover(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const target = options.text('target');
    const extract = extractOf(options);
    if (target === undefined && extract === undefined)
      throw usage(
        '"holdfast recover" needs --target PATH, or --database NAME for what goes into the living server',
        'The path is one on the host of the agent.',
      );
    if (target !== undefined && !target.startsWith('/')) throw notOfTheAgent(target);
    const mine = await tenant();
    const asset = await assetOf(client, mine, args[0]!);
    const agentName = options.text('agent');
    const body = {
      assetId: asset.id,
      snapshot: options.text('snapshot'),
      agentId: agentName === undefined ? undefined : (await agentOf(client, mine, agentName)).id,
      target,
      extract,
      path: options.text('path'),
      ...placeOf(options, asset),
      handOver: options.text('hand-over') as 'running' | 'paused' | 'stopped' | undefined,
      delta: options.flag('delta') ? true : undefined,
      verify: options.flag('verify') ? true : undefined,
      dryRun: options.flag('dry-run') ? true : undefined,
    };
    const { body: answer } = await client.call('requestRestore', { tenant: mine.id, body });
    if (!('run' in answer)) {
      showOne(output, 'plan', flat(answer));
      return 0;
    }
    output.notice(
      `Restores the state of ${whenOf(answer.plan.achievedAt)} (${answer.plan.point.snapshot}) to ${answer.plan.target}`,
    );
    for (const warning of answer.plan.warnings) output.warning(warning, { run: answer.run.id });
    if (options.flag('follow')) return followRun(invocation, client, mine, answer.run.id);
    output.record('run', answer.run);
    output.line(`Queued ${answer.run.id}; "holdfast run follow ${answer.run.id}" shows how it goes`);
    return 0;
  });
}

/** Of a database: single tables or a whole one, into the server that lives. */
function extractOf(options: Invocation['options']) {
  const [database, as, secret] = [options.text('database'), options.text('as'), options.text('secret')];
  const tables = options.texts('table');
  if (database !== undefined) return { database, tables: tables.length === 0 ? undefined : [...tables], as, secret };
  if (tables.length > 0 || as !== undefined || secret !== undefined) throw usage('--table, --as and --secret go with --database');
  return undefined;
}

/** The instant, or another place in the log of a database, which knows instants to the microsecond. */
function placeOf(options: Invocation['options'], { source }: Asset) {
  const [text, lsn, xid, name] = [options.text('at'), options.text('lsn'), options.count('xid'), options.text('name')];
  const micros = text === undefined ? undefined : localMicrosOf(text);
  const at = micros === undefined || source.kind === 'postgres' ? undefined : dateOfMicros(micros).toISOString();
  const time = micros === undefined || at !== undefined ? undefined : textOfMicros(micros);
  const latest = options.flag('latest') ? (true as const) : undefined;
  const point = { time, lsn, xid, name, latest };
  return { at, point: Object.values(point).every((value) => value === undefined) ? undefined : point };
}

function flat({ point, warnings, log, ...rest }: RestorePlan): object {
  return { ...rest, ...log, snapshot: point.snapshot, bytes: point.bytesScanned, warnings: warnings.join('; ') };
}
