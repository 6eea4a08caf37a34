// The certificate that a tenant's key was destroyed: shown to people, and verified without the service.

import { readFileSync } from 'node:fs';
import { EXIT, Fault } from '../base/faults.ts';
import { formatBytes } from '../base/units.ts';
import type { ErasureCertificate } from '../client/generated.ts';
import { pathOfArgument } from './arguments.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { formatTime } from './table.ts';
import type { Invocation } from './verb.ts';

export async function certificateVerify({ args, options, output }: Invocation): Promise<number> {
  const [{ verifyCertificate }, { publicKeyIn }] = await Promise.all([
    import('../trust/erasure-certificate.ts'),
    import('./public-key.ts'),
  ]);
  const file = Buffer.from(pathOfArgument(args[0]!), 'latin1').toString('utf8');
  const keys = options.texts('key').map(publicKeyIn);
  const verdict = verifyCertificate(readText(file), keys);
  if (verdict.kind === 'refused') throw new Fault('CERTIFICATE_REFUSED', `${file} is refused: ${verdict.why}`);
  const { kind, certificate } = verdict;
  showCertificate(output, certificate);
  output.line(
    kind === 'verified'
      ? `Verified: signed with the key ${certificate.key}`
      : `NOT verified: name the public key ${certificate.key} with --key; until then nobody vouches for a word of this`,
  );
  output.summary('certificate verify', { outcome: kind, tenant: certificate.tenant.id, key: certificate.key, at: certificate.at });
  return kind === 'verified' ? 0 : EXIT.warnings;
}

export function showCertificate(output: Output, certificate: ErasureCertificate): void {
  const { tenant, repository, order, destroyed, remains, at } = certificate;
  const when = (instant: string | undefined): string => (instant === undefined ? '-' : formatTime(instant));
  output.line(`The key of the tenant ${tenant.name} (${tenant.id}, "${tenant.label}") was destroyed; certified ${when(at)}`);
  output.line(`  repository    ${repository.id ?? '-'} at ${repository.location}`);
  output.line(`  asked for     ${when(order.requestedAt)} by ${order.requestedBy}: ${order.reason}`);
  output.line(`  approved      ${when(order.approvedAt)} by ${order.approvedBy} (${order.approval})`);
  output.line(`  handed over   ${order.handedOver}`);
  output.line(`  keys          ${when(destroyed.keysAt)}: the passphrase and ${destroyed.keys.length} key objects`);
  output.line(`  content       ${when(destroyed.contentAt)}: ${destroyed.objects} objects, ${formatBytes(destroyed.bytes)}`);
  output.line(`  backups       ${when(destroyed.backupsAt)}: ${destroyed.olderBackups} that held the passphrase`);
  output.line('What is still held elsewhere:');
  for (const { what, where, means } of remains) output.line(`  ${what}: ${where}. ${means}`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The file ${file} cannot be read: ${(error as Error).message}`);
  }
}
