import {
  AbortMultipartUploadCommand, DeleteObjectsCommand, GetObjectCommand, type GetObjectCommandOutput, HeadObjectCommand,
  ListMultipartUploadsCommand, ListPartsCommand, ListObjectsV2Command, PutObjectCommand, S3Client,
} from '@aws-sdk/client-s3'
import { assert, EnvironmentError } from '../../common/errors.ts'
import { checkRange, rangeWithin } from '../../engine/byterange.ts'
import type { Clock } from '../../common/clock.ts'
import { isKey } from '../../engine/objectkey.ts'
import type {
  ByteRange, Leftover, ObjectInfo, ObjectStore, ObjectUpload, PutOptions, PutOutcome, StoreCounters, StoredObject,
} from '../../engine/objectstore.ts'
import type { Random } from '../../engine/random.ts'
import { RequestCounters } from '../../engine/requestcounters.ts'
import type { RequestKind } from '../../lake/state/madeby.ts'
import { retrying, type RetryPolicy } from './retry.ts'
import { isPassing, isRefusal, replyOf, s3Error, type S3Request } from './s3error.ts'
import type { S3Settings } from './s3settings.ts'
import { type S3Sender, S3Upload } from './s3upload.ts'

/** The most keys of one DeleteObjects request. */
const DELETE_MAX = 1000

export interface S3Ports {
  readonly clock: Clock
  readonly random: Random
  readonly retries: RetryPolicy
  /** What keys there may be. @default {@link isKey} */
  readonly isKey?: ((key: string) => boolean) | undefined
}

/**
 * Objects of a bucket below a prefix, by the AWS SDK. The SDK makes one attempt. An unconditional request is repeated here; a conditional write never
 * is, since its first attempt may have succeeded and only the reply may be lost.
 */
export class S3ObjectStore implements ObjectStore, S3Sender {
  readonly url: string
  readonly client: S3Client
  readonly bucket: string
  readonly encryption: S3Settings['encryption']
  private readonly prefix: string
  private readonly ports: S3Ports
  private readonly partSize: number
  private readonly timeoutMs: number
  private readonly counted = new RequestCounters()
  private readonly isKey: (key: string) => boolean
  /** HEAD has no body: it does not tell a missing bucket from a missing object. */
  private bucketSeen = false

  constructor(settings: S3Settings, ports: S3Ports) {
    const { bucket, prefix, endpoint, region, pathStyle, credentials, timeoutMs } = settings
    this.bucket = bucket
    this.prefix = prefix === '' ? '' : `${prefix}/`
    this.url = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
    this.encryption = settings.encryption
    this.partSize = settings.partSize
    this.timeoutMs = timeoutMs
    this.ports = ports
    this.isKey = ports.isKey ?? isKey
    this.client = new S3Client({
      maxAttempts: 1, forcePathStyle: pathStyle,
      ...(endpoint !== undefined && { endpoint }), ...(region !== undefined && { region }), ...(credentials && { credentials }),
      requestHandler: { connectionTimeout: Math.min(10_000, timeoutMs), requestTimeout: timeoutMs, socketTimeout: timeoutMs, throwOnRequestTimeout: true },
    })
  }

  get counters(): StoreCounters {
    return this.counted
  }

