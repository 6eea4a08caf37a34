// The floors of the house: imports go down only. The table is the architecture; ARCHITECTURE.md tells why it is so.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CHECKOUT, readSourceFiles, type SourceFile, withoutComments } from './source-files.ts';

/** A room may import itself and the rooms on its line. Lowest floor first: a room stands below all that may import it. Where the document
 *  says "all above" this says which of them are needed: a new one is a decision, too. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  model: ['base'],
  codec: ['base'],
  format: ['base', 'model'],
  policy: ['base', 'model'],
  plan: ['base', 'model', 'codec', 'policy'],
  evidence: ['base', 'model', 'codec', 'format', 'policy', 'plan'],
  files: ['base', 'model'],
  store: ['base'],
  index: ['base', 'format'],
  worker: ['base', 'model', 'codec', 'format', 'files', 'index'],
  repository: ['base', 'model', 'codec', 'format', 'store', 'index', 'worker', 'policy'],
  engine: ['base', 'model', 'codec', 'format', 'policy', 'files', 'store', 'index', 'worker', 'repository'],
  replica: ['base', 'model', 'format', 'codec', 'store', 'repository', 'engine'],
  export: ['base', 'engine'],
  protocol: ['base', 'model'],
  registry: ['base'],
  dr: ['base', 'model', 'registry'],
  orchestrator: ['base', 'model', 'policy', 'plan', 'evidence', 'registry', 'dr'],
  remote: ['base', 'model', 'codec', 'format', 'store', 'index', 'worker', 'repository', 'engine', 'protocol'],
  agents: [
    'base',
    'model',
    'codec',
    'files',
    'store',
    'policy',
    'plan',
    'evidence',
    'repository',
    'engine',
    'replica',
    'protocol',
    'registry',
    'dr',
    'remote',
  ],
  catalog: ['base', 'model'],
  tenants: ['base', 'model', 'store', 'repository', 'catalog'],
  trust: ['base', 'model', 'codec', 'catalog'],
  notify: ['base', 'model', 'catalog'],
  recovery: ['base', 'model', 'store', 'repository', 'engine', 'catalog', 'trust'],
  gateway: [
    'base',
    'model',
    'codec',
    'format',
    'store',
    'index',
    'worker',
    'repository',
    'engine',
    'evidence',
    'protocol',
    'catalog',
    'tenants',
    'trust',
  ],
  scheduler: [
    'base',
    'model',
    'format',
    'policy',
    'plan',
    'evidence',
    'repository',
    'engine',
    'catalog',
    'tenants',
    'trust',
    'notify',
    'recovery',
    'gateway',
  ],
  api: ['base', 'model', 'policy', 'plan', 'evidence', 'catalog', 'tenants', 'trust', 'scheduler'],
  client: ['base'],
  service: [
    'base',
    'model',
    'policy',
    'store',
    'repository',
    'protocol',
    'agents',
    'catalog',
    'tenants',
    'trust',
    'recovery',
    'notify',
    'gateway',
    'scheduler',
    'api',
  ],
  cli: [
    'base',
    'model',
    'policy',
    'plan',
    'evidence',
    'registry',
    'dr',
    'orchestrator',
    'files',
    'store',
    'repository',
    'engine',
    'replica',
    'export',
    'dr',
    'agents',
    'catalog',
    'trust',
    'recovery',
    'client',
    'service',
  ],
  main: ['base', 'cli'],
};

const LINES_MAX = 450;
/** Files that may be longer, each with the reason. */
const LONGER: Readonly<Record<string, string>> = {};

const files = readSourceFiles('src', 'agents');

