import type { TupleDesc } from '../catalog/tupledesc.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { type PgMajor, PG_MAJORS } from '../common/pgversion.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../common/rel.ts'
import { utf8Encode } from '../common/utf8.ts'
import type { TypeProfile } from '../datum/typedef.ts'
import type { SchemaContext } from './schema.ts'

/** Version of everything a lake file means: prediction rules, type table, layout. A reader refuses what it does not know. */
export const FORMAT_VERSION = 1
/** Key of the descriptor among a Parquet footer's key-values. */
export const DESCRIPTOR_KEY = 'ltap'

/** A relation as its file pins it: all that transcoding and rebuilding need to know, apart from pages. */
export interface RelationDescriptor extends RelFileLocator {
  /** Database name; null for shared relations. */
  database: string | null
  schema: string
  name: string
  oid: number
  relkind: string
  /** Blocks of the main fork. */
  blocks: number
  /** pg_database.encoding of the bytes. */
  encoding: number
  desc: TupleDesc
}

/** The cluster a file's pages came from, and how they are written. */
export interface ClusterDescriptor {
  /** Decimal text of the 64-bit system identifier. */
  systemIdentifier: string
  major: PgMajor
  /** The cluster has data checksums. */
  checksums: boolean
  /** `16/B374D848`: the checkpoint at which the pages were read. */
  lsn: string
  profile: TypeProfile
}

/** The JSON in every file's footer: a file is self-sufficient, rebuilding reads nothing else. */
export interface FileDescriptor extends ClusterDescriptor {
  format: number
  blockSize: number
  relation: RelationDescriptor
  /** First block of this file, and how many blocks it holds. */
  firstBlock: number
  blockCount: number
  /** Most frequent display scale per numeric attribute. */
  displayScales: Readonly<Record<number, number>>
  /** Most frequent pd_flags. */
  pageFlags: number
}

/**
 * `{"crc32c":"89abcdef","format":1,…}`: the first member is the CRC-32C of the same text without it. No page's CRC covers the
 * descriptor, and a changed letter in it may still be JSON: another relation length, another codec.
 */
const CRC_MEMBER = /^\{"crc32c":"([0-9a-f]{8})",/

export function encodeFileDescriptor(descriptor: FileDescriptor): string {
  const text = JSON.stringify(descriptor)
  return `{"crc32c":"${checksumOf(text)}",${text.slice(1)}`
}

function checksumOf(text: string): string {
  return crc32c(utf8Encode(text)).toString(16).padStart(8, '0')
}

/** @throws CorruptionError lake.footer, UnsupportedError lake.format */
export function parseFileDescriptor(entry: string | undefined): FileDescriptor {
  if (entry === undefined) throw new CorruptionError('lake.footer', `no '${DESCRIPTOR_KEY}' entry: not a file of a lake`)
  const crc = CRC_MEMBER.exec(entry)
  const text = crc ? `{${entry.slice(crc[0].length)}` : entry
  if (crc?.[1] !== checksumOf(text)) throw new CorruptionError('lake.footer', `the '${DESCRIPTOR_KEY}' entry is not what was written`)
  const descriptor = JSON.parse(text) as FileDescriptor
  if (descriptor.format !== FORMAT_VERSION) {
    throw new UnsupportedError('lake.format', `format version ${descriptor.format}, this ltap reads ${FORMAT_VERSION}`)
  }
  if (!PG_MAJORS.includes(descriptor.major) || descriptor.blockSize !== BLOCK_SIZE || !Array.isArray(descriptor.relation?.desc?.attributes)) {
    throw new CorruptionError('lake.footer', `the '${DESCRIPTOR_KEY}' entry does not describe a relation`)
  }
  return descriptor
}

export function schemaContext(descriptor: Pick<FileDescriptor, 'major' | 'profile' | 'relation' | 'displayScales' | 'pageFlags'>): SchemaContext {
  const { encoding, desc } = descriptor.relation
  return { major: descriptor.major, profile: descriptor.profile, encoding, desc, displayScales: descriptor.displayScales, pageFlags: descriptor.pageFlags }
}
