// What the service is told about the host.

import { readFileSync } from 'node:fs';
import { arch, availableParallelism, hostname, platform, release, totalmem } from 'node:os';
import type { HostFacts } from '../../src/model/agent.ts';

/** `version`: of this program. */
export function hostFacts(version: string): HostFacts {
  const bootId = bootIdOf();
  return {
    hostname: hostname().slice(0, 253),
    platform: `${platform()} ${release()} ${arch()}`.slice(0, 100),
    version,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    ...(bootId === undefined ? {} : { bootId }),
  };
}

function bootIdOf(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}
