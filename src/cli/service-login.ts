// Sessions of people.

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { isFault } from '../base/faults.ts';
import { makeHome } from '../base/make-directory.ts';
import { replaceFile } from '../base/replace-file.ts';
import { usage } from './option.ts';
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
  writeSecretFile(file, body.secret);
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

/** The secret waits beside the session until it is confirmed: not on a command line. */
export function totpEnrol(invocation: Invocation): Promise<number> {
  const { environment, output } = invocation;
  return withService(invocation, async ({ client }) => {
    const { body } = await client.call('offerTotp', {});
    writeSecretFile(totpFileOf(environment), body.secret);
    output.record('totp', body);
    output.line(`Secret for an authenticator: ${body.secret}`);
    output.line(`  ${body.uri}`);
    output.line('It counts once it is confirmed: holdfast totp confirm CODE, with the six digits that it shows.');
    return 0;
  });
}

export function totpConfirm(invocation: Invocation): Promise<number> {
  const { args, environment, output } = invocation;
  return withService(invocation, async ({ client }) => {
    const file = totpFileOf(environment);
    if (!existsSync(file)) throw usage('There is no secret to confirm', 'Run "holdfast totp enrol" first.');
    const secret = readFileSync(file, 'utf8').trim();
    await client.call('confirmTotp', { body: { secret, code: args[0]!, password: await ownPassword(invocation) } });
    rmSync(file);
    output.line('From now on a login needs --code as well');
    return 0;
  });
}

export function totpRemove(invocation: Invocation): Promise<number> {
  const { args, output } = invocation;
  return withService(invocation, async ({ client }) => {
    await client.call('removeTotp', { body: { code: args[0]!, password: await ownPassword(invocation) } });
    output.line('A login needs no code any more');
    return 0;
  });
}

async function ownPassword({ options, environment, output }: Invocation): Promise<string> {
  const source = { file: options.text('password-file'), fileVariable: 'HOLDFAST_PASSWORD_FILE', variable: 'HOLDFAST_PASSWORD' };
  return Buffer.from(await readPassphrase({ ...source, prompt: 'Password', isNew: false }, environment, output)).toString();
}

function totpFileOf(environment: Invocation['environment']): string {
  return `${tokenFileOf(environment)}.totp`;
}

function writeSecretFile(file: string, text: string): void {
  makeHome(dirname(file), 0o700);
  replaceFile(file, `${text}\n`, 0o600);
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
