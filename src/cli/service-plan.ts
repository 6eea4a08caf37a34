// Plans that the service holds. What a file says is checked offline by "plan validate".

import { readFileSync } from 'node:fs';
import { Fault, isFault } from '../base/faults.ts';
import type { Plan } from '../client/generated.ts';
import { usage } from './option.ts';
import { withService } from './service-call.ts';
import { isApproval, showApproval, showList, whenOf } from './service-show.ts';
import type { Invocation } from './verb.ts';

const COLUMNS = [
  { title: 'name' },
  { title: 'version', align: 'right' as const },
  { title: 'ready' },
  { title: 'looked at' },
  { title: 'changed' },
  { title: 'by' },
];

export function planList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    await showList(invocation.output, 'plan', client.each('listPlans', { tenant: (await tenant()).id }), COLUMNS, rowOf);
    return 0;
  });
}

export function planVersions(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const versions = client.each('listPlanVersions', { tenant: (await tenant()).id, plan: invocation.args[0]! });
    await showList(invocation.output, 'plan', versions, COLUMNS, rowOf);
    return 0;
  });
}

function rowOf({ name, version, readiness, changedAt, changedBy }: Plan): string[] {
  const wrong = readiness?.checks.filter(({ isReady }) => !isReady).length;
  const ready = readiness === undefined ? '-' : readiness.isReady ? 'yes' : `NO: ${wrong} of ${readiness.checks.length}`;
  return [name, String(version), ready, whenOf(readiness?.at), whenOf(changedAt), changedBy];
}

export function planGet(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const query = { version: options.count('version') };
    const { body } = await client.call('getPlan', { tenant: (await tenant()).id, plan: args[0]!, query });
    output.record('plan', body);
    output.line(body.text.replace(/\n$/, ''));
    return 0;
  });
}

export function planRunbook(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const query = { version: options.count('version'), lang: options.text('language') as 'en' | 'zh' | undefined };
    const { body } = await client.call('getRunbook', { tenant: (await tenant()).id, plan: args[0]!, query });
    output.record('runbook', { text: body });
    for (const line of body.trimEnd().split('\n')) output.line(line);
    return 0;
  });
}

export function planPut(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const text = readText(args[0]!);
    const plan = /^(?:\{\s*)?["']?name["']?:\s*["']?([a-z0-9-]+)/m.exec(text)?.[1];
    if (plan === undefined) throw usage(`"${args[0]}" says no name`, 'A plan begins with "name: something".');
    const { id } = await tenant();
    const etag = await client.call('getPlan', { tenant: id, plan }).then(
      ({ etag: version }) => version,
      (error: unknown) => {
        if (isFault(error, 'REQUEST_NOT_FOUND')) return undefined;
        throw error;
      },
    );
    const query = { reason: options.text('reason') };
    const { body } = await client.call('putPlan', { tenant: id, plan, query, body: { text }, ifMatch: etag });
    if (isApproval(body)) showApproval(output, body);
    else {
      output.record('plan', body);
      output.line(`Plan "${body.name}", version ${body.version}, ${body.digest}`);
    }
    return 0;
  });
}

export function planDelete(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { id } = await tenant();
    const { etag } = await client.call('getPlan', { tenant: id, plan: args[0]! });
    const query = { reason: options.text('reason') };
    const { body } = await client.call('deletePlan', { tenant: id, plan: args[0]!, query, ifMatch: etag! });
    showApproval(output, body);
    return 0;
  });
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Fault('USAGE', `The plan "${file}" cannot be read: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}
