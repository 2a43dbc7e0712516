import {
  type CompletedPart, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, PutObjectCommand, type PutObjectCommandInput, type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { assert, EnvironmentError } from '../../common/errors.ts'
import type { ObjectInfo, ObjectUpload } from '../../engine/objectstore.ts'
import type { RequestKind } from '../../lake/state/madeby.ts'
import { uploadGone } from '../../engine/uploadgone.ts'

/** Parts under way at once: memory is so many parts and the one that is filled. */
const AT_ONCE = 3
/** S3 takes 10,000 parts. After this many parts the size doubles, so that an object of 5 TB fits. */
const DOUBLE_AFTER = 1_000
/**
 * Without this, S3 keeps a CRC-64 of an object of several parts, which the SDK computes in JavaScript for each object that it reads: at about 150 MB/s.
 * It has CRC-32 from zlib.
 */
const CHECKSUM = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const

type Target = Pick<PutObjectCommandInput, 'Bucket' | 'Key' | 'ServerSideEncryption' | 'SSEKMSKeyId'>

/** Sends requests, and counts them. */
export interface S3Sender {
  readonly client: S3Client
  /** Repeats the request while that may help. @throws EnvironmentError store.* */
  often<T>(kind: RequestKind, key: string | undefined, bytes: number, send: () => Promise<T>): Promise<T>
  head(key: string): Promise<ObjectInfo | undefined>
  removeUpload(key: string, id: string | undefined): Promise<void>
  /** Whether the store says that there is no such upload. False where it does not answer. */
  isUploadGone(key: string, id: string | undefined): Promise<boolean>
}

/** A multipart upload; an object that fits into one part is put in one request. */
export class S3Upload implements ObjectUpload {
  private readonly sender: S3Sender
  private readonly key: string
  private readonly target: Target
  private partSize: number
  private part: Uint8Array
  private filled = 0
  private size = 0
  private uploadId: string | undefined
  private readonly parts: CompletedPart[] = []
  private readonly underWay = new Set<Promise<void>>()
  private failure: unknown
  private hasEnded = false

  constructor(sender: S3Sender, key: string, target: Target, partSize: number) {
    this.sender = sender
    this.key = key
    this.target = target
    this.partSize = partSize
    this.part = new Uint8Array(0)
  }

  async write(bytes: Uint8Array): Promise<void> {
    assert(!this.hasEnded, 'a write to an upload that ended')
    this.size += bytes.length
    for (let at = 0; at < bytes.length;) {
      // Only a full part is sent: the last one, which may be small, waits for the end.
      if (this.filled === this.partSize) await this.sendPart()
      const count = Math.min(bytes.length - at, this.partSize - this.filled)
      this.fill(bytes.subarray(at, at + count))
      at += count
    }
  }

  async finish(): Promise<{ etag: string, size: number }> {
    assert(!this.hasEnded, 'an upload ends once')
    const { client } = this.sender
    if (this.uploadId === undefined) {
      const Body = this.part.subarray(0, this.filled)
      const { ETag } = await this.sender.often('upload', this.key, Body.length, () => client.send(new PutObjectCommand({ ...this.target, Body })))
      this.hasEnded = true
      return { etag: ETag ?? '', size: this.size }
    }
    await this.sendPart()
    await Promise.all(this.underWay)
    await this.throwFailure()
    const etag = await this.complete()
    this.hasEnded = true
    return { etag, size: this.size }
  }

  async abort(): Promise<void> {
    if (this.hasEnded) return
    this.hasEnded = true
    this.part = new Uint8Array(0)
    await Promise.all(this.underWay)
    if (this.uploadId === undefined) return
    try {
      await this.sender.removeUpload(this.key, this.uploadId)
    } catch (error) {
      // Its parts are no object; gc or a rule of the bucket removes them (AbortIncompleteMultipartUpload).
      if (!(error instanceof EnvironmentError)) throw error
    }
  }

  private fill(bytes: Uint8Array): void {
    if (this.filled + bytes.length > this.part.length) {
      const larger = new Uint8Array(Math.min(this.partSize, Math.max(this.filled + bytes.length, this.part.length * 2, 1 << 16)))
      larger.set(this.part.subarray(0, this.filled))
      this.part = larger
    }
    this.part.set(bytes, this.filled)
    this.filled += bytes.length
  }

  private async sendPart(): Promise<void> {
    const { client } = this.sender
    const { Bucket, Key } = this.target
    const begin = { ...this.target, ...CHECKSUM }
    this.uploadId ??= (await this.sender.often('upload', this.key, 0, () => client.send(new CreateMultipartUploadCommand(begin)))).UploadId
    while (this.underWay.size >= AT_ONCE) await Promise.race(this.underWay)
    await this.throwFailure()
    const Body = this.part.subarray(0, this.filled)
    const PartNumber = this.parts.length + 1
    const part: CompletedPart = { PartNumber }
    this.parts.push(part)
    const command = { Bucket, Key, UploadId: this.uploadId, PartNumber, Body, ChecksumAlgorithm: CHECKSUM.ChecksumAlgorithm }
    const sending = this.sender.often('upload', this.key, Body.length, () => client.send(new UploadPartCommand(command)))
      .then(({ ETag, ChecksumCRC32 }) => void Object.assign(part, { ETag, ChecksumCRC32 }), (error: unknown) => { this.failure ??= error })
      .finally(() => this.underWay.delete(sending))
    this.underWay.add(sending)
    if (PartNumber % DOUBLE_AFTER === 0) this.partSize *= 2
    this.part = new Uint8Array(0)
    this.filled = 0
  }

  private async complete(): Promise<string> {
    const { Bucket, Key } = this.target
    const command = { Bucket, Key, UploadId: this.uploadId, ChecksumType: CHECKSUM.ChecksumType, MultipartUpload: { Parts: this.parts } }
    let attempts = 0
    try {
      return await this.sender.often('upload', this.key, 0, async () => {
        attempts++
        return (await this.sender.client.send(new CompleteMultipartUploadCommand(command))).ETag ?? ''
      })
    } catch (error) {
      if (!await this.isGone(error)) throw error
    }
    // An attempt before may have succeeded, and its reply was lost.
    const info = attempts > 1 ? await this.sender.head(this.key) : undefined
    if (info?.size === this.size) return info.etag
    throw this.gone()
  }

  private async throwFailure(): Promise<void> {
    if (this.failure === undefined) return
    throw await this.isGone(this.failure) ? this.gone() : this.failure
  }

  /** A store that removes an upload while a request for it is under way may answer with any error: versitygw fails to write the part. */
  private async isGone(failure: unknown): Promise<boolean> {
    if (!(failure instanceof EnvironmentError)) return false
    return failure.code === 'store.upload-gone' || await this.sender.isUploadGone(this.key, this.uploadId)
  }

  private gone(): EnvironmentError {
    return uploadGone(`s3://${this.target.Bucket}/${this.target.Key}`)
  }
}
