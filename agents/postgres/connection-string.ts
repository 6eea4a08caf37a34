// Where a server is: "postgresql://user:secret@host:port/database?sslmode=require", or words "host=/run/postgresql port=5432 user=backup".
// "service=NAME" stands for words that lie elsewhere (service-file.ts); what is said here counts before those, and those before variables.

import { Fault } from '../../src/base/faults.ts';

/** What a server must be, as target_session_attrs says it; "any" and "prefer-standby" ask nothing of the only one that is named. */
const SESSIONS = ['read-write', 'read-only', 'primary', 'standby'] as const;
export type WantedSession = (typeof SESSIONS)[number];

export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** Paths of PEM files. */
export type TlsFiles = {
  /** Of the authorities whose certificates count; undefined: those that Node knows. */
  readonly root: string | undefined;
  /** Of our own. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
};

export type ServerAddress = {
  /** A name, or the directory of a socket: an absolute path, or with "@" an abstract one. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: TlsMode;
  readonly tlsFiles?: TlsFiles;
  /** Absent: any. */
  readonly session?: WantedSession;
};

const TLS_MODES: Readonly<Record<string, TlsMode>> = {
  disable: 'disable',
  allow: 'prefer',
  prefer: 'prefer',
  require: 'require',
  'verify-ca': 'verify-ca',
  'verify-full': 'verify-full',
};
/** A URL that names a user must have a host; PostgreSQL's may say where else: "postgresql://me@/shop?host=/run/postgresql". */
const NO_HOST = 'none.invalid';
const WORD = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\\\s]|\\.)*))/y;
const KNOWN = [
  'service',
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'application_name',
  'connect_timeout',
  'target_session_attrs',
];

/** `defaults`: the PG* variables of the environment, if they are to count. `services`: the words of one; undefined: there are none where this is
 *  read. USAGE when it cannot be read. */
export function parseServerAddress(
  text: string,
  defaults: Readonly<Record<string, string | undefined>>,
  person: string,
  services?: (name: string) => ReadonlyMap<string, string>,
): ServerAddress {
  const words = /^postgres(?:ql)?:\/\//.test(text) ? wordsOfUrl(text) : wordsOfText(text);
  const service = words.get('service') ?? (defaults.PGSERVICE || undefined);
  if (service !== undefined) {
    if (services === undefined) throw bad('a service counts on the command line only: name the server itself');
    for (const [name, value] of services(service)) if (!words.has(name)) words.set(name, value);
  }
  const stranger = [...words.keys()].find((name) => !KNOWN.includes(name));
  if (stranger !== undefined) throw bad(`"${stranger}" is not known (known are ${KNOWN.join(', ')})`);
  const word = (name: string, variable: string): string | undefined => words.get(name) ?? (defaults[variable] || undefined);
  const user = word('user', 'PGUSER') ?? person;
  const port = Number(word('port', 'PGPORT') ?? 5432);
  const tls = TLS_MODES[word('sslmode', 'PGSSLMODE') ?? 'prefer'];
  const host = word('host', 'PGHOST') ?? '/var/run/postgresql';
  const root = word('sslrootcert', 'PGSSLROOTCERT');
  const [certificate, key] = [word('sslcert', 'PGSSLCERT'), word('sslkey', 'PGSSLKEY')];
  const session = word('target_session_attrs', 'PGTARGETSESSIONATTRS') ?? 'any';
  const wanted = SESSIONS.find((one) => one === session);
  if (wanted === undefined && session !== 'any' && session !== 'prefer-standby')
    throw bad(`target_session_attrs is one of any, ${SESSIONS.join(', ')}, prefer-standby`);
  if (host.includes(',')) throw bad('it names several hosts: name the one that is the primary');
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw bad('the port is none');
  if (tls === undefined) throw bad(`sslmode is one of ${Object.keys(TLS_MODES).join(', ')}`);
  if ((certificate === undefined) !== (key === undefined)) throw bad('sslcert and sslkey belong together');
  return {
    host,
    port,
    user,
    password: word('password', 'PGPASSWORD'),
    database: word('dbname', 'PGDATABASE') ?? 'postgres',
    // As PostgreSQL's own clients: who names authorities wants them to count.
    tls: tls === 'require' && root !== undefined ? 'verify-ca' : tls,
    ...(root === undefined && certificate === undefined ? {} : { tlsFiles: { root, certificate, key } }),
    ...(wanted === undefined ? {} : { session: wanted }),
  };
}

export function isSocket({ host }: Pick<ServerAddress, 'host'>): boolean {
  return host.startsWith('/') || host.startsWith('@');
}

/** For messages: without the password. */
export function describeServer(address: ServerAddress): string {
  const { host, port, user } = address;
  return isSocket(address) ? `${user}@${host} port ${port}` : `${user}@${host}:${port}`;
}

function wordsOfUrl(text: string): Map<string, string> {
  const words = new Map<string, string>();
  const put = (name: string, value: string): void => void (value !== '' && words.set(name, decodeURIComponent(value)));
  try {
    const url = new URL(text.replace(/^([a-z]+:\/\/[^/?#]*@)(?=[/?]|$)/, `$1${NO_HOST}`));
    if (url.hostname !== NO_HOST) put('host', url.hostname.replace(/^\[(.*)\]$/, '$1'));
    put('port', url.port);
    put('user', url.username);
    put('password', url.password);
    put('dbname', url.pathname.slice(1));
    for (const [name, value] of url.searchParams) words.set(name, value);
  } catch {
    throw bad('it is no URL of one host; in it "%" is %25, ":" %3A, "/" %2F and "@" %40');
  }
  return words;
}

function wordsOfText(text: string): Map<string, string> {
  const words = new Map<string, string>();
  for (let at = 0; text.slice(at).trim() !== ''; at = WORD.lastIndex) {
    WORD.lastIndex = at;
    const match = WORD.exec(text);
    if (match === null) throw bad('it is neither a URL nor words like "host=... user=..."');
    words.set(match[1]!, (match[2] ?? match[3]!).replace(/\\(.)/g, '$1'));
  }
  return words;
}

/** Without the text: it may hold a password. */
function bad(why: string): Fault {
  return new Fault('USAGE', `The connection string cannot be read: ${why}`);
}
