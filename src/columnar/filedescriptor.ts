import * as v from 'valibot'
import { checkTupleDesc } from '../catalog/checkdesc.ts'
import { TUPLE_DESC, type TupleDesc } from '../catalog/tupledesc.ts'
import { type BlockRun, BlockSet } from '../common/blockset.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { type PgMajor, PG_MAJORS } from '../common/pgversion.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../common/rel.ts'
import { utf8Encode } from '../common/utf8.ts'
import {
  exactly, faulty, flag, integer, lsnText, matching, oneOf, parseJson, type Persisted, systemIdentifierText, text, unsigned32, validate,
} from '../common/validate.ts'
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
  /** Attnums, ascending, whose columns have an `_overflow` child although their type needs none: some value of theirs is not readable. */
  overflow?: readonly number[]
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
  /** The blocks that the file has rows of. */
  blocks: BlockSet
  /** Most frequent display scale per numeric attribute. */
  displayScales: Readonly<Record<number, number>>
  /** Most frequent pd_flags. */
  pageFlags: number
}

/** InvalidBlockNumber is no block: a relation has so many at most (block.h). */
const blockCount = integer(0, 0xffffffff)
/** The 35 backend encodings (pg_wchar.h). */
const encoding = integer(0, 34)

const RELATION = v.strictObject({
  spcOid: unsigned32, dbOid: unsigned32, relNumber: unsigned32, database: v.nullable(text), schema: text, name: text, oid: unsigned32,
  relkind: oneOf(['r', 'm', 't', 'S', 'p']), blocks: blockCount, encoding, desc: TUPLE_DESC,
  overflow: v.exactOptional(v.array(integer(1, 1600))),
})

const DESCRIPTOR = v.strictObject({
  format: exactly(FORMAT_VERSION), systemIdentifier: systemIdentifierText, major: oneOf(PG_MAJORS), checksums: flag, lsn: lsnText,
  profile: oneOf(['portable', 'iceberg']), blockSize: exactly(BLOCK_SIZE), relation: RELATION, firstBlock: blockCount, blockCount,
  // A display scale has 14 bits (numeric.c, NUMERIC_DSCALE_MASK).
  displayScales: v.record(matching(/^[1-9]\d{0,3}$/, 'an attnum'), integer(0, 0x3fff)),
  // PD_VALID_FLAG_BITS (bufpage.h).
  pageFlags: integer(0, 7),
})

const ENTRY: Persisted = { code: 'lake.footer', name: `the '${DESCRIPTOR_KEY}' entry of the footer` }

/**
 * `{"crc32c":"89abcdef","format":1,…}`: the first member is the CRC-32C of the same text without it. No page's CRC covers the
 * descriptor, and a changed letter in it may still be JSON: another relation length, another codec.
 */
const CRC_MEMBER = /^\{"crc32c":"([0-9a-f]{8})",/

/** @throws UnsupportedError lake.blocks: see {@link fileRange} */
export function encodeFileDescriptor({ blocks, displayScales, pageFlags, ...head }: FileDescriptor): string {
  const { first: firstBlock, count: blockCount } = fileRange(blocks)
  const text = JSON.stringify({ ...head, firstBlock, blockCount, displayScales, pageFlags })
  return `{"crc32c":"${checksumOf(text)}",${text.slice(1)}`
}

/**
 * What a file of format 1 can say of its blocks: one run. The empty set is the run of no blocks from 0 on.
 * @throws UnsupportedError lake.blocks for blocks with a gap between them
 */
export function fileRange(blocks: BlockSet): BlockRun {
  const range = blocks.size === 0 ? { first: 0, count: 0 } : blocks.asRange()
  if (range !== undefined) return range
  throw new UnsupportedError('lake.blocks', `a file of format ${FORMAT_VERSION} holds one run of blocks, not ${blocks.runs.length}: make a file of each`)
}

function checksumOf(text: string): string {
  return crc32c(utf8Encode(text)).toString(16).padStart(8, '0')
}

/**
 * The descriptor, each member checked: whoever writes a file also writes its checksum.
 * @throws CorruptionError lake.footer with the member, UnsupportedError lake.format
 */
export function parseFileDescriptor(entry: string | undefined): FileDescriptor {
  if (entry === undefined) throw new CorruptionError('lake.footer', `no '${DESCRIPTOR_KEY}' entry: the file is not a lake file`)
  const crc = CRC_MEMBER.exec(entry)
  const json = crc ? `{${entry.slice(crc[0].length)}` : entry
  if (crc?.[1] !== checksumOf(json)) throw new CorruptionError('lake.footer', `the '${DESCRIPTOR_KEY}' entry is not what was written`)
  const found = parseJson(json, ENTRY)
  refuseNewer(found)
  const { firstBlock, blockCount: count, ...head } = validate(DESCRIPTOR, found, ENTRY)
  const end = firstBlock + count
  if (end > head.relation.blocks) throw faulty(ENTRY, 'blockCount', `is ${count} from block ${firstBlock} on, but the relation has ${head.relation.blocks}`)
  checkDescriptor(head)
  return { ...head, blocks: BlockSet.range(firstBlock, count) }
}

const newer = v.object({ format: integer(FORMAT_VERSION + 1, Number.MAX_SAFE_INTEGER) })
const newerMajor = v.object({ major: integer(Math.max(...PG_MAJORS) + 1, 99) })

/** @throws UnsupportedError lake.format */
function refuseNewer(found: unknown): void {
  if (v.is(newer, found)) throw new UnsupportedError('lake.format', `format version ${found.format}, this ltap reads ${FORMAT_VERSION}`)
  if (v.is(newerMajor, found)) throw new UnsupportedError('lake.format', `Postgres ${found.major}, this ltap reads ${PG_MAJORS.join(', ')}`)
}

/** Members that must fit each other. */
function checkDescriptor({ relation, displayScales }: Pick<FileDescriptor, 'relation' | 'displayScales'>): void {
  const fault = checkTupleDesc(relation.desc)
  if (fault) throw faulty(ENTRY, `relation.desc.${fault.path}`, fault.problem)
  checkOverflow(relation)
  const extra = Object.keys(displayScales).find((attnum) => Number(attnum) > relation.desc.attributes.length)
  if (extra !== undefined) throw faulty(ENTRY, `displayScales[${extra}]`, 'is of no attribute')
}

function checkOverflow({ overflow = [], desc }: RelationDescriptor): void {
  const wrong = overflow.findIndex((attnum, i) => {
    const attribute = desc.attributes[attnum - 1]
    return !attribute || attribute.dropped || attribute.virtual || (i > 0 && attnum <= overflow[i - 1]!)
  })
  if (wrong >= 0) throw faulty(ENTRY, `relation.overflow[${wrong}]`, `is ${overflow[wrong]}, which is no column or not in order`)
}

export function schemaContext(descriptor: Pick<FileDescriptor, 'major' | 'profile' | 'relation' | 'displayScales' | 'pageFlags'>): SchemaContext {
  const { encoding, desc, overflow = [] } = descriptor.relation
  const { major, profile, displayScales, pageFlags } = descriptor
  return { major, profile, encoding, desc, overflow, displayScales, pageFlags }
}
