// What an S3 store and the way to it say, in the words of the table of faults.
//
// Error codes count, statuses only where there is no code: a 404 without a code of S3 comes from something that is no S3 store, and
// must not become "there is no such object". Nor may it become "that object is damaged" (STORE_CORRUPT_ANSWER), for which a repair would take
// it away: what cannot be understood says nothing of the object.

import { Fault, type FaultCode } from '../base/faults.ts';

const BY_ERROR: Readonly<Record<string, FaultCode>> = {
  NoSuchKey: 'STORE_NOT_FOUND',
  NoSuchBucket: 'STORE_BUCKET_MISSING',
  InvalidBucketName: 'STORE_BUCKET_MISSING',
  AccessDenied: 'STORE_DENIED',
  AllAccessDisabled: 'STORE_DENIED',
  AccountProblem: 'STORE_DENIED',
  InvalidAccessKeyId: 'STORE_DENIED',
  InvalidToken: 'STORE_DENIED',
  ExpiredToken: 'STORE_DENIED',
  SignatureDoesNotMatch: 'STORE_DENIED',
  AuthorizationHeaderMalformed: 'STORE_DENIED',
  RequestTimeTooSkewed: 'STORE_DENIED',
  MethodNotAllowed: 'STORE_DENIED',
  ObjectLockConfigurationNotFoundError: 'STORE_NOT_FOUND',
  UserSuspended: 'STORE_DENIED',
  QuotaExceeded: 'STORE_FULL',
  StorageFull: 'STORE_FULL',
  XMinioStorageFull: 'STORE_FULL',
  InsufficientStorage: 'STORE_FULL',
  EntityTooLarge: 'STORE_TOO_LARGE',
  SlowDown: 'STORE_THROTTLED',
  TooManyRequests: 'STORE_THROTTLED',
  RequestLimitExceeded: 'STORE_THROTTLED',
  Throttling: 'STORE_THROTTLED',
  ThrottlingException: 'STORE_THROTTLED',
  ServiceUnavailable: 'STORE_THROTTLED',
  Busy: 'STORE_THROTTLED',
  OperationAborted: 'STORE_THROTTLED',
  ConditionalRequestConflict: 'STORE_THROTTLED',
  RequestTimeout: 'STORE_TIMEOUT',
  InternalError: 'STORE_INTERNAL',
  BadDigest: 'STORE_CORRUPT_UPLOAD',
  InvalidDigest: 'STORE_CORRUPT_UPLOAD',
  XAmzContentSHA256Mismatch: 'STORE_CORRUPT_UPLOAD',
  XAmzContentChecksumMismatch: 'STORE_CORRUPT_UPLOAD',
  IncompleteBody: 'STORE_CORRUPT_UPLOAD',
  PermanentRedirect: 'STORE_BAD_LOCATION',
  TemporaryRedirect: 'STORE_BAD_LOCATION',
};

const BY_STATUS: Readonly<Record<number, FaultCode>> = {
  301: 'STORE_BAD_LOCATION',
  307: 'STORE_BAD_LOCATION',
  401: 'STORE_DENIED',
  403: 'STORE_DENIED',
  408: 'STORE_TIMEOUT',
  413: 'STORE_TOO_LARGE',
  429: 'STORE_THROTTLED',
  500: 'STORE_INTERNAL',
  502: 'STORE_UNREACHABLE',
  503: 'STORE_THROTTLED',
  504: 'STORE_TIMEOUT',
  507: 'STORE_FULL',
};

const HINTS: Readonly<Record<string, string>> = {
  RequestTimeTooSkewed: 'The clock of this machine and that of the store differ too much. Set the clock.',
  SignatureDoesNotMatch: 'The secret key is wrong, or something on the way changes requests.',
  InvalidAccessKeyId: 'The store does not know this access key. Check AWS_ACCESS_KEY_ID and the address of the store.',
  ExpiredToken: 'The credentials have expired. Get new ones and run the command again; what was uploaded is kept.',
  QuotaExceeded:
    'The quota of the bucket or user is used up. Raise it or free space (forget and prune do), then run the command again.',
  PermanentRedirect: 'The bucket lies at another address or in another region. Correct the location or AWS_REGION.',
};

/** The parts of an SDK error that matter. */
type SdkError = Error & { readonly $metadata?: { readonly httpStatusCode?: number }; readonly Code?: string };

/** The error code of S3 in what the SDK threw, '' when there is none, undefined when it is not an answer of the store at all. */
export function s3ErrorCode(error: unknown): string | undefined {
  const status = statusOf(error);
  if (status === undefined) return undefined;
  const { name } = error as Error;
  // The SDK makes up these names when the body has no code.
  return name === 'NotFound' || name === 'Unknown' || name === 'UnknownError' || name === 'Error' ? '' : name;
}

export function statusOf(error: unknown): number | undefined {
  return error instanceof Error ? (error as SdkError).$metadata?.httpStatusCode : undefined;
}

/** Turns what the SDK throws into a fault; faults stay as they are. `what` names verb and place. */
export function s3Fault(error: unknown, what: string): Fault {
  if (error instanceof Fault) return error;
  const status = statusOf(error);
  const name = s3ErrorCode(error);
  if (status === undefined || name === undefined) {
    return new Fault(
      'STORE_STRANGE_ANSWER',
      `${what}: the answer cannot be understood (${error instanceof Error ? error.message : error})`,
      {
        cause: error,
      },
    );
  }
  const code =
    BY_ERROR[name] ??
    (name === '' || status >= 500 ? BY_STATUS[status] : undefined) ??
    (status === 403 ? 'STORE_DENIED' : undefined);
  const said = `${status}${name === '' ? ' without an error code of S3' : ` ${name}`}`;
  const hint = HINTS[name];
  return new Fault(code ?? 'STORE_STRANGE_ANSWER', `${what}: the store answered ${said}`, { cause: error, ...(hint && { hint }) });
}

const TIMEOUTS = new Set(['ETIMEDOUT', 'ESOCKETTIMEDOUT']);
const CERTIFICATE = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(VERIFY|GET)_|HOSTNAME_MISMATCH)/;

/** Turns an error of the connection into a fault. */
export function connectionFault(error: unknown, what: string): unknown {
  if (error instanceof Fault || !(error instanceof Error)) return error;
  const errno = (error as NodeJS.ErrnoException).code ?? error.name;
  const code = CERTIFICATE.test(errno) ? 'STORE_UNTRUSTED' : TIMEOUTS.has(errno) ? 'STORE_TIMEOUT' : 'STORE_UNREACHABLE';
  const hint = errno === 'EPROTO' ? 'It does not speak TLS there. Give s3+http://, or the port for s3+https://.' : undefined;
  return new Fault(code, `${what}: ${errno === 'AggregateError' ? 'no connection' : errno}`, {
    cause: error,
    ...(hint && { hint }),
  });
}
