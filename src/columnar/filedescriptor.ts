import * as v from 'valibot'
import { checkTupleDesc } from '../catalog/checkdesc.ts'
import { TUPLE_DESC, type TupleDesc } from '../catalog/tupledesc.ts'
import { type BlockRun, BlockSet } from '../common/blockset.ts'
import { blockSet, blockSetText } from '../common/blocksetcodec.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { type PgMajor, PG_MAJORS } from '../common/pgversion.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../common/rel.ts'
import { utf8Encode } from '../common/utf8.ts'
import {
  exactly, faulty, flag, integer, lsnText, matching, oneOf, parseJson, type Persisted, systemIdentifierText, text, unsigned32, validate,
} from '../common/validate.ts'
import { pinOutside } from '../datum/registry.ts'
import { type CodecContext, COMPOSITE_HEADER, type CompositeHeader, type TypeProfile } from '../datum/typedef.ts'
import { COLUMN_FIELDS, type ColumnFields, fieldsFault } from './columnfields.ts'
import type { SchemaContext } from './schema.ts'

/** Version of everything a lake file means: prediction rules, type table, layout. A reader refuses what it does not know. */
export type FormatVersion = 1 | 2
/** The version of a lake that is one folder with a manifest. */
export const FORMAT_VERSION = 1
/** The version of a file of a layer: its blocks may have gaps, and its columns keep their names and field ids. */
const LAYER_FORMAT_VERSION = 2
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
  /** Names and field ids of the columns, in order of attnums, as they were once allocated. A file that has them is of format 2, others of format 1. */
  fields?: readonly ColumnFields[]
  /** The lanes of `_ltap` have names that no other field has (see physical.ts). */
  uniqueLanes?: true
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
  format: FormatVersion
  blockSize: number
  relation: RelationDescriptor
  /** The blocks that the file has rows of. */
  blocks: BlockSet
  /** Most frequent display scale per numeric attribute. */
  displayScales: Readonly<Record<number, number>>
  /** Most frequent pd_flags. */
  pageFlags: number
  /** Headers that values of composite types are predicted to have, by type oid, in format 2; of another type the plain one. */
  compositeHeaders?: Readonly<Record<number, CompositeHeader>>
  /** Name of the program that compressed the columns, in format 2; Parquet's own footer says with which codec. */
  compressor?: string
}

/** A relation has at most 0xffffffff blocks, because that number is InvalidBlockNumber (block.h). */
const blockCount = integer(0, 0xffffffff)
/** The 35 backend encodings (pg_wchar.h). */
const encoding = integer(0, 34)

const RELATION_ENTRIES = {
  spcOid: unsigned32, dbOid: unsigned32, relNumber: unsigned32, database: v.nullable(text), schema: text, name: text, oid: unsigned32,
  relkind: oneOf(['r', 'm', 't', 'S', 'p']), blocks: blockCount, encoding, desc: TUPLE_DESC,
  overflow: v.exactOptional(v.array(integer(1, 1600))),
}

const ENTRIES = {
  systemIdentifier: systemIdentifierText, major: oneOf(PG_MAJORS), checksums: flag, lsn: lsnText,
  profile: oneOf(['portable', 'iceberg']), blockSize: exactly(BLOCK_SIZE),
  // A display scale has 14 bits (numeric.c, NUMERIC_DSCALE_MASK).
  displayScales: v.record(matching(/^[1-9]\d{0,3}$/, 'an attnum'), integer(0, 0x3fff)),
  // PD_VALID_FLAG_BITS (bufpage.h).
  pageFlags: integer(0, 7),
}

const DESCRIPTOR = v.strictObject({
  format: exactly(FORMAT_VERSION), ...ENTRIES, relation: v.strictObject(RELATION_ENTRIES), firstBlock: blockCount, blockCount,
})
const LAYER_DESCRIPTOR = v.strictObject({
  format: exactly(LAYER_FORMAT_VERSION), ...ENTRIES, blocks: blockSet,
  relation: v.strictObject({ ...RELATION_ENTRIES, fields: COLUMN_FIELDS, uniqueLanes: v.exactOptional(exactly(true)) }),
  compositeHeaders: v.exactOptional(v.record(matching(/^[1-9]\d{0,9}$/, 'an oid of a type'), COMPOSITE_HEADER)),
  compressor: matching(/^[a-z0-9][a-z0-9.:-]{0,63}$/, 'the name of a compressor'),
})

const ENTRY: Persisted = { code: 'lake.footer', name: `the '${DESCRIPTOR_KEY}' entry of the footer` }

/**
 * `{"crc32c":"89abcdef","format":1,…}`: the first member is the CRC-32C of the same text without it. No page's CRC covers the
 * descriptor, and a changed letter in it may still be JSON: another relation length, another codec.
 */
