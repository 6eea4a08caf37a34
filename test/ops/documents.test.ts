// What ops/ tells people to type exists: verbs with these options and arguments, files that are linked, settings that are read.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseArguments } from '../../src/cli/parse.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { parseChannels } from '../../src/notify/channel-settings.ts';
import { CHECKOUT, readSourceFiles } from '../architecture/source-files.ts';

const OPS = join(CHECKOUT, 'ops');
const documents = ['', 'runbooks']
  .flatMap((folder) => readdirSync(join(OPS, folder)).map((name) => join('ops', folder, name)))
  .filter((path) => path.endsWith('.md') && !path.endsWith('faults.md'));
const texts = documents.map((path) => [path, readFileSync(join(CHECKOUT, path), 'utf8')] as const);
const units = ['holdfast.service', 'holdfast-agent.service', 'holdfast-site.service'].map(
  (name) => [name, readFileSync(join(OPS, 'systemd', name), 'utf8')] as const,
);

/** Commands in code, inline or in blocks, as words. */
function commandsIn(text: string): string[][] {
  const code = [
    ...text.matchAll(/```sh(?: run)?\n([\s\S]*?)```/g),
    ...text.replace(/```[\s\S]*?```/g, '').matchAll(/`([^`\n]+)`/g),
  ].map(([, body]) => body!);
  return code
    .flatMap((body) => body.split('\n'))
    .map(
      (line) =>
        /^(?:\S*\/)?holdfast ([a-z].*)$/.exec(
          line
            .replace(/\s#.*$/, '')
            .replace(/\s(?:\||\|\||>|&&) .*$/, '')
            .trim(),
        )?.[1],
    )
    .filter((rest) => rest !== undefined)
    .map((rest) => (rest.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"|"$/g, '')));
}

describe('the documents of ops', () => {
  it('are these', () => {
    expect(documents).toEqual(
      expect.arrayContaining(['ops/install.md', 'ops/upgrade.md', 'ops/runbooks/alerts.md', 'ops/runbooks/lost-service.md']),
    );
  });

  it.each(texts)('%s tells only commands that exist, with options that they have', (_path, text) => {
    const commands = commandsIn(text);
    expect(commands.length).toBeGreaterThan(1);
    for (const words of commands) {
      // A verb that is only mentioned.
      if (VERBS.some(({ name }) => name === words.join(' '))) continue;
      expect(() => parseArguments(words, VERBS), words.join(' ')).not.toThrow();
    }
  });

  it.each(texts)('%s links only to what is there', (path, text) => {
    for (const [, target] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g))
      expect(existsSync(join(CHECKOUT, dirname(path), target!)), target).toBe(true);
  });

  it('name only settings that the program reads', () => {
    const sources = `${readSourceFiles('src', 'agents')
      .map(({ text }) => text)
      .join('\n')}\n${readFileSync(join(CHECKOUT, 'bin/holdfast'), 'utf8')}`;
    const others = ['compose.yaml', 'compose.env.example', 'Containerfile'].map((name) => readFileSync(join(OPS, name), 'utf8'));
    const named = [...texts.map(([, text]) => text), ...units.map(([, text]) => text), ...others].flatMap(
      (text) => text.match(/\bHOLDFAST_[A-Z_]+/g) ?? [],
    );
    expect(named.length).toBeGreaterThan(10);
    expect([...new Set(named)].filter((name) => !sources.includes(name))).toEqual([]);
  });
});

describe('the example of channels', () => {
  it('is what the service accepts', () => {
    const { channels } = parseChannels(parse(readFileSync(join(OPS, 'channels.example.yaml'), 'utf8')));
    expect(channels.map(({ kind }) => kind).sort()).toEqual(['dingtalk', 'mail', 'syslog', 'webhook', 'wecom']);
  });
});
