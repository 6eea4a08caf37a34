// "holdfast help [verb]"

import { nearest } from '../base/nearest.ts';
import { overview, verbHelp, verbList } from './help.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';

export async function help({ args, output, verbs: all }: Invocation): Promise<number> {
  if (args.length === 0) {
    output.line(overview(all));
    output.record('help', { text: overview(all) });
    return 0;
  }
  const name = args.join(' ');
  const verbs = all.filter((verb) => verb.name === name || verb.name.startsWith(`${name} `));
  if (verbs.length === 0) {
    const meant = nearest(
      name,
      all.map((verb) => verb.name),
    );
    throw usage(`There is no verb "${name}"`, meant === undefined ? undefined : `Did you mean "holdfast help ${meant}"?`);
  }
  output.line(verbs.length === 1 ? verbHelp(verbs[0]!) : verbList(verbs));
  output.record('help', { text: verbs.length === 1 ? verbHelp(verbs[0]!) : verbList(verbs) });
  return 0;
}
