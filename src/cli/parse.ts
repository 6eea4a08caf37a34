// From arguments to a verb, its options and its arguments, or a fault that says what is wrong and names what was probably meant.

import { nearest } from '../base/nearest.ts';
import { COMMON } from './common-options.ts';
import { faultOfValue, type Option, OptionValues, usage } from './option.ts';
import type { Verb } from './verb.ts';

export type Parsed = { readonly verb: Verb; readonly args: readonly string[]; readonly options: OptionValues };

/** Common options may stand before the verb. Throws USAGE. */
export function parseArguments(argv: readonly string[], verbs: readonly Verb[]): Parsed {
  const words: string[] = [];
  const values = new Map<string, string[]>();
  let verb: Verb | undefined;
  let rest = [...argv];
  let optionsEnded = false;
  while (rest.length > 0) {
    const token = rest.shift()!;
    if (!optionsEnded && token === '--') optionsEnded = true;
    else if (!optionsEnded && token.startsWith('-') && token !== '-') rest = takeOption(token, rest, verb, values, verbs);
    else {
      words.push(token);
      if (verb === undefined) {
        verb = findVerb(words, verbs);
        if (verb !== undefined) words.length = 0;
      }
    }
  }
  // "key --help" is "help key".
  if (verb === undefined && values.delete('help')) verb = verbs.find(({ name }) => name === 'help');
  if (verb === undefined) throw noVerb(words, verbs);
  const options = new OptionValues(optionsOf(verb), values);
  for (const name of values.keys())
    if (!optionsOf(verb).some((option) => option.name === name)) throw unknownOption(`--${name}`, verb);
  if (!options.flag('help')) checkArguments(verb, words);
  return { verb, args: words, options };
}

export function optionsOf(verb: Verb): readonly Option[] {
  return [...verb.options, ...COMMON];
}

/** "key" alone is not a verb yet; "key add" is. */
function findVerb(words: readonly string[], verbs: readonly Verb[]): Verb | undefined {
  const name = words.join(' ');
  const verb = verbs.find((one) => one.name === name);
  if (verb === undefined && !verbs.some((one) => one.name.startsWith(`${name} `))) throw noVerb(words, verbs);
  return verb;
}

function noVerb(words: readonly string[], verbs: readonly Verb[]): Error {
  if (words.length === 0) return usage('No verb was given');
  const name = words.join(' ');
  const below = verbs.filter((verb) => verb.name.startsWith(`${name} `)).map((verb) => verb.name);
  if (below.length > 0) return usage(`"${name}" needs one more word`, `It is one of: ${below.join(', ')}.`);
  const meant = nearest(
    name,
    verbs.map((verb) => verb.name),
  );
  return usage(
    `There is no verb "${name}"`,
    meant === undefined ? undefined : `Did you mean "holdfast ${meant}"? See "holdfast help".`,
  );
}

/** Answers what remains. */
function takeOption(
  token: string,
  rest: readonly string[],
  verb: Verb | undefined,
  values: Map<string, string[]>,
  verbs: readonly Verb[],
): string[] {
  // Before the verb is known every verb's options are; whether they are its own is checked at the end.
  const known = verb === undefined ? [...COMMON, ...verbs.flatMap((one) => one.options)] : optionsOf(verb);
  const isLong = token.startsWith('--');
  const equals = isLong ? token.indexOf('=') : -1;
  const name = isLong ? token.slice(2, equals === -1 ? undefined : equals) : token.slice(1, 2);
  const option = known.find((one) => (isLong ? one.name === name : one.short === name));
  if (option === undefined) throw unknownOption(isLong ? `--${name}` : `-${name}`, verb, known);
  const remaining = [...rest];
  let value: string | undefined = equals === -1 ? undefined : token.slice(equals + 1);
  if (!isLong && token.length > 2) {
    if (option.kind === 'flag') remaining.unshift(`-${token.slice(2)}`);
    else value = token.slice(2);
  }
  if (option.kind === 'flag') {
    if (value !== undefined) throw usage(`--${option.name} takes no value`);
    values.set(option.name, ['']);
    return remaining;
  }
  if (value === undefined) {
    value = remaining.shift();
    if (value === undefined) throw usage(`--${option.name} needs a value: ${option.value ?? option.kind}`);
  }
  const wanted = faultOfValue(option, value);
  if (wanted !== undefined) throw usage(`--${option.name} must be ${wanted}; "${value}" is not`);
  const before = values.get(option.name);
  if (before !== undefined && option.many !== true) throw usage(`--${option.name} was given twice`);
  values.set(option.name, [...(before ?? []), value]);
  return remaining;
}

function unknownOption(
  token: string,
  verb: Verb | undefined,
  known: readonly Option[] = verb === undefined ? COMMON : optionsOf(verb),
): Error {
  const meant = token.startsWith('--')
    ? nearest(
        token.slice(2),
        known.map((option) => option.name),
      )
    : undefined;
  const help = `See "holdfast help${verb === undefined ? '' : ` ${verb.name}`}".`;
  const of = verb === undefined ? '' : ` of "holdfast ${verb.name}"`;
  return usage(`${token} is not an option${of}`, meant === undefined ? help : `Did you mean --${meant}? ${help}`);
}

function checkArguments(verb: Verb, args: readonly string[]): void {
  const min = verb.args.reduce((sum, arg) => sum + arg.min, 0);
  const max = verb.args.reduce((sum, arg) => sum + arg.max, 0);
  const help = `See "holdfast help ${verb.name}".`;
  if (args.length < min) {
    const missing = verb.args.filter((arg) => arg.min > 0)[args.length] ?? verb.args[0]!;
    throw usage(`"holdfast ${verb.name}" needs ${missing.name}`, help);
  }
  if (args.length > max)
    throw usage(
      `"holdfast ${verb.name}" takes ${max === 0 ? 'no arguments' : `at most ${max} argument${max === 1 ? '' : 's'}`}; "${args[max]}" is one too many`,
      help,
    );
  const choices = verb.args.length === 1 ? verb.args[0]!.choices : undefined;
  const stranger = choices === undefined ? undefined : args.find((arg) => !choices.includes(arg));
  if (stranger !== undefined) throw usage(`${verb.args[0]!.name} must be one of ${choices!.join(', ')}; "${stranger}" is not`);
  const empty = args.indexOf('');
  if (empty !== -1) throw usage(`Argument ${empty + 1} of "holdfast ${verb.name}" is empty`, help);
}
