// The options of an agent that runs, of a host or of a service, as the agent takes them.

import { resolve } from 'node:path';
import type { ToldAgent } from '../../agents/host/open-agent.ts';
import { agentVariables } from './agent-variables.ts';
import type { Invocation } from './verb.ts';

export function agentOptionsOf({ options, environment }: Invocation): ToldAgent {
  const places = (name: string): readonly string[] => options.texts(name).map((place) => resolve(place));
  return {
    allowRestore: places('allow-restore'),
    allowHooks: places('allow-hooks'),
    serverPrograms: places('bin-dir'),
    siteConfig: places('site-config').at(-1),
    drillDirectory: places('drill-dir').at(-1),
    variables: agentVariables(environment.variables),
  };
}
