// Policies that the service holds. What a file says is checked offline by "policy validate".

import { readFileSync } from 'node:fs';
import { Fault, isFault } from '../base/faults.ts';
import { usage } from './option.ts';
import { changeAsset } from './service-asset.ts';
import { assetOf, withService } from './service-call.ts';
import { isApproval, showApproval, showList, showOne, whenOf } from './service-show.ts';
import type { Invocation } from './verb.ts';

export function policyList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const columns = [
      { title: 'name' },
      { title: 'level' },
      { title: 'version', align: 'right' as const },
      { title: 'changed' },
      { title: 'by' },
    ];
    const policies = client.each('listPolicies', { tenant: (await tenant()).id });
    await showList(invocation.output, 'policy', policies, columns, ({ name, level, version, changedAt, changedBy }) => [
      name,
      level,
      String(version),
      whenOf(changedAt),
      changedBy,
    ]);
    return 0;
  });
}

export function policyGet(invocation: Invocation): Promise<number> {
  const { args, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('getPolicy', { tenant: (await tenant()).id, policy: args[0]! });
    output.record('policy', body);
    output.line(body.text.replace(/\n$/, ''));
    return 0;
  });
}

export function policyPut(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const text = readText(args[0]!);
    const policy = options.text('name') ?? /^name:\s*["']?([a-z0-9-]+)/m.exec(text)?.[1];
    if (policy === undefined) throw usage(`"${args[0]}" says no name`, 'A policy begins with "name: something".');
    const { id } = await tenant();
    const etag = await client.call('getPolicy', { tenant: id, policy }).then(
      ({ body, etag: version }) => (body.tenantId === undefined ? undefined : version),
      (error: unknown) => {
        if (isFault(error, 'REQUEST_NOT_FOUND')) return undefined;
        throw error;
      },
    );
    const query = { level: options.text('level') as 'tenant' | 'asset' | undefined, reason: options.text('reason') };
    const { body } = await client.call('putPolicy', { tenant: id, policy, query, body: { text }, ifMatch: etag });
    if (isApproval(body)) showApproval(output, body);
    else {
      output.record('policy', body);
      output.line(`Policy "${body.name}", version ${body.version}`);
    }
    return 0;
  });
}

export function policyAttach(invocation: Invocation): Promise<number> {
  return changeAsset(invocation, invocation.args[1]!, { policy: invocation.args[0]! });
}

export function policyDelete(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { id } = await tenant();
    const { etag } = await client.call('getPolicy', { tenant: id, policy: args[0]! });
    const { body } = await client.call('deletePolicy', {
      tenant: id,
      policy: args[0]!,
      query: { reason: options.text('reason') },
      ifMatch: etag!,
    });
    if (isApproval(body)) showApproval(output, body);
    else output.line(`Deleted "${args[0]}"`);
    return 0;
  });
}

export function policyEffective(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const mine = await tenant();
    const asset = await assetOf(client, mine, invocation.args[0]!);
    const { body } = await client.call('getEffectivePolicy', { tenant: mine.id, asset: asset.id });
    showOne(invocation.output, 'policy', body.policy);
    return 0;
  });
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Fault('USAGE', `The policy "${file}" cannot be read: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}
