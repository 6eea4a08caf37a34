// Help, made from the table of verbs.

import { COMMON } from './common-options.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';

const WIDTH = 100;

export function overview(verbs: readonly Verb[]): string {
  const words = [...new Set(verbs.map(({ name }) => name.split(' ')[0]!))];
  const width = Math.max(...words.map((word) => word.length));
  const summaryOf = (word: string): string =>
    verbs.find(({ name }) => name === word)?.summary ??
    verbs
      .filter(({ name }) => name.startsWith(`${word} `))
      .map(({ name }) => name.slice(word.length + 1))
      .join(', ');
  return [
    'holdfast: backup and recovery into a directory or an S3 bucket',
    '',
    'Usage: holdfast VERB [OPTIONS] [ARGUMENTS]',
    '',
    ...words.map((word) => `  ${word.padEnd(width)}  ${summaryOf(word)}`),
    '',
    'Start here:',
    '  export HOLDFAST_REPO=/srv/backup HOLDFAST_PASSPHRASE_FILE=/etc/holdfast/passphrase',
    '  holdfast init && holdfast backup /etc && holdfast snapshots',
    '',
    'Exit status: 0 success, 1 failed, 2 bad usage, 3 done with warnings (files skipped), 4 damage found, 130 interrupted.',
    '"holdfast help VERB" tells more and gives examples; "holdfast --version" tells the version.',
  ].join('\n');
}

/** Of a group, such as "key". */
export function verbList(verbs: readonly Verb[]): string {
  const width = Math.max(...verbs.map(({ name }) => name.length));
  return [
    ...verbs.map(({ name, summary }) => `  holdfast ${name.padEnd(width)}  ${summary}`),
    '',
    '"holdfast help VERB" tells more of each.',
  ].join('\n');
}

export function verbHelp(verb: Verb): string {
  const own = verb.options;
  const lines = [`Usage: ${usageOf(verb)}`, '', ...wrap(`${capital(verb.summary)}.`, '')];
  if (verb.details !== undefined)
    for (const paragraph of verb.details.split('\n')) lines.push(...(paragraph === '' ? [''] : wrap(paragraph, '')));
  if (own.length > 0) lines.push('', 'Options:', ...own.flatMap(optionLines));
  lines.push('', 'Options of every verb:', ...COMMON.flatMap(optionLines));
  if (verb.examples.length > 0)
    lines.push('', 'Examples:', ...verb.examples.flatMap(([command, what]) => [`  # ${what}`, `  ${command}`]));
  return lines.join('\n');
}

export function usageOf({ name, args, options }: Verb): string {
  const words = args.map((arg) => {
    const word = arg.max > 1 ? `${arg.name}...` : arg.name;
    return arg.min === 0 ? `[${word}]` : word;
  });
  return ['holdfast', name, ...(options.length > 0 ? ['[OPTIONS]'] : []), ...words].join(' ');
}

function optionLines(option: Option): string[] {
  const names = `${option.short === undefined ? '    ' : `-${option.short}, `}--${option.name}${option.kind === 'flag' ? '' : ` ${placeholderOf(option)}`}`;
  const text = `${option.help}${option.many === true ? ' (may be given several times)' : ''}`;
  const [first, ...more] = wrap(text, ' '.repeat(36));
  const left = `  ${names}`;
  return left.length < 35 ? [`${left.padEnd(36)}${first!.trimStart()}`, ...more] : [left, first!, ...more];
}

function placeholderOf(option: Option): string {
  return option.value ?? (option.choices === undefined ? option.kind.toUpperCase() : option.choices.join('|'));
}

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH && line.length > indent.length) {
      lines.push(line);
      line = indent;
    }
    line += line.length === indent.length ? word : ` ${word}`;
  }
  return [...lines, line];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
