// What the service is told about the host.

import { arch, availableParallelism, hostname, platform, release, totalmem } from 'node:os';
import { bootId } from '../../src/base/process-identity.ts';
import type { HostFacts } from '../../src/model/agent.ts';

/** `version`: of this program; `planSite`: where it carries out plans. */
export function hostFacts(version: string, planSite?: string): HostFacts {
  const boot = bootId();
  return {
    hostname: hostname().slice(0, 253),
    platform: `${platform()} ${release()} ${arch()}`.slice(0, 100),
    version,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    ...(planSite === undefined ? {} : { planSite }),
    ...(boot === 'unknown' ? {} : { bootId: boot }),
  };
}
