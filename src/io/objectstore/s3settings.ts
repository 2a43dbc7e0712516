import { EnvironmentError } from '../../common/errors.ts'
import { isKey } from '../../engine/objectkey.ts'

/** How the store encrypts what it keeps: with its own key, or with one of AWS KMS (by ARN or id; without one the account's own). */
export type StoreEncryption = { readonly type: 's3' } | { readonly type: 'kms', readonly key?: string | undefined }

export interface S3Options {
  /** Address of a server other than AWS: `http://localhost:9000`. @default AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL */
  endpoint?: string | undefined
  /** The bucket's region. @default AWS_REGION, AWS_DEFAULT_REGION, the profile's; us-east-1 with an endpoint */
  region?: string | undefined
  /** True: the bucket's name is in the path. False: it is in the host's name. @default true with an endpoint */
  pathStyle?: boolean | undefined
  /** @default the standard chain of AWS: environment, profiles, SSO, web identity, the machine's role */
  credentials?: { accessKeyId: string, secretAccessKey: string, sessionToken?: string | undefined } | undefined
  /** @default LTAP_S3_ENCRYPTION: `s3`, `kms`, or `kms:` and the key; else what the bucket does */
  encryption?: StoreEncryption | undefined
  /** A request fails if no answer comes for so long. @default 60000 */
  timeoutMs?: number | undefined
  /** Bytes of a part of a multipart upload, at least 5 MiB. @default 8 MiB */
  partSize?: number | undefined
}

export interface S3Settings {
  readonly bucket: string
  /** Without a `/` at its end; '' for the whole bucket. */
  readonly prefix: string
  readonly endpoint: string | undefined
  readonly region: string | undefined
  readonly pathStyle: boolean
  readonly credentials: { accessKeyId: string, secretAccessKey: string, sessionToken?: string } | undefined
  readonly encryption: StoreEncryption | undefined
  readonly timeoutMs: number
  readonly partSize: number
}

const URL_PARTS = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/?$/
const PREFIX_LENGTH_MAX = 255

/** @throws EnvironmentError store.url, store.endpoint, store.encryption */
export function s3Settings(url: string, options: S3Options, environment: Readonly<Record<string, string | undefined>>): S3Settings {
  const [, bucket, prefix = ''] = URL_PARTS.exec(url) ?? []
  if (bucket === undefined || prefix !== '' && !isKey(prefix) || prefix.length > PREFIX_LENGTH_MAX) {
    const advice = 'write s3://bucket/prefix, the prefix of letters, digits and . _ = - /'
    throw new EnvironmentError('store.url', `${JSON.stringify(url)} is no place for objects; ${advice}`)
  }
  const endpoint = options.endpoint ?? given(environment['AWS_ENDPOINT_URL_S3']) ?? given(environment['AWS_ENDPOINT_URL'])
  if (endpoint !== undefined && !/^https?:\/\/[^/?#@\s]+\/?$/.test(endpoint)) {
    throw new EnvironmentError('store.endpoint', `${JSON.stringify(endpoint)} is no endpoint; write http://host:port or https://host`)
  }
  const encryption = options.encryption ?? encryptionNamed(given(environment['LTAP_S3_ENCRYPTION']))
  const { credentials, timeoutMs = 60_000, partSize = 8 << 20 } = options
  return {
    bucket, prefix, endpoint, encryption, timeoutMs, partSize, pathStyle: options.pathStyle ?? endpoint !== undefined,
    region: options.region ?? given(environment['AWS_REGION']) ?? given(environment['AWS_DEFAULT_REGION'])
      ?? (endpoint === undefined ? undefined : 'us-east-1'),
    credentials: credentials && { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey,
      ...(credentials.sessionToken !== undefined && { sessionToken: credentials.sessionToken }) },
  }
}

function encryptionNamed(text: string | undefined): StoreEncryption | undefined {
  if (text === undefined) return undefined
  const [, type, key] = /^(s3|kms)(?::(.+))?$/.exec(text) ?? []
  if (type === 's3' && key === undefined) return { type }
  if (type === 'kms') return { type, ...(key !== undefined && { key }) }
  throw new EnvironmentError('store.encryption', `LTAP_S3_ENCRYPTION is ${JSON.stringify(text)}; write s3, kms, or kms:<id or ARN of the key>`)
}

/** An empty variable counts as one that is not set. */
function given(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
