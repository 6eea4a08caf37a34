// Shell completion, made from the table of verbs.

import type { Option } from './option.ts';
import { optionsOf } from './parse.ts';
import type { Invocation, Verb } from './verb.ts';

export async function completion({ args, output, verbs }: Invocation): Promise<number> {
  const scripts: Readonly<Record<string, (verbs: readonly Verb[]) => string>> = {
    bash: bashScript,
    zsh: zshScript,
    fish: fishScript,
  };
  output.line(scripts[args[0]!]!(verbs));
  return 0;
}

const longNames = (verb: Verb): string =>
  optionsOf(verb)
    .map(({ name }) => `--${name}`)
    .join(' ');
const isPath = ({ kind }: Option): boolean => kind === 'file' || kind === 'directory';
const argumentWords = (verb: Verb, verbs: readonly Verb[]): readonly string[] =>
  verb.args.flatMap(({ kind, choices = [] }) => (kind === 'verb' ? firstWords(verbs) : choices));
const takesPath = (verb: Verb): boolean => verb.args.some(({ kind }) => kind === 'path');
const takesSnapshot = (verb: Verb): boolean => verb.args.some(({ kind }) => kind === 'snapshot');

function firstWords(verbs: readonly Verb[]): string[] {
  return [...new Set(verbs.map(({ name }) => name.split(' ')[0]!))];
}

function secondWords(verbs: readonly Verb[], first: string): string[] {
  return verbs.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name.split(' ')[1]!);
}

function groups(verbs: readonly Verb[]): string[] {
  return firstWords(verbs).filter((word) => secondWords(verbs, word).length > 0);
}

/** Options after which a word is a value, also before the verb. Of those with one name one that is a path stands for all. */
function withValue(verbs: readonly Verb[]): Option[] {
  const all = verbs.flatMap(optionsOf).filter(({ kind }) => kind !== 'flag');
  const rank = (option: Option): number => (isPath(option) ? 2 : option.kind === 'choice' ? 0 : 1);
  return [...new Map(all.sort((a, b) => rank(a) - rank(b)).map((option) => [option.name, option])).values()];
}

function spellings({ name, short }: Option): string[] {
  return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
}

function bashScript(verbs: readonly Verb[]): string {
  const cases = verbs.map((verb) => {
    const words = [...argumentWords(verb, verbs), ...(takesSnapshot(verb) ? ['latest'] : [])].join(' ');
    return `    '${verb.name}') options='${longNames(verb)}'; words='${words}'; paths=${takesPath(verb) ? 1 : 0} ;;`;
  });
  const valued = withValue(verbs);
  const paths = valued.filter(isPath).flatMap(spellings);
  const choices = verbs.flatMap((verb) =>
    optionsOf(verb).flatMap((option) =>
      option.kind === 'choice' ? [`    '${verb.name} --${option.name}') words='${(option.choices ?? []).join(' ')}' ;;`] : [],
    ),
  );
  const values = valued.filter((option) => !isPath(option) && option.kind !== 'choice').flatMap(spellings);
  return `# holdfast completion for bash: source <(holdfast completion bash)
_holdfast() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb='' word last='' options='' words='' paths=0
  case "$before" in
    ${paths.join('|')}) mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames; return ;;
    ${values.join('|')}) COMPREPLY=(); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$last" in ${valued.flatMap(spellings).join('|')}) last=''; continue ;; esac
    last=$word
    case "$verb $word" in
      *' -'*) ;;
      ${groups(verbs)
        .flatMap((group) => secondWords(verbs, group).map((second) => `'${group} ${second}'`))
        .join('|')}) verb="$verb $word"; break ;;
      ' '*) verb=$word ;;
    esac
  done
  case "$verb" in
    '') words='${firstWords(verbs).join(' ')}'; options='--version --help' ;;
${groups(verbs)
  .map((group) => `    '${group}') words='${secondWords(verbs, group).join(' ')}' ;;`)
  .join('\n')}
${cases.join('\n')}
  esac
  case "$verb $before" in
${choices.join('\n')}
    *) before='' ;;
  esac
  if [[ -n $before ]]; then mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"); return; fi
  if [[ $current == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current"); return; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ $paths == 1 ]]; then mapfile -t -O \${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames; fi
}
complete -F _holdfast holdfast`;
}