describe('the architecture', () => {
  it('is looked at whole: there are files in every room that is built', () => {
    expect(files.length).toBeGreaterThan(150);
    expect(files.filter(({ imports }) => imports.length > 0).length).toBeGreaterThan(100);
  });

  it('has no room that is missing from the table', () => {
    expect([...new Set(files.map(({ path }) => roomOf(path)))].filter((room) => ROOMS[room] === undefined)).toEqual([]);
  });

  it('is a table whose lines name only rooms above them: imports go down', () => {
    const names = Object.keys(ROOMS);
    for (const [room, allowed] of Object.entries(ROOMS))
      for (const below of allowed) expect(names.indexOf(below), `${room} <- ${below}`).toBeLessThan(names.indexOf(room));
  });

  it('is the one that ARCHITECTURE.md shows, or a stricter one', () => {
    const shown = roomsOfArchitecture();
    expect([...shown.keys()].sort()).toEqual(
      Object.keys(ROOMS)
        .filter((room) => room !== 'main' && room !== 'service')
        .sort(),
    );
    const notShown = [...shown].flatMap(([room, below]) =>
      ROOMS[room]!.filter((one) => !below.includes(one)).map((one) => `${room} <- ${one}`),
    );
    expect(notShown).toEqual([]);
  });

  it('is kept by every import', () => {
    expect(files.flatMap(importsUpwards)).toEqual([]);
  });

  it('keeps drills away from whatever could change production: not even through another file', () => {
    const forbidden = /^(?:src\/(?:dr|registry|orchestrator)|agents\/(?:gate|site|standby|host))\/|^src\/plan\/route-config\.ts$/;
    const importsOf = new Map(files.map(({ path, imports }) => [path, imports]));
    const reached = new Set(files.map(({ path }) => path).filter((path) => path.startsWith('agents/drill/')));
    expect(reached.size).toBeGreaterThan(10);
    for (const path of reached) for (const to of importsOf.get(path) ?? []) reached.add(to);
    expect([...reached].filter((path) => forbidden.test(path))).toEqual([]);
  });

  it('has no file that imports one outside of src and agents', () => {
    // The version is told by package.json.
    const isOutside = (path: string): boolean => !/^(?:src|agents)\//.test(path) && path !== 'package.json';
    expect(files.flatMap(({ path, imports }) => imports.filter(isOutside).map((to) => `${path} -> ${to}`))).toEqual([]);
  });

  it('has no cycle of files, types included', () => {
    expect(importsInCycles(files)).toEqual([]);
  });

  it('keeps threads to the worker room and the pools that drive them', () => {
    const usesThreads = files.filter(({ specifiers }) => specifiers.includes('node:worker_threads'));
    expect(usesThreads.map(({ path }) => path).filter((path) => roomOf(path) !== 'worker')).toEqual([]);
  });
});

