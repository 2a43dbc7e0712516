import * as v from 'valibot'
import { checkTupleDesc } from '../catalog/checkdesc.ts'
import { TUPLE_DESC, type TupleDesc } from '../catalog/tupledesc.ts'
import type { VirtualColumn } from '../catalog/virtualcolumns.ts'
import { fieldsFault } from '../columnar/columnfields.ts'
import { columnFields, type FieldHistory, parseFieldHistory } from '../columnar/fieldhistory.ts'
import type { RelationDescriptor } from '../columnar/filedescriptor.ts'
import { CorruptionError } from '../common/errors.ts'
import { crc32c } from '../common/crc32c.ts'
import {
  count, exactly, faulty, flag, integer, matching, oneOf, type Persisted, pieceLength, pieceStart, type Schema, text, unsigned32, validate,
} from '../common/validate.ts'
import { utf8Encode } from '../common/utf8.ts'
import type { EntryKey } from './state/entries.ts'
import { objectKey, type PageRef, parseText, type PieceRef } from './state/page.ts'
import type { StateInfo } from './state/relationlayers.ts'

/** What a state says of a relation with pages: its pg_class row, as a reader at the state's LSN sees it, and where its columns are described. */
export interface RelationInfo {
  readonly schema: string
  readonly name: string
  readonly oid: number
  readonly relkind: 'r' | 't' | 'm' | 'S'
  /** pg_class.relpersistence: permanent or unlogged. */
  readonly persistence: 'p' | 'u'
  /** Main fork relative to the data directory, `base/5/16384`. */
  readonly path: string
  /** False for a relation of a transaction that had not committed: no query shows it. */
  readonly visible: boolean
  /** False for a materialized view that was never filled; else absent. */
  readonly populated?: false
  /** pg_class.reltoastrelid, 0 for none. */
  readonly toastRelId: number
  /** pg_inherits: oids of its parents. */
  readonly parents: readonly number[]
  /** Bytes behind the last whole block of its main fork, which no server reads; absent for none. */
  readonly trailingBytes?: number
  /** Where its {@link TableDescription} lies. */
  readonly description: PieceRef
}

/** The columns of a table. JSON, in an object of its own, since a wide table has more to say than an entry of a state may. */
export interface TableDescription {
  /** pg_database.encoding. */
  readonly encoding: number
  readonly desc: TupleDesc
  /** Parquet names and field ids of the columns, those that it once had, too. */
  readonly fields: FieldHistory
  /** Attnums, ascending, whose columns have an `_overflow` child although their type needs none. */
  readonly overflow: readonly number[]
  readonly virtualColumns: readonly VirtualColumn[]
}

/** The check of the path of a main fork below the data directory. */
export const FORK_PATH: Schema<string> = matching(
  /^(?:global\/\d{1,10}|base\/\d{1,10}\/\d{1,10}|pg_tblspc\/\d{1,10}\/PG_\d{1,3}_\d{1,10}\/\d{1,10}\/\d{1,10})$/, 'a path of a main fork')
/** The check of a description's piece without its key, which is that of the entry's object. */
export const DESCRIPTION_REF: Schema<Omit<PieceRef, 'key'>> = v.strictObject({
  start: pieceStart, length: pieceLength, crc: unsigned32, sha256: matching(/^[\w-]{43}$/, 'a SHA-256 in base64url'),
})
const INFO = v.strictObject({
  schema: text, name: text, oid: unsigned32, relkind: oneOf(['r', 't', 'm', 'S']), persistence: oneOf(['p', 'u']), path: FORK_PATH, visible: flag,
  populated: v.exactOptional(exactly(false)), toastRelId: unsigned32, parents: v.array(unsigned32), trailingBytes: v.exactOptional(count),
  objects: v.strictTuple([objectKey]),
  description: DESCRIPTION_REF,
})

/** An entry's `info`: what {@link parseRelationInfo} reads. */
export function relationInfoJson({ description: { key, ...description }, ...info }: RelationInfo): StateInfo {
  return { ...info, objects: [key], description }
}

/** @throws CorruptionError lake.state with the member; UnsupportedError lake.state for a member that this ltap does not know */
export function parseRelationInfo(info: StateInfo | undefined, { tree, key }: EntryKey): RelationInfo {
  const { objects: [object], description, ...rest } = validate(INFO, info, { code: 'lake.state', name: `the entry ${key} of ${tree}` }, 'info')
  return { ...rest, description: { key: object, ...description } }
}

const DESCRIPTION = v.strictObject({
  encoding: integer(0, 34), desc: TUPLE_DESC, fields: v.unknown(), overflow: v.array(integer(1, 1600)),
  virtualColumns: v.array(v.strictObject({ name: text, type: text, expression: text })),
})

/** What a file of a relation pins. @param blocks length of the relation */
export function describedRelation(
  relation: Omit<RelationDescriptor, 'blocks' | 'encoding' | 'desc' | 'fields' | 'uniqueLanes' | 'overflow'>,
  { encoding, desc, fields, overflow }: TableDescription, blocks: number,
): RelationDescriptor {
  const { spcOid, dbOid, relNumber, database, schema, name, oid, relkind } = relation
  return {
    spcOid, dbOid, relNumber, database, schema, name, oid, relkind, blocks, encoding, desc,
    fields: columnFields(fields), ...(fields.uniqueLanes && { uniqueLanes: true }), ...(overflow.length > 0 && { overflow }),
  }
}

/** Same description, same bytes. */
export function encodeDescription({ encoding, desc, fields, overflow, virtualColumns }: TableDescription): Uint8Array {
  return utf8Encode(JSON.stringify({ encoding, desc, fields, overflow, virtualColumns }))
}

/**
 * @param bytes the piece that `ref` names
 * @throws CorruptionError lake.description with the member
 */
export function decodeDescription(bytes: Uint8Array, ref: PageRef): TableDescription {
  const persisted: Persisted = { code: 'lake.description', name: `the description at byte ${ref.start} of ${ref.key}` }
  if (bytes.length !== ref.length || crc32c(bytes) !== ref.crc) {
    throw new CorruptionError(persisted.code, `${persisted.name} is damaged: its ${bytes.length} bytes do not have the CRC of its reference`)
  }
  const { fields: fieldHistory, ...rest } = validate(DESCRIPTION, parseText(bytes, persisted), persisted)
  const found: TableDescription = { ...rest, fields: parseFieldHistory(fieldHistory, persisted, 'fields') }
  const fault = checkTupleDesc(found.desc)
  if (fault) throw faulty(persisted, `desc.${fault.path}`, fault.problem)
  const wrong = fieldsFault(columnFields(found.fields), found.desc)
  if (wrong) throw faulty(persisted, wrong.path, wrong.problem)
  return found
}
