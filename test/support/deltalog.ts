import { crc32 } from 'node:zlib'
import type { RowSet } from '../../src/columnar/filesummary.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { decodeBitmap } from './roaring.ts'

/** A Delta log as PROTOCOL.md defines it, replayed version by version. It shares no code with what writes one, and refuses what the protocol forbids. */

interface Vector { storageType: string; pathOrInlineDv: string; offset?: number; sizeInBytes: number; cardinality: number }
export interface FileAction { path: string; size: number; dataChange: boolean; stats?: string; deletionVector?: Vector; extendedFileMetadata?: boolean }
interface Protocol { minReaderVersion: number; minWriterVersion: number; readerFeatures: string[]; writerFeatures: string[] }
interface MetaData { id: string; name: string; schemaString: string; configuration: Record<string, string> }
export interface Action {
  commitInfo?: Record<string, unknown> & { inCommitTimestamp: number }
  protocol?: Protocol; metaData?: MetaData; txn?: { appId: string; version: number }; add?: FileAction; remove?: FileAction
}

export interface LiveFile extends FileAction {
  hidden: RowSet
  numRecords: number
}

export type Objects = ReadonlyMap<string, Uint8Array>

function wanted(isRight: boolean, what: string): asserts isRight {
  if (!isRight) throw new Error(`Delta log: ${what}`)
}

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

function z85Decode(text: string): Uint8Array {
  wanted(text.length % 5 === 0, `Z85 of ${text.length} characters`)
  const bytes = Buffer.alloc(text.length / 5 * 4)
  for (let at = 0; at < text.length; at += 5) {
    const word = Array.from(text.slice(at, at + 5)).reduce((sum, digit) => sum * 85 + DIGITS.indexOf(digit), 0)
    bytes.writeUInt32BE(word, at / 5 * 4)
  }
  return bytes
}

function bitmapOf(vector: Vector, objects: Objects, folder: string): Uint8Array {
  const { storageType, pathOrInlineDv, offset, sizeInBytes } = vector
  if (storageType === 'i') {
    wanted(offset === undefined, 'an offset of an inline deletion vector')
    return z85Decode(pathOrInlineDv).subarray(0, sizeInBytes)
  }
  wanted(storageType === 'u', `storage type ${storageType}`)
  const hex = Buffer.from(z85Decode(pathOrInlineDv.slice(-20))).toString('hex')
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
  const prefix = pathOrInlineDv.slice(0, -20)
  const file = objects.get(`${folder}/${prefix === '' ? '' : `${prefix}/`}deletion_vector_${uuid}.bin`)
  wanted(file !== undefined, `no file of the deletion vector ${pathOrInlineDv}`)
  const bytes = Buffer.from(file)
  wanted(bytes[0] === 1 && bytes.readUInt32BE(offset) === sizeInBytes, `no deletion vector of ${sizeInBytes} bytes at ${offset}`)
  const bitmap = bytes.subarray(offset! + 4, offset! + 4 + sizeInBytes)
  wanted(bytes.readUInt32BE(offset! + 4 + sizeInBytes) === crc32(bitmap), 'CRC of a deletion vector')
  return bitmap
}

function uniqueId(vector: Vector | undefined): string {
  return vector === undefined ? '' : `${vector.storageType}${vector.pathOrInlineDv}${vector.offset === undefined ? '' : `@${vector.offset}`}`
}

/** A table of a Delta log at one version. */
export class ReplayedDelta {
  readonly files = new Map<string, LiveFile>()
  readonly txns = new Map<string, number>()
  protocol: Protocol | undefined
  metaData: MetaData | undefined
  timestamp = -1
  version = -1
  private readonly objects: Objects
  private readonly folder: string

  constructor(objects: Objects, folder: string) {
    this.objects = objects
    this.folder = folder
  }

  /** Applies the next version, whose file must be there. */
  next(): this {
    const version = this.version + 1
    const file = this.objects.get(`${this.folder}/_delta_log/${String(version).padStart(20, '0')}.json`)
    wanted(file !== undefined, `no file of version ${version}`)
    const text = Buffer.from(file).toString('utf8')
    wanted(text.endsWith('\n'), 'the last line has no end')
    const actions = text.slice(0, -1).split('\n').map((line) => JSON.parse(line) as Action)
    const { commitInfo } = actions[0]!
    wanted(commitInfo !== undefined && commitInfo.inCommitTimestamp > this.timestamp, `commitInfo of version ${version}`)
    this.timestamp = commitInfo.inCommitTimestamp
    this.version = version
    this.apply(actions)
    return this
  }

  /** Applies actions of one version, or of a checkpoint, in the order that the protocol asks for. */
  apply(actions: readonly Action[]): void {
    for (const { protocol, metaData, txn } of actions) {
      if (protocol) this.protocol = protocol
      if (metaData) this.metaData = metaData
      if (txn) this.txns.set(txn.appId, txn.version)
    }
    const removed = actions.flatMap(({ remove }) => remove ?? [])
    const added = actions.flatMap(({ add }) => add ?? [])
    for (const list of [removed, added]) wanted(new Set(list.map(({ path }) => path)).size === list.length, `a path twice in version ${this.version}`)
    for (const { path, deletionVector, extendedFileMetadata, size } of removed) {
      const live = this.files.get(path)
      wanted(live !== undefined && uniqueId(live.deletionVector) === uniqueId(deletionVector), `${path} is removed and not there`)
      wanted(extendedFileMetadata === true && size === live.size, `what version ${this.version} says of ${path}`)
      this.files.delete(path)
    }
    for (const add of added) this.add(add)
    wanted(this.protocol !== undefined && this.metaData !== undefined, 'no protocol or no metaData')
  }

  private add(add: FileAction): void {
    const { path, stats, deletionVector } = add
    wanted(!this.files.has(path), `${path} is added and there`)
    const { numRecords } = JSON.parse(stats!) as { numRecords: number }
    const hidden = deletionVector === undefined ? BlockSet.EMPTY : decodeBitmap(bitmapOf(deletionVector, this.objects, this.folder))
    wanted(hidden.size === (deletionVector?.cardinality ?? 0) && (hidden.size === 0 || hidden.at(hidden.size - 1) < numRecords), `the deletion vector of ${path}`)
    this.files.set(path, { ...add, hidden, numRecords })
  }
}
