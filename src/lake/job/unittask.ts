import * as v from 'valibot'
import { type ClusterDescriptor, encodeFileDescriptor, formatOf, parseFileDescriptor, type RelationDescriptor } from '../../columnar/filedescriptor.ts'
import type { Compression } from '../../columnar/planfile.ts'
import type { BlockSet } from '../../common/blockset.ts'
import { type PgMajor, PG_MAJORS } from '../../common/pgversion.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { count, integer, matching, oneOf, type Persisted, systemIdentifierText, text, unsigned32, validate } from '../../common/validate.ts'
import { COMPRESSOR } from '../../parquet/encoderfacts.ts'
import { FORK_PATH } from '../relationinfo.ts'
import { objectKey, parseText } from '../state/page.ts'

/** How the data directory is read: the same on every machine. */
export interface UnitReading {
  readonly onCorrupt: 'fail' | 'carry'
  readonly unknownTransactions: 'hide' | 'show'
  readonly major?: PgMajor
  /** Decimal text. */
  readonly systemIdentifier?: string
  readonly nextXid?: { readonly low: number; readonly epoch: number }
}

/** Files of a main fork below the data directory. */
export interface UnitFork {
  readonly path: string
  readonly segments: readonly number[]
}

/** What a pack says of a relation beside its pages. */
export interface UnitPack {
  /** Key of the relation's entry in the state. */
  readonly entry: string
  readonly smallest: number
  readonly length: number
}

/** One file of a layer to write. */
export interface UnitFile {
  /** Number of its relation in the job. */
  readonly relation: number
  readonly descriptor: RelationDescriptor
  readonly cluster: ClusterDescriptor
  readonly blocks: BlockSet
  readonly fork: UnitFork
  /** The pages go into a pack of the unit: what that says of the relation. */
  readonly pack?: UnitPack
  readonly toast?: UnitFork & { readonly oid: number; readonly blocks: number }
  /** Key of the folder of its table, if that is not the one of its name: a published table keeps its folder when it is renamed. */
  readonly folder?: string
}

/** What a unit is about. JSON, a piece of an object of the job. */
export interface UnitTask {
  readonly reading: UnitReading
  readonly compression: Compression
  /** Types whose values are read by codecs from outside, by typname. */
  readonly codecs: readonly string[]
  readonly files: readonly UnitFile[]
}

const FORK = { path: FORK_PATH, segments: v.array(unsigned32) }
const TASK = v.strictObject({
  reading: v.strictObject({
    onCorrupt: oneOf(['fail', 'carry']), unknownTransactions: oneOf(['hide', 'show']), major: v.exactOptional(oneOf(PG_MAJORS)),
    systemIdentifier: v.exactOptional(systemIdentifierText), nextXid: v.exactOptional(v.strictObject({ low: unsigned32, epoch: integer(0, 0x1fffff) })),
  }),
  compression: oneOf(['snappy', 'zstd', 'none']), codecs: v.array(text),
  files: v.array(v.strictObject({
    relation: count, descriptor: text, fork: v.strictObject(FORK),
    pack: v.exactOptional(v.strictObject({ entry: matching(/^[\x21-\x7e]{1,200}$/, 'a key'), smallest: unsigned32, length: unsigned32 })),
    toast: v.exactOptional(v.strictObject({ ...FORK, oid: unsigned32, blocks: count })), folder: v.exactOptional(objectKey),
  })),
})

/** A relation, its cluster and the blocks of a file travel as the footer of such a file does: with a checksum. */
export function encodeUnitTask({ files, ...rest }: UnitTask): Uint8Array {
  return utf8Encode(JSON.stringify({
    ...rest, files: files.map(({ descriptor, cluster, blocks, ...file }) => ({ ...file, descriptor: footerOf({ descriptor, cluster, blocks }) })),
  }))
}

/** What the footer of a file of a layer has. */
type Described = Pick<UnitFile, 'descriptor' | 'cluster' | 'blocks'>

function footerOf({ descriptor: relation, cluster, blocks }: Described): string {
  return encodeFileDescriptor({
    format: formatOf(relation), blockSize: BLOCK_SIZE, ...cluster, relation, blocks, displayScales: {}, pageFlags: 0, compressor: COMPRESSOR,
  })
}

/** @throws CorruptionError job.task with the member, lake.footer; UnsupportedError */
export function decodeUnitTask(bytes: Uint8Array, name: string): UnitTask {
  const persisted: Persisted = { code: 'job.task', name }
  const { files, ...rest } = validate(TASK, parseText(bytes, persisted), persisted)
  return { ...rest, files: files.map(({ descriptor, ...file }) => ({ ...file, ...described(descriptor) })) }
}

/** The relation has its members in the order in which they were written: a file has the same bytes on any machine. */
function described(footer: string): Described {
  const { systemIdentifier, major, checksums, lsn, profile, blocks } = parseFileDescriptor(footer)
  const { relation } = JSON.parse(footer) as { relation: RelationDescriptor }
  return { descriptor: relation, cluster: { systemIdentifier, major, checksums, lsn, profile }, blocks }
}