describe('every file', () => {
  it('names what it imports with its ending', () => {
    const isBare = (specifier: string): boolean => specifier.startsWith('.') && !/\.(?:ts|wasm|json)$/.test(specifier);
    expect(files.flatMap(({ path, specifiers }) => specifiers.filter(isBare).map((to) => `${path}: ${to}`))).toEqual([]);
  });

  it('is one idea under its own name: no barrels, no drawers for everything', () => {
    const isDrawer = /\/index\.ts$|(?:^|[-/])(?:utils?|helpers?|misc|stuff)(?:[-/.]|$)/;
    const names = files.map(({ path }) => path);
    expect(names.filter((path) => isDrawer.test(path))).toEqual([]);
    expect(
      names.filter((path) => !/^[a-z0-9-]+(?:\/[a-z0-9-]+)*\.ts$/.test(path)),
      'kebab-case',
    ).toEqual([]);
    expect(files.filter(isBarrel).map(({ path }) => path)).toEqual([]);
  });

  it('exports by name only', () => {
    expect(files.filter(({ text }) => /^export default\b/m.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it(`has at most ${LINES_MAX} lines`, () => {
    const long = files.filter(({ path, lines }) => lines > LINES_MAX && LONGER[path] === undefined);
    expect(long.map(({ path, lines }) => `${path}: ${lines}`)).toEqual([]);
    for (const path of Object.keys(LONGER))
      expect(files.find((file) => file.path === path)?.lines, path).toBeGreaterThan(LINES_MAX);
  });

  it('begins with what it is, unless it is too small to need that', () => {
    const silent = files.filter(({ text, lines }) => lines > 100 && !/^(?:\/\/|\/\*\*)/.test(text));
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  it('leaves the environment to src/main.ts', () => {
    const environment =
      /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\[|\{[^{}]*\benv\b[^{}]*\}\s*(?:=\s*process\b|from\s+'node:process')/;
    expect(files.filter(({ text }) => environment.test(withoutComments(text))).map(({ path }) => path)).toEqual(['src/main.ts']);
  });

  it('does nothing when it is imported', () => {
    // Except the two that are programs: the process entry, and the kernel's source, which is compiled by another compiler.
    const loaded = files.map(({ path }) => path).filter((path) => path !== 'src/main.ts' && !path.startsWith('src/codec/kernel/'));
    const script = `for (const path of ${JSON.stringify(loaded)}) await import(${JSON.stringify(`${CHECKOUT}/`)} + path);`;
    const child = spawnSync(join(CHECKOUT, 'bin/node'), ['--input-type=module', '--eval', script], { encoding: 'utf8', cwd: '/' });
    expect({ status: child.status, stdout: child.stdout, stderr: child.stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});

/** "src/base/faults.ts" -> "base"; "agents/files/source.ts" -> "agents"; "src/main.ts" -> "main". */
function roomOf(path: string): string {
  const [top, room] = path.split('/');
  return top === 'src' ? room!.replace(/\.ts$/, '') : top!;
}

/** The lines "room/ <- rooms" of the document, where "all above" and "the above but x" mean the lines before. */
function roomsOfArchitecture(): ReadonlyMap<string, readonly string[]> {
  const rooms = new Map<string, readonly string[]>();
  const text = readFileSync(join(CHECKOUT, 'ARCHITECTURE.md'), 'utf8');
  for (const [, room, words] of text.matchAll(/^\s*([a-z]+)\/\s+<- (.+?)\s{2,}/gm)) {
    const above = [...rooms.keys()];
    const but = /^the above but (\w+)$/.exec(words!)?.[1];
    const below = words === 'nothing' ? [] : words!.replace('all above', above.join(' ')).split(/[ ,]+/);
    rooms.set(room!, but === undefined ? below : above.filter((one) => one !== but));
  }
  return rooms;
}

function importsUpwards({ path, imports }: SourceFile): string[] {
  const room = roomOf(path);
  const isAllowed = (to: string): boolean => roomOf(to) === room || ROOMS[room]!.includes(roomOf(to));
  return imports.filter((to) => /^(?:src|agents)\//.test(to) && !isAllowed(to)).map((to) => `${path} -> ${to}`);
}

/** Every statement hands on what another file exports. */
function isBarrel({ text }: SourceFile): boolean {
  const exported = [...withoutComments(text).matchAll(/^export\b[^;]*?(?:;|\{|=)/gm)].length;
  const handedOn = [...withoutComments(text).matchAll(/^export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;]*\bfrom\s+'/gm)].length;
  return /^export\s+\*/m.test(text) || (handedOn > 0 && handedOn >= exported);
}

/** Every import by which a file reaches itself. */
function importsInCycles(all: readonly SourceFile[]): string[] {
  const importsOf = new Map(all.map(({ path, imports }) => [path, imports]));
  const reaches = (from: string, to: string): boolean => {
    const seen = new Set<string>();
    const waiting = [from];
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      if (path === to) return true;
      if (seen.has(path)) continue;
      seen.add(path);
      waiting.push(...(importsOf.get(path) ?? []));
    }
    return false;
  };
  return all.flatMap(({ path, imports }) => imports.filter((to) => reaches(to, path)).map((to) => `${path} -> ${to}`));
}