const CRC_MEMBER = /^\{"crc32c":"([0-9a-f]{8})",/

/** @throws UnsupportedError lake.blocks: see {@link fileRange} */
export function encodeFileDescriptor(descriptor: FileDescriptor): string {
  const text = JSON.stringify(descriptor.format === FORMAT_VERSION ? asFormat1(descriptor) : { ...descriptor, blocks: blockSetText(descriptor.blocks) })
  return `{"crc32c":"${checksumOf(text)}",${text.slice(1)}`
}

function asFormat1({ blocks, displayScales, pageFlags, ...head }: FileDescriptor): object {
  const { first: firstBlock, count } = fileRange(blocks)
  return { ...head, firstBlock, blockCount: count, displayScales, pageFlags }
}

/** The format of a file of this relation. */
export function formatOf({ fields }: Pick<RelationDescriptor, 'fields'>): FormatVersion {
  return fields === undefined ? FORMAT_VERSION : LAYER_FORMAT_VERSION
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
 * The descriptor, each member checked: a stranger who writes a file also writes its checksum.
 * @throws CorruptionError lake.footer with the member, UnsupportedError lake.format
 */
export function parseFileDescriptor(entry: string | undefined): FileDescriptor {
  if (entry === undefined) throw new CorruptionError('lake.footer', `no '${DESCRIPTOR_KEY}' entry: the file is not a lake file`)
  const crc = CRC_MEMBER.exec(entry)
  const json = crc ? `{${entry.slice(crc[0].length)}` : entry
  if (crc?.[1] !== checksumOf(json)) throw new CorruptionError('lake.footer', `the '${DESCRIPTOR_KEY}' entry is not what was written`)
  const found = parseJson(json, ENTRY)
  refuseNewer(found)
  const descriptor = v.is(layered, found) ? validate(LAYER_DESCRIPTOR, found, ENTRY) : ofFormat1(found)
  checkDescriptor(descriptor)
  return descriptor
}

function ofFormat1(found: unknown): FileDescriptor {
  const { firstBlock, blockCount: count, ...head } = validate(DESCRIPTOR, found, ENTRY)
  const end = firstBlock + count
  if (end > head.relation.blocks) throw faulty(ENTRY, 'blockCount', `is ${count} from block ${firstBlock} on, but the relation has ${head.relation.blocks}`)
  return { ...head, blocks: BlockSet.range(firstBlock, count) }
}

const layered = v.object({ format: exactly(LAYER_FORMAT_VERSION) })
const newer = v.object({ format: integer(LAYER_FORMAT_VERSION + 1, Number.MAX_SAFE_INTEGER) })
const newerMajor = v.object({ major: integer(Math.max(...PG_MAJORS) + 1, 99) })

/** @throws UnsupportedError lake.format */
function refuseNewer(found: unknown): void {
  const read = `this ltap reads ${FORMAT_VERSION} and ${LAYER_FORMAT_VERSION}`
  if (v.is(newer, found)) throw new UnsupportedError('lake.format', `format version ${found.format}, ${read}: use a newer ltap`)
  if (v.is(newerMajor, found)) throw new UnsupportedError('lake.format', `Postgres ${found.major}, this ltap reads ${PG_MAJORS.join(', ')}: use a newer ltap`)
}

/** Members that must fit each other. */
function checkDescriptor({ relation, displayScales, compositeHeaders = {}, blocks }: FileDescriptor): void {
  const last = blocks.runs.at(-1)
  if (last && last.first + last.count > relation.blocks) {
    throw faulty(ENTRY, 'blocks', `has block ${last.first + last.count - 1}, but the relation has ${relation.blocks}`)
  }
  const fault = checkTupleDesc(relation.desc)
  if (fault) throw faulty(ENTRY, `relation.desc.${fault.path}`, fault.problem)
  checkOverflow(relation)
  const wrong = relation.fields && fieldsFault(relation.fields, relation.desc)
  if (wrong) throw faulty(ENTRY, `relation.${wrong.path}`, wrong.problem)
  const extra = Object.keys(displayScales).find((attnum) => Number(attnum) > relation.desc.attributes.length)
  if (extra !== undefined) throw faulty(ENTRY, `displayScales[${extra}]`, 'is of no attribute')
  const composites = new Set(relation.desc.types.filter(({ kind }) => kind === 'composite').map(({ oid }) => oid))
  const other = Object.keys(compositeHeaders).find((oid) => !composites.has(Number(oid)))
  if (other !== undefined) throw faulty(ENTRY, `compositeHeaders[${other}]`, 'is of no composite type')
}

function checkOverflow({ overflow = [], desc }: RelationDescriptor): void {
  const wrong = overflow.findIndex((attnum, i) => {
    const attribute = desc.attributes[attnum - 1]
    return !attribute || attribute.dropped || attribute.virtual || (i > 0 && attnum <= overflow[i - 1]!)
  })
  if (wrong >= 0) throw faulty(ENTRY, `relation.overflow[${wrong}]`, `is ${overflow[wrong]}, which is no column or not in order`)
}

/** @param extensions codecs from outside, by typname; those that the descriptor does not pin are not used */
export function schemaContext(
  descriptor: Pick<FileDescriptor, 'major' | 'profile' | 'relation' | 'displayScales' | 'pageFlags' | 'compositeHeaders'>,
  extensions?: CodecContext['extensions'],
): SchemaContext {
  const { encoding, desc, overflow = [], fields, uniqueLanes } = descriptor.relation
  const { major, profile, displayScales, pageFlags, compositeHeaders = {} } = descriptor
  const headers = new Map(Object.entries(compositeHeaders).map(([oid, header]) => [Number(oid), header]))
  const pinned = new Set(desc.types.filter(({ outside }) => outside).map(({ name }) => name))
  const used = new Map([...extensions ?? []].filter(([name]) => pinned.has(name)))
  return {
    major, profile, encoding, desc, overflow, displayScales, pageFlags, ...(fields && { fields }), ...(uniqueLanes && { uniqueLanes }),
    ...(headers.size > 0 && { compositeHeaders: headers }),
    ...(used.size > 0 && { extensions: used }),
  }
}

/** The descriptor of files whose values of some types are read by codecs from outside: those types are marked in it. */
export function withCodecs(
  relation: RelationDescriptor, { major, profile }: Pick<ClusterDescriptor, 'major' | 'profile'>, extensions: CodecContext['extensions'],
): RelationDescriptor {
  if (extensions === undefined || extensions.size === 0) return relation
  const types = pinOutside(relation.desc.types, { major, profile, encoding: relation.encoding, extensions })
  return { ...relation, desc: { ...relation.desc, types } }
}
