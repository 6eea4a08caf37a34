// Certificates of erasures beside the checkpoints of the audit: create-only, and immutable where the bucket has Object Lock.

import { canonicalJson } from '../base/canonical-json.ts';
import type { ErasureCertificate } from '../model/erasure.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { AuditKey } from '../trust/audit-key.ts';
import { CERTIFICATE_PREFIX, signCertificate, type UnsignedCertificate } from '../trust/erasure-certificate.ts';

/** Signs and stores. There is one of a tenant: the first that was stored, also when whoever stored it died before it was told of. */
export function certifier(
  store: ObjectStore,
  key: AuditKey,
): (said: UnsignedCertificate, signal: AbortSignal) => Promise<ErasureCertificate> {
  return async (said, signal) => {
    const name = `${CERTIFICATE_PREFIX}${said.tenant.id}`;
    const certificate = signCertificate(said, key);
    if ((await store.put(name, Buffer.from(canonicalJson(certificate)), { signal })) === 'created') return certificate;
    return JSON.parse(Buffer.from(await store.get(name, undefined, { signal })).toString('utf8')) as ErasureCertificate;
  };
}
