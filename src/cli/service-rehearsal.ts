// Drills of the service, and what they have proven.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Fault } from '../base/faults.ts';
import { formatDuration } from '../base/units.ts';
import type { Run, Tenant } from '../client/generated.ts';
import type { ServiceClient } from '../client/service-client.ts';
import { momentOf } from './moment.ts';
import { usage } from './option.ts';
import { withService } from './service-call.ts';
import { followRun } from './service-follow.ts';
import { runLine, showList, whenOf } from './service-show.ts';
import type { Invocation } from './verb.ts';

export function planCheck(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const { body } = await client.call('checkPlan', { tenant: mine.id, plan: invocation.args[0]! });
    return queued(invocation, client, mine, body);
  });
}

export function drillStart(invocation: Invocation): Promise<number> {
  const { args, options } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const request = { plan: args[0]!, version: options.count('version'), at: momentOf(options.text('at'))?.toISOString() };
    const { body } = await client.call('startDrill', { tenant: mine.id, body: request });
    return queued(invocation, client, mine, body);
  });
}

export function drillList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const columns = [
      { title: 'id' },
      { title: 'plan' },
      { title: 'begun' },
      { title: 'state' },
      { title: 'ended' },
      { title: 'what' },
    ];
    await showList(invocation.output, 'run', client.each('listDrills', { tenant: (await tenant()).id }), columns, (run) => [
      run.id,
      `${run.parameters['plan']} ${run.parameters['version']}`,
      whenOf(run.startedAt),
      run.state,
      whenOf(run.endedAt),
      runLine(run),
    ]);
    return 0;
  });
}

export function evidenceList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const query = { plan: invocation.options.text('plan') };
    const columns = [
      { title: 'id' },
      { title: 'plan' },
      { title: 'kind' },
      { title: 'outcome' },
      { title: 'made' },
      { title: 'RPO', align: 'right' as const },
      { title: 'RTO', align: 'right' as const },
      { title: 'key' },
    ];
    const all = client.each('listEvidence', { tenant: (await tenant()).id, query });
    const span = (ms: number | undefined): string => (ms === undefined ? '-' : formatDuration(ms));
    await showList(invocation.output, 'evidence', all, columns, (one) => [
      one.id,
      `${one.plan} ${one.planVersion}`,
      one.kind,
      one.outcome,
      whenOf(one.createdAt),
      span(one.rpoMs),
      span(one.rtoMs),
      one.keyId,
    ]);
    return 0;
  });
}

export function evidenceGet(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  const evidence = args[0]!;
  const named = options.text('output');
  if (named === undefined) throw usage('"holdfast evidence get" needs --output DIR');
  const directory = resolve(named);
  return withService(invocation, async ({ client, tenant }) => {
    const { id } = await tenant();
    const { body } = await client.call('getEvidence', { tenant: id, evidence });
    try {
      mkdirSync(directory, { mode: 0o750 });
    } catch (error) {
      throw usage(`The directory ${directory} cannot be made: ${(error as NodeJS.ErrnoException).code}`);
    }
    const write = (name: string, text: string): void => writeFileSync(join(directory, name), text, { flag: 'wx', mode: 0o640 });
    for (const { name, bytes } of body.files) {
      // Beside the pack and nowhere else.
      if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
        throw new Fault('EVIDENCE_REFUSED', `The service names a file of it "${name}", which no file could be called`);
      const file = await client.call('getEvidenceFile', { tenant: id, evidence, query: { name } });
      if (Buffer.byteLength(file.body) !== bytes) throw new Fault('EVIDENCE_REFUSED', `${name} did not come as it is`);
      write(name, file.body);
    }
    for (const lang of ['en', 'zh'] as const)
      write(`report.${lang}.html`, (await client.call('getEvidenceReport', { tenant: id, evidence, query: { lang } })).body);
    output.record('evidence', body);
    output.line(`${body.outcome}, signed with the key ${body.keyId}. Verify it with the public key of the host that has made it:`);
    output.line(`  holdfast evidence verify ${join(directory, 'pack.json')} --key evidence-key.pub`);
    return 0;
  });
}

export function queued(invocation: Invocation, client: ServiceClient, tenant: Tenant, run: Run): number | Promise<number> {
  if (invocation.options.flag('follow')) return followRun(invocation, client, tenant, run.id);
  invocation.output.record('run', run);
  invocation.output.line(`Queued ${run.id}; "holdfast run follow ${run.id}" shows how it goes`);
  return 0;
}
