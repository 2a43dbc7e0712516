import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { uploadGone } from '../../engine/uploadgone.ts'

/** What a failed request was for. */
export interface S3Request {
  readonly kind: 'read' | 'write'
  readonly url: string
  readonly bucket: string
  readonly key?: string | undefined
  /** If-None-Match or If-Match. */
  readonly isConditional?: boolean
}

/** What S3 or the way to it said, in the members that errors of the AWS SDK have. */
interface Reply {
  readonly name: string
  readonly message: string
  readonly status: number | undefined
}

const CREDENTIALS = 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role'
/** By the name of S3's error: our code, and what it means. */
const MEANINGS: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  NoSuchBucket: ['store.missing-bucket', 'there is no such bucket; create it, or correct its name or the endpoint'],
  InvalidBucketName: ['store.missing-bucket', 'the name is not valid for a bucket; correct it'],
  InvalidAccessKeyId: ['store.credentials', `the store does not know the access key; ${CREDENTIALS}`],
  XAdminUserNotFound: ['store.credentials', `the store does not know the access key; ${CREDENTIALS}`],
  SignatureDoesNotMatch: ['store.credentials', 'the secret key is not the one of this access key; correct AWS_SECRET_ACCESS_KEY'],
  CredentialsProviderError: ['store.credentials', `there are no credentials; ${CREDENTIALS}`],
  ExpiredToken: ['store.credentials', 'the session token has expired; sign in again, or get new credentials'],
  ExpiredTokenException: ['store.credentials', 'the session token has expired; sign in again, or get new credentials'],
  TokenRefreshRequired: ['store.credentials', 'the session token has expired; sign in again, or get new credentials'],
  TokenProviderError: ['store.credentials', 'the session has expired; sign in again (aws sso login)'],
  InvalidToken: ['store.credentials', 'the session token is not valid; get new credentials'],
  RequestTimeTooSkewed: ['store.clock-skew', 'the clock of this machine and that of the store differ too much; set the clock (NTP)'],
  PermanentRedirect: ['store.region', 'the bucket is in another region; set AWS_REGION to that one'],
  AuthorizationHeaderMalformed: ['store.region', 'the store expects another region in the signature; set AWS_REGION to that of the bucket'],
  IllegalLocationConstraintException: ['store.region', 'the bucket is in another region; set AWS_REGION to that one'],
  InsufficientStorage: ['store.space', 'the store has no space left; make room there'],
  QuotaExceeded: ['store.space', 'the quota of the store is used up; make room there'],
  XMinioStorageFull: ['store.space', 'the store has no space left; make room there'],
  EntityTooLarge: ['store.request', 'the store takes no object of this size'],
}
/** Errors that may pass: another attempt may succeed. */
const PASSING = new Set([
  'SlowDown', 'RequestTimeout', 'InternalError', 'ServiceUnavailable', 'OperationAborted', 'ConditionalRequestConflict', 'RequestTimeTooSkewed',
  'IncompleteBody', 'BadDigest', 'XAmzContentChecksumMismatch',
])
const PASSING_STATUS = new Set([408, 409, 425, 429, 500, 502, 503, 504])

/** The reply behind an error of the AWS SDK. An error without a status came from the network or from this machine. */
export function replyOf(error: unknown): Reply {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), status: undefined }
  const { name, message } = error
  const metadata = '$metadata' in error ? error.$metadata as { httpStatusCode?: number } | undefined : undefined
  const status = metadata?.httpStatusCode
  const errno = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return { name: status === undefined && name === 'Error' && errno !== undefined ? errno : name, message, status }
}

/** Whether the same request may succeed a moment later: without an answer, with a server's own failure, or with one of its refusals to hurry. */
export function isPassing(error: unknown): boolean {
  if (error instanceof EnvironmentError) return false
  const { name, status } = replyOf(error)
  if (name in MEANINGS && !PASSING.has(name)) return false
  return status === undefined || status < 300 || PASSING.has(name) || PASSING_STATUS.has(status)
}

/** Whether the server said that it did nothing, and why: not for a lost reply, whatever the error is. */
export function isRefusal(error: unknown): boolean {
  const { name, status } = replyOf(error)
  return name in MEANINGS || status !== undefined && status >= 400 && status < 500 && !PASSING_STATUS.has(status) && !PASSING.has(name) || status === 501
}

/** One clear line: what happened, where, and what to do next. */
export function s3Error(error: unknown, request: S3Request): EnvironmentError | UnsupportedError {
  if (error instanceof EnvironmentError || error instanceof UnsupportedError) return error
  const reply = replyOf(error)
  const file = request.key === undefined ? `s3://${request.bucket}` : `s3://${request.bucket}/${request.key}`
  if (reply.name === 'NoSuchUpload') return uploadGone(file)
  const [code, reason] = meaningOf(reply, request)
  const position = { file }
  return code === 'store.condition' ? new UnsupportedError(code, reason, position) : new EnvironmentError(code, reason, position)
}

function meaningOf({ name, message, status }: Reply, { kind, url, isConditional }: S3Request): readonly [string, string] {
  const known = MEANINGS[name]
  if (known !== undefined) return known
  if (name.startsWith('KMS')) {
    return ['store.encryption', `the key for encryption cannot be used (${name}: ${oneLine(message)}); check its ARN, its region and who may use it`]
  }
  if (name === 'NotImplemented' || status === 501) {
    if (isConditional) return ['store.condition', 'the store does not implement conditional writes']
    return ['store.request', `the store does not implement this: ${oneLine(message)}`]
  }
  if (status === 403 || status === 401 || name === 'AccessDenied') {
    return kind === 'write' ? ['store.read-only', 'these credentials do not allow to write here; grant s3:PutObject and s3:DeleteObject below the prefix']
      : ['store.access', 'these credentials do not allow to read here; grant s3:GetObject and s3:ListBucket']
  }
  if (status === 405 && kind === 'write') return ['store.read-only', 'the store takes no writes here']
  if (status === 507) return ['store.space', 'the store has no space left; make room there']
  if (status === 301 || status === 307) return MEANINGS['PermanentRedirect']!
  if (status !== undefined && status >= 400 && !PASSING_STATUS.has(status)) {
    return ['store.request', `the store refused the request: ${status} ${name}: ${oneLine(message)}`]
  }
  const answer = status === undefined || status < 300 ? '' : `${status} `
  const what = `${answer}${name}: ${oneLine(message)}`
  return ['store.unavailable', `the store at ${url} cannot be reached or does not answer (${what}); check the endpoint and the network`]
}

function oneLine(message: string): string {
  return message.replace(/\s+/g, ' ').slice(0, 200)
}
