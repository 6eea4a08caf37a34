import type { PlanDocument } from './plan-document.ts';

/** Programs that a plan names: of steps, smoke tests, routes and fencing. One may stand there several times. */
export function programsOf({ groups, smokeTests, routes = [], fencing }: PlanDocument): string[] {
  const steps = groups.flatMap(({ drain = [], before = [], afterwards = [] }) => [...drain, ...before, ...afterwards]);
  const commands = [
    ...[...steps, ...smokeTests].map(({ command }) => command),
    ...routes.map(({ command }) => command),
    fencing.powerOff,
    fencing.readBack,
  ];
  return commands.flatMap((command) => (command === undefined ? [] : [command[0]!]));
}
