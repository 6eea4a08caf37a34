import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { parseServerAddress, type ServerAddress } from '../../agents/postgres/connection-string.ts';
import { passwordIn, withPasswordFile } from '../../agents/postgres/password-file.ts';
import { mustBeReady, preflight } from '../../agents/postgres/preflight.ts';
import { identifySystem } from '../../agents/postgres/replication-client.ts';
import { wordsOfService } from '../../agents/postgres/service-file.ts';
import { parseHistory } from '../../agents/postgres/timeline-history.ts';
import { microsOfText, textOfMicros } from '../../src/model/instant-text.ts';
import { formatLsn, parseLsn, parseSegmentName, segmentName } from '../../src/model/lsn.ts';
import { majorOf, postgresPrograms, removeScratch, serverScratch, serverUser, TestServer } from '../support/postgres.ts';
import { scratchDirectory } from '../support/scratch.ts';

const programs = postgresPrograms();

describe.skipIf(programs === undefined)('a connection', () => {
  let scratch: string;
  let server: TestServer;
  let port: number;

  beforeAll(async () => {
    scratch = serverScratch();
    server = await TestServer.create(programs!, scratch, 'production', { settings: { password_encryption: 'scram-sha-256' } });
    await server.sql("CREATE ROLE scram LOGIN REPLICATION PASSWORD 'pencil ß'");
    await server.sql("SET password_encryption = 'md5'; CREATE ROLE older LOGIN PASSWORD 'old'");
    await server.sql('CREATE ROLE weak LOGIN; CREATE ROLE certified LOGIN');
    await server.stop();
    port = await freePort();
    const [key, certificate] = [join(server.directory, 'server.key'), join(server.directory, 'server.crt')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-keyout',
        key,
        '-out',
        certificate,
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
      ],
      { stdio: 'pipe' },
    );
    const request = ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=certified'];
    execFileSync('openssl', [...request, '-keyout', `${scratch}/own.key`, '-out', `${scratch}/own.csr`], { stdio: 'pipe' });
    const signing = [
      'x509',
      '-req',
      '-in',
      `${scratch}/own.csr`,
      '-CA',
      certificate,
      '-CAkey',
      key,
      '-CAcreateserial',
      '-days',
      '2',
    ];
    execFileSync('openssl', [...signing, '-out', `${scratch}/own.crt`], { stdio: 'pipe' });
    const user = serverUser();
    if (user !== undefined) for (const path of [key, certificate]) chownSync(path, user.uid, user.gid);
    execFileSync('chmod', ['600', key]);
    server.configure({ listen_addresses: '127.0.0.1', ssl: 'on', ssl_ca_file: 'server.crt' });
    const hba = readFileSync(join(server.directory, 'pg_hba.conf'), 'utf8');
    const lines = [
      'local all weak trust',
      'hostssl all certified 127.0.0.1/32 cert',
      'host all older 127.0.0.1/32 md5',
      'host all scram 127.0.0.1/32 scram-sha-256',
      'host replication scram 127.0.0.1/32 scram-sha-256',
    ];
    writeFileSync(join(server.directory, 'pg_hba.conf'), `${lines.join('\n')}\n${hba}`);
    server = new TestServer(programs!, server.directory, server.socketDirectory, port);
    await server.start();
  });

  afterAll(async () => {
    await server.stop('SIGQUIT');
    removeScratch(scratch);
  });

  const over = (user: string, password: string | undefined, tls: ServerAddress['tls'] = 'disable'): ServerAddress => ({
    host: '127.0.0.1',
    port,
    user,
    password,
    database: 'postgres',
    tls,
  });

  it.each([
    ['SCRAM-SHA-256', 'scram', 'pencil ß'],
    ['md5', 'older', 'old'],
  ])('authenticates by %s, and says that a wrong password is refused', async (_, user, password) => {
    const connection = await PgConnection.open({ address: over(user, password) });
    expect(await connection.value('SELECT current_user')).toBe(user);
    connection.close();
    await expect(PgConnection.open({ address: over(user, 'wrong') })).rejects.toMatchObject({ code: 'PG_DENIED' });
    await expect(PgConnection.open({ address: over(user, undefined) })).rejects.toMatchObject({
      code: 'PG_DENIED',
      message: expect.stringMatching(/password/),
    });
  });

  it('encrypts when it is asked to, and refuses a certificate that nobody vouches for', async () => {
    const connection = await PgConnection.open({ address: over('scram', 'pencil ß', 'require') });
    expect(await connection.value('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).toBe('t');
    connection.close();
    await expect(PgConnection.open({ address: over('scram', 'pencil ß', 'verify-full') })).rejects.toMatchObject({
      code: 'PG_UNREACHABLE',
    });
  });

  it('takes the authorities that are named, tells what is wrong with a certificate, and shows its own', async () => {
    const at = (words: string): ServerAddress => parseServerAddress(`port=${port} dbname=postgres ${words}`, {}, 'nobody');
    const root = `sslrootcert=${server.directory}/server.crt`;
    const ssl = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    for (const words of [
      'host=localhost sslmode=verify-full',
      'host=127.0.0.1 sslmode=verify-ca',
      'host=127.0.0.1 sslmode=require',
    ]) {
      const connection = await PgConnection.open({ address: at(`${words} ${root} user=scram password='pencil ß'`) });
      expect(await connection.value(ssl)).toBe('t');
      connection.close();
    }
    const refused = async (words: string): Promise<unknown> =>
      PgConnection.open({ address: at(`${words} user=scram password='pencil ß'`) }).catch((error: unknown) => error);
    expect(await refused(`host=127.0.0.1 sslmode=verify-full ${root}`)).toMatchObject({ hint: expect.stringMatching(/verify-ca/) });
    expect(await refused('host=localhost sslmode=verify-full')).toMatchObject({ hint: expect.stringMatching(/sslrootcert/) });
    expect(await refused(`host=localhost sslmode=require sslrootcert=${scratch}/own.crt`)).toMatchObject({
      code: 'PG_UNREACHABLE',
    });
    expect(await refused(`host=localhost sslrootcert=/nowhere/ca.crt`)).toMatchObject({ code: 'USAGE' });
    const none = `${server.directory}/PG_VERSION`;
    expect(await refused(`host=localhost sslcert=${none} sslkey=${none}`)).toMatchObject({ code: 'USAGE' });
    const own = `sslcert=${scratch}/own.crt sslkey=${scratch}/own.key`;
    const certified = await PgConnection.open({ address: at(`host=localhost user=certified sslmode=verify-full ${root} ${own}`) });
    expect(await certified.value('SELECT current_user')).toBe('certified');
    certified.close();
  });

  // 14 is the first that has them.
  it.skipIf(programs !== undefined && majorOf(programs) < 14)('finds a socket that is no file', async () => {
    const abstract = new TestServer(programs!, server.directory, `@${scratch}`, port);
    await server.stop();
    await abstract.start();
    expect(await abstract.sql('SELECT 1')).toEqual([['1']]);
    await abstract.stop();
    await server.start();
  });

  it('speaks the replication protocol with a role that may only replicate', async () => {
    const connection = await PgConnection.open({ address: over('scram', 'pencil ß'), replication: 'true' });
    const { systemId, timeline } = await identifySystem(connection);
    expect(server.run('pg_controldata', ['-D', server.directory])).toContain(systemId);
    expect(timeline).toBe(1);
    connection.close();
  });

  it('goes on after an error, gives nulls and long values, and ends when it is told to', async () => {
    const stop = new AbortController();
    const connection = await PgConnection.open({ address: server.address(), signal: stop.signal });
    await expect(connection.query('SELECT nothing')).rejects.toMatchObject({ code: 'PG_REFUSED' });
    const { columns, rows } = await connection.query("SELECT NULL AS a, repeat('ü', 3000000) AS b");
    expect([columns, rows[0]![0], rows[0]![1]!.length]).toEqual([['a', 'b'], null, 3_000_000]);
    const waiting = connection.query('SELECT pg_sleep(60)');
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  it('asks a question again that a standby ended for its replay, and no other', async () => {
    const sql = await server.connect();
    await sql.query(`CREATE SEQUENCE asked;
      CREATE FUNCTION conflicts(code text, times int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('asked') <= times THEN RAISE EXCEPTION 'conflict' USING ERRCODE = code; END IF; RETURN currval('asked'); END $$`);
    expect((await sql.read("SELECT conflicts('40001', 2)")).rows).toEqual([['3']]);
    await sql.query("SELECT setval('asked', 1, false)");
    await expect(sql.read("SELECT conflicts('22012', 2)")).rejects.toMatchObject({ code: 'PG_REFUSED' });
    await sql.query("SELECT setval('asked', 1, false)");
    await expect(sql.read("SELECT conflicts('40001', 1000)")).rejects.toMatchObject({ code: 'PG_REFUSED' });
    sql.close();
  });

  it('is refused by a server that is not what target_session_attrs asks for', async () => {
    const open = async (words: string): Promise<void> =>
      (await PgConnection.open({ address: parseServerAddress(`${server.connectionString} ${words}`, {}, 'x') })).close();
    for (const good of ['any', 'primary', 'read-write', 'prefer-standby']) await open(`target_session_attrs=${good}`);
    for (const wrong of ['standby', 'read-only'])
      await expect(open(`target_session_attrs=${wrong}`)).rejects.toMatchObject({
        code: 'PG_UNREACHABLE',
        message: expect.stringContaining(`is a primary (read-write), and target_session_attrs asks for ${wrong}`),
      });
    await server.sql("ALTER ROLE postgres SET default_transaction_read_only = 'on'");
    await open('target_session_attrs=primary');
    await expect(open('target_session_attrs=read-write')).rejects.toMatchObject({ code: 'PG_UNREACHABLE' });
    await server.sql("SET transaction_read_only = 'off'; ALTER ROLE postgres RESET default_transaction_read_only");
    await expect(open('target_session_attrs=leader')).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('gives up on a server that is not there, or says nothing', async () => {
    await expect(PgConnection.open({ address: { ...server.address(), host: '/nowhere' } })).rejects.toMatchObject({
      code: 'PG_UNREACHABLE',
    });
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void silent.close());
    const stop = new AbortController();
    const opening = PgConnection.open({
      address: { ...over('x', 'x'), port: (silent.address() as { port: number }).port },
      signal: stop.signal,
    });
    setImmediate(() => stop.abort(new Error('enough')));
    await expect(opening).rejects.toThrow('enough');
  });

  it('tells what a server lacks, with what mends it', async () => {
    const { checks } = await preflight(server.address(), 'holdfast', new AbortController().signal);
    expect(checks.filter(({ state }) => state === 'missing')).toEqual([]);
    const weak = await preflight({ ...server.address(), user: 'weak' }, 'holdfast', new AbortController().signal);
    expect(weak.checks.find(({ name }) => name === 'role')).toMatchObject({
      state: 'missing',
      remedy: 'ALTER ROLE "weak" REPLICATION;',
    });
    expect(() => mustBeReady(weak)).toThrow(/role \(weak may not replicate\)/);
    // What it prints lets base backups be read from the files.
    await server.sql('CREATE ROLE capture LOGIN REPLICATION');
    const capture = { ...server.address(), user: 'capture' };
    const readings: unknown[] = [];
    for (let grants = 0; grants < 3; grants++) {
      const found = await preflight(capture, 'holdfast', new AbortController().signal);
      const reading = found.checks.find(({ name }) => name === 'base backups')!;
      readings.push([reading.state, reading.found]);
      if (reading.remedy !== '') await server.sql(reading.remedy);
    }
    expect(readings).toEqual([
      ['warning', 'streamed by the server: capture may not see where its data lies'],
      ['warning', 'streamed by the server: capture may not begin a backup'],
      ['ok', 'of its files, which are read here'],
    ]);
    await server.sql('ALTER SYSTEM SET wal_level = minimal; ');
    await server.sql('ALTER SYSTEM SET max_wal_senders = 0');
    await server.stop();
    await server.start();
    const bare = await preflight(server.address(), 'holdfast', new AbortController().signal);
    expect(bare.checks.filter(({ state }) => state === 'missing').map(({ name }) => name)).toEqual(
      expect.arrayContaining(['wal_level', 'max_wal_senders', 'replication']),
    );
    // What it prints mends it.
    for (const { name, remedy } of bare.checks)
      if (name === 'wal_level' || name === 'max_wal_senders') await server.sql(remedy.replace(/--.*$/, ''));
    await server.stop();
    await server.start();
    const mended = await preflight(server.address(), 'holdfast', new AbortController().signal);
    expect(mended.checks.filter(({ state }) => state === 'missing')).toEqual([]);
    appendFileSync(join(server.directory, 'postgresql.auto.conf'), '');
  });
});

describe('texts', () => {
  it('of servers are read in both forms, and a password is never repeated', () => {
    const url = parseServerAddress('postgresql://me:p%40ss@db1:5433/shop?sslmode=require', {}, 'nobody');
    expect(url).toEqual({ host: 'db1', port: 5433, user: 'me', password: 'p@ss', database: 'shop', tls: 'require' });
    const socket = { host: '/run/pg', user: 'me', password: 'a:b', database: 'shop' };
    expect(parseServerAddress('postgresql://me:a%3Ab@/shop?host=/run/pg', {}, 'x')).toMatchObject(socket);
    expect(parseServerAddress('postgresql:///shop?host=/run/pg&user=me&password=a:b', {}, 'x')).toMatchObject(socket);
    const words = parseServerAddress("host=/run/pg user='o\\'' password='a \\'b'", { PGPORT: '6000' }, 'nobody');
    expect(words).toMatchObject({ host: '/run/pg', port: 6000, user: "o'", password: "a 'b" });
    expect(() => parseServerAddress('host=x password=secret nonsense=1', {}, 'x')).toThrow(/^(?!.*secret).*nonsense/);
    expect(parseServerAddress('host=x password=a\\ b\\\\c user=me', {}, 'x')).toMatchObject({ password: 'a b\\c', user: 'me' });
    const refused = ['postgresql://me:100%@db1/', 'postgresql://me@db1,db2/shop', 'host=db1,db2 port=1,2', 'host=x sslcert=/a'];
    for (const text of refused) expect(() => parseServerAddress(text, {}, 'x')).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  it('of services are read as PostgreSQL reads them: what is said counts before them, and they before variables', () => {
    const home = scratchDirectory();
    const system = join(home, 'system');
    mkdirSync(system);
    const at = (text: string, variables: Readonly<Record<string, string>> = {}): ServerAddress =>
      parseServerAddress(text, variables, 'me', (name) => wordsOfService(name, { PGSYSCONFDIR: system, ...variables }, home));
    const lines = [
      '# of the shop',
      'before=any',
      '[shopping]',
      'host=no',
      ' [shop] ',
      'host=db1',
      'port=6000',
      'host=db2',
      '',
      'password=a=b c',
    ];
    writeFileSync(join(home, '.pg_service.conf'), [...lines, '[next]', 'user=next', ''].join('\r\n'));
    writeFileSync(
      join(system, 'pg_service.conf'),
      '[shop]\nhost=elsewhere\n[site]\nhost=db3\n[nested]\nservice=shop\n[odd]\npassw0rd\n',
    );
    const shop = { host: 'db1', port: 6000, password: 'a=b c', user: 'me' };
    expect(at('service=shop')).toMatchObject(shop);
    expect(at('postgresql://you@/?service=shop', { PGPORT: '7000', PGSERVICE: 'site' })).toMatchObject({ ...shop, user: 'you' });
    expect(at('port=5', { PGSERVICE: 'site', PGHOST: 'db9' })).toMatchObject({ host: 'db3', port: 5 });
    expect(at('service=next', { PGHOST: 'db9' })).toMatchObject({ host: 'db9', user: 'next' });
    const own = join(home, 'own.conf');
    expect(() => at('service=shop', { PGSERVICEFILE: own })).toThrow(/own\.conf" that PGSERVICEFILE names is not there/);
    writeFileSync(own, '[shop]\nhost=db4');
    expect(at('service=shop', { PGSERVICEFILE: own })).toMatchObject({ host: 'db4', port: 5432 });
    expect(() => at('service=absent')).toThrow(/no service "absent"/);
    expect(() => at('service=nested')).toThrow(/Line 6 of the service file/);
    expect(() => at('service=odd')).toThrow(/^(?!.*passw0rd).*Line 8 of the service file/);
    expect(() => parseServerAddress('service=shop', {}, 'me')).toThrow(/on the command line only/);
  });

  it('of password files are read as PostgreSQL reads them, and not where others can read them', () => {
    const address = { host: '/run/pg', port: 5433, user: 'back up', password: undefined, database: 'shop', tls: 'prefer' } as const;
    const text = [
      '# *:*:*:*:no',
      'db1:*:*:*:other host',
      '*:5433:*:me:other user',
      '/run/pg:*:replication:back up:a\\:b\\\\c',
      '*:*:*:*:later',
    ];
    expect(passwordIn(text.join('\n'), address)).toBe('a:b\\c');
    expect(passwordIn(text.join('\n'), { ...address, host: 'db2', user: 'x' })).toBe('later');
    expect(passwordIn('localhost:5433:shop:back up:socket\n', address)).toBe('socket');
    expect(passwordIn('localhost:5433:shop:back up:socket\n', { ...address, host: 'db1' })).toBeUndefined();
    const file = join(scratchDirectory(), 'pass');
    writeFileSync(file, '*:*:*:*:secret\n', { mode: 0o600 });
    expect(withPasswordFile(address, { PGPASSFILE: file }, '/nowhere').password).toBe('secret');
    expect(withPasswordFile({ ...address, password: 'given' }, { PGPASSFILE: file }, '/nowhere').password).toBe('given');
    expect(withPasswordFile(address, {}, '/nowhere').password).toBeUndefined();
    chmodSync(file, 0o644);
    expect(() => withPasswordFile(address, { PGPASSFILE: file }, '/nowhere')).toThrow(/open to others/);
  });

  it('of moments need an offset, and are exact to the microsecond', () => {
    expect(microsOfText('2026-05-04T10:15:30.123456+08:00')).toBe(1_777_860_930_123_456);
    expect(textOfMicros(1_777_860_930_123_456)).toBe('2026-05-04T02:15:30.123456Z');
    expect(microsOfText('2026-05-04 10:15:30+0800')).toBe(1_777_860_930_000_000);
    expect(microsOfText('2026-05-04 10:15:30+08')).toBe(1_777_860_930_000_000);
    for (const text of [
      '2026-05-04T10:15:30',
      '2026-02-30T10:15:30Z',
      '10:15',
      'yesterday',
      '2026-05-04T10:15:30 EEST',
      '2026-05-04T25:15:30Z',
    ])
      expect(microsOfText(text), text).toBeUndefined();
  });

  it('of log positions and segments are PostgreSQL’s', () => {
    expect(formatLsn(0x1_0200_00ff)).toBe('1/20000FF');
    expect(parseLsn('1/20000FF')).toBe(0x1_0200_00ff);
    expect(parseLsn('x/1')).toBeUndefined();
    expect(segmentName(2, 0x101, 16 * 1024 * 1024)).toBe('000000020000000100000001');
    for (const bytes of [1, 16, 64, 1024].map((mib) => mib * 1024 * 1024))
      expect(parseSegmentName(segmentName(7, 12_345, bytes), bytes)).toEqual({ timeline: 7, segment: 12_345 });
  });

  it('of histories are read, and refused when they make no sense', () => {
    expect(parseHistory('1\t0/3000000\tno recovery target specified\n\n2\t0/5000000\tat restore point\n', 5)).toEqual([
      { timeline: 1, until: 0x3000000 },
      { timeline: 2, until: 0x5000000 },
    ]);
    for (const text of ['x\n', '2\t0/5000000\n1\t0/3000000\n', '7\t0/3000000\n'])
      expect(() => parseHistory(text, 5)).toThrow(/history of timeline 5/);
  });
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}
