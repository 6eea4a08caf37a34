// How the logs of service and agents look, and what they never hold, whoever writes to them.

import type { LoggerOptions } from 'pino';

const SECRET_NAMES = [
  'authorization',
  'cookie',
  'password',
  'newPassword',
  'passphrase',
  'secret',
  'token',
  'code',
  'totpSecret',
  'privateKey',
];

/** For pino: secrets by their names, in the object that is logged and three levels below. */
export const LOG_OPTIONS: LoggerOptions = {
  redact: {
    // A fault's stable code is no secret: the codes of second factors are only below "body".
    paths: SECRET_NAMES.filter((name) => name !== 'code')
      .flatMap((name) => [name, `*.${name}`, `*.*.${name}`, `*.*.*.${name}`])
      .concat('body.code', '*.body.code'),
    censor: '[removed]',
  },
  timestamp: () => `,"time":"${new Date().toISOString()}"`,
  formatters: { level: (label) => ({ level: label }) },
};
