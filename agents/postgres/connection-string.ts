// Where a server is: "postgresql://user:secret@host:port/database?sslmode=require", or words "host=/run/postgresql port=5432 user=backup".

import { Fault } from '../../src/base/faults.ts';

export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-full';

export type ServerAddress = {
  /** A name, or an absolute path: the directory of a socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: TlsMode;
};

const TLS_MODES: Readonly<Record<string, TlsMode>> = {
  disable: 'disable',
  allow: 'prefer',
  prefer: 'prefer',
  require: 'require',
  'verify-ca': 'verify-full',
  'verify-full': 'verify-full',
};
const WORD = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S*))/y;
const KNOWN = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'application_name',
  'connect_timeout',
  'target_session_attrs',
];

/** `defaults`: the PG* variables of the environment, if they are to count. USAGE when it cannot be read. */
export function parseServerAddress(
  text: string,
  defaults: Readonly<Record<string, string | undefined>>,
  person: string,
): ServerAddress {
  const words = /^postgres(?:ql)?:\/\//.test(text) ? wordsOfUrl(text) : wordsOfText(text);
  const stranger = [...words.keys()].find((name) => !KNOWN.includes(name));
  if (stranger !== undefined) throw bad(`"${stranger}" is not known`);
  const word = (name: string, variable: string): string | undefined => words.get(name) ?? (defaults[variable] || undefined);
  const user = word('user', 'PGUSER') ?? person;
  const port = Number(word('port', 'PGPORT') ?? 5432);
  const tls = TLS_MODES[word('sslmode', 'PGSSLMODE') ?? 'prefer'];
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw bad('the port is none');
  if (tls === undefined) throw bad(`sslmode is one of ${Object.keys(TLS_MODES).join(', ')}`);
  return {
    host: word('host', 'PGHOST') ?? '/var/run/postgresql',
    port,
    user,
    password: word('password', 'PGPASSWORD'),
    database: word('dbname', 'PGDATABASE') ?? 'postgres',
    tls,
  };
}

/** For messages: without the password. */
export function describeServer({ host, port, user }: ServerAddress): string {
  return host.startsWith('/') ? `${user}@${host} port ${port}` : `${user}@${host}:${port}`;
}

function wordsOfUrl(text: string): Map<string, string> {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw bad('it is no URL');
  }
  const words = new Map<string, string>();
  const put = (name: string, value: string): void => void (value !== '' && words.set(name, decodeURIComponent(value)));
  put('host', url.hostname.replace(/^\[(.*)\]$/, '$1'));
  put('port', url.port);
  put('user', url.username);
  put('password', url.password);
  put('dbname', url.pathname.slice(1));
  for (const [name, value] of url.searchParams) words.set(name, value);
  return words;
}

function wordsOfText(text: string): Map<string, string> {
  const words = new Map<string, string>();
  for (let at = 0; text.slice(at).trim() !== ''; at = WORD.lastIndex) {
    WORD.lastIndex = at;
    const match = WORD.exec(text);
    if (match === null) throw bad('it is neither a URL nor words like "host=... user=..."');
    words.set(match[1]!, match[2]?.replace(/\\(.)/g, '$1') ?? match[3]!);
  }
  return words;
}

/** Without the text: it may hold a password. */
function bad(why: string): Fault {
  return new Fault('USAGE', `The connection string cannot be read: ${why}`);
}
