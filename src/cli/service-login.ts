// Sessions of people.

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isFault } from '../base/faults.ts';
import { readPassphrase } from './passphrase.ts';
import { clientOf, tokenFileOf, withService } from './service-call.ts';
import { showOne } from './service-show.ts';
import { formatTime } from './table.ts';
import type { Invocation } from './verb.ts';

export async function login(invocation: Invocation): Promise<number> {
  const { args, options, environment, output } = invocation;
  const source = { file: options.text('password-file'), fileVariable: 'HOLDFAST_PASSWORD_FILE', variable: 'HOLDFAST_PASSWORD' };
  const password = Buffer.from(
    await readPassphrase({ ...source, prompt: `Password of ${args[0]}`, isNew: false }, environment, output),
  ).toString();
  const client = clientOf(invocation, undefined);
  const code = options.text('code');
  const { body } = await client.call('login', { body: { login: args[0]!, password, code } }).catch((error: unknown) => {
    if (isFault(error, 'LOGIN_CODE_NEEDED'))
      output.notice('Run it again with --code and the six digits that the authenticator shows.');
    throw error;
  });
  const file = tokenFileOf(environment);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, `${body.secret}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  output.record('session', { person: body.person.id, expiresAt: body.expiresAt, tokenFile: file });
  output.line(`Logged in as ${body.person.label} until ${formatTime(body.expiresAt)}; the session is in ${file}`);
  return 0;
}

export function password(invocation: Invocation): Promise<number> {
  const { options, environment, output } = invocation;
  const old = { file: options.text('password-file'), fileVariable: 'HOLDFAST_PASSWORD_FILE', variable: 'HOLDFAST_PASSWORD' };
  const fresh = {
    file: options.text('new-password-file'),
    fileVariable: 'HOLDFAST_NEW_PASSWORD_FILE',
    variable: 'HOLDFAST_NEW_PASSWORD',
  };
  return withService(invocation, async ({ client }) => {
    const before = await readPassphrase({ ...old, prompt: 'Password', isNew: false }, environment, output);
    const after = await readPassphrase({ ...fresh, prompt: 'New password', isNew: true }, environment, output);
    const body = { password: Buffer.from(before).toString(), newPassword: Buffer.from(after).toString() };
    await client.call('changeMyPassword', { body });
    output.line('The password is changed');
    return 0;
  });
}

export function logout(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client }) => {
    await client.call('logout', {});
    rmSync(tokenFileOf(invocation.environment), { force: true });
    invocation.output.line('Logged out');
    return 0;
  });
}

export function whoami(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client }) => {
    const { body } = await client.call('me', {});
    const { tenants, grants, ...rest } = body;
    const nameOf = (id: string | undefined): string =>
      id === undefined ? 'provider' : (tenants.find((one) => one.id === id)?.name ?? id);
    const roles = grants.map(({ role, tenantId }) => `${role} (${nameOf(tenantId)})`).join(', ');
    if (invocation.output.isJson) invocation.output.record('principal', body);
    else showOne(invocation.output, 'principal', { ...rest, roles });
    return 0;
  });
}
