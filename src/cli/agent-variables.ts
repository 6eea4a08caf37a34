// What of the environment goes to the programs that carry out plans: where to find programs, and how stores are reached.

import type { Environment } from './environment.ts';

const PASSED_ON = [
  'PATH',
  'HOME',
  'LANG',
  'TZ',
  'TMPDIR',
  'NODE_EXTRA_CA_CERTS',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
];

export function agentVariables(variables: Environment['variables']): Record<string, string> {
  const found = PASSED_ON.flatMap((name) => (variables[name] === undefined ? [] : [[name, variables[name]] as const]));
  return Object.fromEntries(found);
}