  async get(key: string, range?: ByteRange): Promise<StoredObject | undefined> {
    this.checkKey(key)
    if (range !== undefined) checkRange(range)
    const Range = range && ('last' in range ? `bytes=-${range.last}` : `bytes=${range.start}-${range.end - 1}`)
    const found = await this.often('get', key, 0, async () => {
      try {
        const reply = await this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key: this.nameOf(key), Range }))
        const bytes = await reply.Body!.transformToByteArray()
        this.counted.received(bytes.length)
        return { ...infoOf(key, { ...reply, Size: sizeIn(reply.ContentRange) ?? reply.ContentLength }), bytes: partOf(bytes, reply, range) }
      } catch (error) {
        if (this.isMissing(error)) return undefined
        if (replyOf(error).status === 416) return 'beyond'
        throw error
      }
    })
    if (found !== 'beyond') return found
    const info = await this.head(key)
    return info && { ...info, bytes: new Uint8Array(0) }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    this.checkKey(key)
    return this.often('head', key, 0, async () => {
      try {
        const reply = await this.client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: this.nameOf(key) }))
        this.bucketSeen = true
        return infoOf(key, { ...reply, Size: reply.ContentLength })
      } catch (error) {
        if (replyOf(error).status !== 404) throw error
        await this.seeBucket()
        return undefined
      }
    })
  }

  async put(key: string, bytes: Uint8Array, { ifNoneMatch, ifMatch }: PutOptions = {}): Promise<PutOutcome> {
    this.checkKey(key)
    assert(ifNoneMatch === undefined || ifMatch === undefined, 'a put has one condition')
    const command = { ...this.target(key), Body: bytes, ...(ifNoneMatch && { IfNoneMatch: '*' }), ...(ifMatch !== undefined && { IfMatch: ifMatch }) }
    const send = async (): Promise<PutOutcome> => ({ outcome: 'written', etag: (await this.client.send(new PutObjectCommand(command))).ETag ?? '' })
    if (ifNoneMatch === undefined && ifMatch === undefined) return this.often('put', key, bytes.length, send)
    try {
      return await this.once('put', bytes.length, send)
    } catch (error) {
      const { name, status, message } = replyOf(error)
      if (status === 412 || ifMatch !== undefined && this.isMissing(error)) return { outcome: 'refused' }
      if (isRefusal(error)) throw s3Error(error, this.request('put', key, true))
      return { outcome: 'unknown', reason: `${status ?? ''} ${name}: ${message}`.trim() }
    }
  }

  upload(key: string): ObjectUpload {
    this.checkKey(key)
    return new S3Upload(this, key, this.target(key), this.partSize)
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach((key) => this.checkKey(key))
    for (let at = 0; at < keys.length; at += DELETE_MAX) {
      let left = keys.slice(at, at + DELETE_MAX).map((key) => ({ Key: this.nameOf(key) }))
      await this.often('delete', undefined, 0, async () => {
        const { Errors: errors = [] } = await this.client.send(new DeleteObjectsCommand({ Bucket: this.bucket, Delete: { Objects: left, Quiet: true } }))
        const failed = errors.filter(({ Code: code }) => code !== 'NoSuchKey')
        if (failed.length === 0) return
        left = failed.map(({ Key }) => ({ Key: Key! }))
        const { Code: name = 'Error', Message: message = '' } = failed[0]!
        throw Object.assign(new Error(message), { name, $metadata: { httpStatusCode: name === 'AccessDenied' ? 403 : 500 } })
      })
    }
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    this.checkKey(`${prefix}x`)
    let token: string | undefined
    let first: string | undefined
    do {
      // Only by tokens: SeaweedFS takes StartAfter for a place in its own order of folders, and leaves out what is before it there.
      const page = { Bucket: this.bucket, Prefix: `${this.prefix}${prefix}`, ContinuationToken: token }
      const reply = await this.often('list', undefined, 0, () => this.client.send(new ListObjectsV2Command(page)))
      const { Contents = [], IsTruncated, NextContinuationToken } = reply
      const begins = Contents[0]?.Key
      if (IsTruncated && (NextContinuationToken === undefined || NextContinuationToken === token) || begins !== undefined && begins === first) {
        throw new EnvironmentError('store.inconsistent', `${this.url} does not go on with a list where its last page ended: use another store`)
      }
      for (const object of Contents) {
        const key = object.Key!.slice(this.prefix.length)
        // Other objects are not ltap's: consoles make objects for folders, for example.
        if (this.isKey(key)) yield infoOf(key, object)
      }
      [token, first] = [IsTruncated ? NextContinuationToken : undefined, begins]
    } while (token !== undefined)
  }

  /** By the keys' markers alone: versitygw refuses its own marker of an id. So a page leaves out further uploads of its last key, for another time. */
  async *leftovers(): AsyncGenerator<Leftover> {
    let marker: string | undefined
    do {
      const page = { Bucket: this.bucket, Prefix: this.prefix, KeyMarker: marker }
      const { Uploads = [], IsTruncated } = await this.often('list', undefined, 0, () => this.client.send(new ListMultipartUploadsCommand(page)))
      for (const { Key = '', UploadId, Initiated } of Uploads) {
        const key = Key.slice(this.prefix.length)
        const remove = (): Promise<void> => this.removeUpload(key, UploadId)
        if (this.isKey(key)) yield { key, started: Initiated?.getTime() ?? 0, process: undefined, remove }
      }
      const last = Uploads.at(-1)?.Key
      // SeaweedFS does not sort them by key.
      marker = IsTruncated && last !== undefined && last > (marker ?? '') ? last : undefined
    } while (marker !== undefined)
  }

  async removeUpload(key: string, id: string | undefined): Promise<void> {
    await this.often('upload', key, 0, async () => {
      try {
        await this.client.send(new AbortMultipartUploadCommand({ Bucket: this.bucket, Key: this.nameOf(key), UploadId: id }))
      } catch (error) {
        if (replyOf(error).name !== 'NoSuchUpload') throw error
      }
    })
  }

  async isUploadGone(key: string, id: string | undefined): Promise<boolean> {
    const [Bucket, Key] = [this.bucket, this.nameOf(key)]
    try {
      await this.once('list', 0, () => this.client.send(new ListPartsCommand({ Bucket, Key, UploadId: id, MaxParts: 1 })))
      // versitygw has parts of an upload that was removed while a part came, and does not list the upload.
      const { Uploads = [], IsTruncated } = await this.once('list', 0, () => this.client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key })))
      return !IsTruncated && !Uploads.some((upload) => upload.Key === Key && upload.UploadId === id)
    } catch (error) {
      return replyOf(error).name === 'NoSuchUpload'
    }
  }

  async once<T>(kind: RequestKind, bytes: number, send: () => Promise<T>): Promise<T> {
    this.counted.sent(kind, bytes)
    return inTime(send(), this.timeoutMs)
  }

  async often<T>(kind: RequestKind, key: string | undefined, bytes: number, send: () => Promise<T>): Promise<T> {
    const { clock, random, retries } = this.ports
    try {
      return await retrying(() => this.once(kind, bytes, send), isPassing, retries, { clock, random, onRetry: () => this.counted.retries++ })
    } catch (error) {
      throw s3Error(error, this.request(kind, key, false))
    }
  }

  /** Keys are made by us; one that comes from a stored file goes through {@link isKey} first. */
  private checkKey(key: string): void {
    assert(this.isKey(key), `${JSON.stringify(key)} is no key of an object`)
  }

  private target(key: string): { Bucket: string, Key: string } & ReturnType<typeof encryptionOf> {
    return { Bucket: this.bucket, Key: this.nameOf(key), ...encryptionOf(this.encryption) }
  }

  private nameOf(key: string): string {
    return `${this.prefix}${key}`
  }

  private request(kind: RequestKind, key: string | undefined, isConditional: boolean): S3Request {
    const isRead = kind === 'get' || kind === 'head' || kind === 'list'
    return { kind: isRead ? 'read' : 'write', url: this.url, bucket: this.bucket, key: key && this.nameOf(key), isConditional }
  }

  private isMissing(error: unknown): boolean {
    const { name, status } = replyOf(error)
    // Other names of 404 say something else: versitygw has one for an access key that it does not know.
    if (status !== 404 || name !== 'NoSuchKey' && name !== 'NotFound') return false
    this.bucketSeen = true
    return true
  }

  private async seeBucket(): Promise<void> {
    if (this.bucketSeen) return
    try {
      await this.once('list', 0, () => this.client.send(new ListObjectsV2Command({ Bucket: this.bucket, MaxKeys: 1 })))
    } catch (error) {
      const { name } = replyOf(error)
      // Credentials that may read objects may not be allowed to ask for the bucket.
      if (name !== 'AccessDenied') throw error
    }
    this.bucketSeen = true
  }
}