function zshScript(verbs: readonly Verb[]): string {
  const quote = (text: string): string => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, '\\$&');
  const spec = (option: Option): string => {
    const [long, short] = option.kind === 'flag' ? ['', ''] : ['=', '+'];
    const names = option.short === undefined ? `--${option.name}${long}` : `{-${option.short}${short},--${option.name}${long}}`;
    const value =
      option.kind === 'flag'
        ? ''
        : `:${option.name}:${isPath(option) ? '_files' : option.choices === undefined ? '' : `(${option.choices.join(' ')})`}`;
    return `${option.many === true ? "'*'" : ''}${names}'[${quote(option.help)}]${value}'`;
  };
  const rest = (verb: Verb): string => {
    const words = [...argumentWords(verb, verbs), ...(takesSnapshot(verb) ? ['latest'] : [])];
    if (takesPath(verb)) return "'*:path:_files'";
    // Also what cannot be completed is named: after a word that it does not expect zsh offers no more options.
    return verb.args.length > 0
      ? `'*:${quote(verb.args[0]!.name.toLowerCase())}:${words.length > 0 ? `(${words.join(' ')})` : ' '}'`
      : '';
  };
  const describe = (list: readonly (readonly [string, string])[]): string =>
    list.map(([word, summary]) => `'${word}:${quote(summary)}'`).join(' ');
  const summaryOf = (word: string): string =>
    verbs.find(({ name }) => name === word)?.summary ?? secondWords(verbs, word).join(', ');
  const cases = verbs.map(
    (verb) =>
      `    '${verb.name}') _arguments -S ${[...optionsOf(verb).map(spec), rest(verb)].filter((part) => part !== '').join(' ')} ;;`,
  );
  return `#compdef holdfast
# holdfast completion for zsh: source <(holdfast completion zsh), or save it as _holdfast in a directory of $fpath
_holdfast() {
  while (( CURRENT > 2 )) && [[ $words[2] == -* ]]; do
    case $words[2] in
      ${withValue(verbs).filter(isPath).flatMap(spellings).join('|')}) (( CURRENT > 3 )) || { _files; return } ;|
      ${withValue(verbs).flatMap(spellings).join('|')}) (( CURRENT > 3 )) || return; shift words; (( CURRENT-- )) ;;
    esac
    shift words; (( CURRENT-- ))
  done
  local verb=$words[2]
  if (( CURRENT == 2 )); then
    local -a verbs=(${describe(firstWords(verbs).map((word) => [word, summaryOf(word)] as const))})
    _describe verb verbs
    return
  fi
  shift words; (( CURRENT-- ))
  case $verb in
${groups(verbs)
  .map(
    (group) => `    '${group}')
      if (( CURRENT == 2 )); then
        local -a seconds=(${describe(secondWords(verbs, group).map((second) => [second, verbs.find(({ name }) => name === `${group} ${second}`)!.summary] as const))})
        _describe verb seconds
        return
      fi
      verb="$verb $words[2]"; shift words; (( CURRENT-- )) ;;`,
  )
  .join('\n')}
  esac
  case $verb in
${cases.join('\n')}
  esac
}
# From a directory of $fpath this text is the function, the first time that it is called.
if [[ $funcstack[1] == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi`;
}

function fishScript(verbs: readonly Verb[]): string {
  const quote = (text: string): string => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  const is = (verb: string): string => quote(`__holdfast_is "${verb}"`);
  const lines = [
    '# holdfast completion for fish: holdfast completion fish | source',
    `function __holdfast_is -d 'Whether the words so far name this verb'
  set -l words (commandline -opc)
  set -l verb
  set -l last
  for word in $words[2..]
    if contains -- "$last" ${withValue(verbs).flatMap(spellings).join(' ')}
      set last ''
      continue
    end
    set last $word
    string match -q -- '-*' $word; and continue
    set -a verb $word
    if test (count $verb) = 2; or not contains -- $word ${groups(verbs).join(' ')}
      break
    end
  end
  test "$verb" = "$argv"
end`,
    'complete -c holdfast -f',
  ];
  for (const word of firstWords(verbs)) {
    const summary = verbs.find(({ name }) => name === word)?.summary ?? secondWords(verbs, word).join(', ');
    lines.push(`complete -c holdfast -n ${is('')} -a ${word} -d ${quote(summary)}`);
  }
  for (const verb of verbs) {
    const [first, second] = verb.name.split(' ');
    const condition = is(verb.name);
    if (second !== undefined) lines.push(`complete -c holdfast -n ${is(first!)} -a ${second} -d ${quote(verb.summary)}`);
    for (const word of [...argumentWords(verb, verbs), ...(takesSnapshot(verb) ? ['latest'] : [])])
      lines.push(`complete -c holdfast -n ${condition} -a ${word}`);
    if (takesPath(verb)) lines.push(`complete -c holdfast -n ${condition} -F`);
    for (const option of optionsOf(verb)) {
      const value =
        option.kind === 'flag'
          ? ''
          : isPath(option)
            ? ' -r -F'
            : option.choices === undefined
              ? ' -x'
              : ` -x -a ${quote(option.choices.join(' '))}`;
      lines.push(
        `complete -c holdfast -n ${condition} -l ${option.name}${option.short === undefined ? '' : ` -s ${option.short}`}${value} -d ${quote(option.help)}`,
      );
    }
  }
  return lines.join('\n');
}