/** The SDK waits for ever for the rest of a reply whose connection was cut in the middle, whatever its own limits say. */
async function inTime<T>(reply: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(`no whole reply in ${ms} ms`), { name: 'TimeoutError' })), ms)
  })
  try {
    return await Promise.race([reply, late])
  } finally {
    clearTimeout(timer)
  }
}

function encryptionOf(encryption: S3Settings['encryption']): { ServerSideEncryption?: 'AES256' | 'aws:kms', SSEKMSKeyId?: string } {
  if (encryption === undefined) return {}
  if (encryption.type === 's3') return { ServerSideEncryption: 'AES256' }
  return { ServerSideEncryption: 'aws:kms', ...(encryption.key !== undefined && { SSEKMSKeyId: encryption.key }) }
}

interface ReplyOfObject {
  Size?: number | undefined
  ETag?: string | undefined
  LastModified?: Date | undefined
}

function infoOf(key: string, { Size, ETag, LastModified }: ReplyOfObject): ObjectInfo {
  return { key, size: Size ?? 0, etag: ETag ?? '', modified: LastModified?.getTime() ?? 0 }
}

/** `bytes 0-3/256` */
function sizeIn(contentRange: string | undefined): number | undefined {
  const size = /^bytes \d+-\d+\/(\d+)$/.exec(contentRange ?? '')?.[1]
  return size === undefined ? undefined : Number(size)
}

/**
 * The range that was asked for, cut out of the reply: a server may send the whole object. A reply with less, or with another range, makes another
 * attempt.
 */
function partOf(bytes: Uint8Array, reply: Pick<GetObjectCommandOutput, 'ContentLength' | 'ContentRange'>, range: ByteRange | undefined): Uint8Array {
  const { ContentLength, ContentRange } = reply
  const size = sizeIn(ContentRange)
  const { start, end } = rangeWithin(size ?? bytes.length, range)
  const isRight = size === undefined ? bytes.length === (ContentLength ?? bytes.length)
    : ContentRange === `bytes ${start}-${end - 1}/${size}` && bytes.length === end - start
  if (!isRight) {
    const announced = ContentRange ?? `${ContentLength} were announced`
    throw Object.assign(new Error(`the reply has ${bytes.length} bytes, ${announced}`), { name: 'ShortReply' })
  }
  return size === undefined && range !== undefined ? bytes.subarray(start, end) : bytes
}
