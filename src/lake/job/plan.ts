import * as v from 'valibot'
import { blockSet, blockSetText } from '../../common/blocksetcodec.ts'
import type { BlockSet } from '../../common/blockset.ts'
import { crc32c } from '../../common/crc32c.ts'
import { UnsupportedError } from '../../common/errors.ts'
import { count, faulty, flag, integer, lsnText, matching, oneOf, type Persisted, type Schema, text, unsigned32, validate } from '../../common/validate.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import { NOT_READ, type NotRead } from '../notread.ts'
import type { StatePosition } from '../state/commit.ts'
import type { EntryKey } from '../state/entries.ts'
import { parseText, PIECE_REF, type PieceRef, shortText } from '../state/page.ts'
import type { PlanReference } from '../state/head.ts'
import { STORE_USE_ENTRY, type StoreUse } from '../state/madeby.ts'
import type { StateInfo, StateLayer } from '../state/relationlayers.ts'
import { sequenceNumber, STATE_TREES } from '../state/stateroot.ts'
import { decodeStateText, encodeStateText } from '../state/statetext.ts'
import { OVERFLOW, type PlannedUnit } from './unit.ts'

/*
 * What a job is, for the commit of its results: the plan, an object of the job, and its records, pieces of further ones. All are JSON, compressed as
 * pages of a state are.
 */

/** What becomes of one relation once its files are written. */
export interface PlannedChange {
  readonly relation: EntryKey
  readonly info: StateInfo
  /** Its last member, `files`, is what the units write. Absent: the pages are as they were. */
  readonly layer?: Omit<StateLayer, 'files'>
  /** The blocks of each file, with the unit that writes it and its place in there. */
  readonly files: readonly { readonly unit: number; readonly at: number; readonly blocks: BlockSet }[]
  /** Attnums whose columns have an `_overflow` child in every file at least. */
  readonly overflow: readonly number[]
  /** Name of the database; null for the shared relations. */
  readonly database: string | null
  /** The state before has it, so that it must be removed if the relation cannot be read. */
  readonly isKnown: boolean
}

/** One thing that a commit of the job needs. */
export type PlanRecord =
  | { readonly kind: 'unit'; readonly unit: PlannedUnit }
  | { readonly kind: 'relation'; readonly number: number; readonly change: PlannedChange }
  /** An entry that does not depend on any unit; without a value it is removed. */
  | { readonly kind: 'edit'; readonly edit: EntryKey & { readonly value?: unknown } }
  /** An entry of the new state's catalog, whether or not it was there before. */
  | { readonly kind: 'catalog'; readonly key: string; readonly value: object }
  | { readonly kind: 'notread'; readonly notRead: NotRead }

export interface JobPlan {
  readonly ltap: string
  /** The data directory, where the job was planned. */
  readonly source: string
  /** The state that the relations were compared with. */
  readonly base: { readonly sequence: number; readonly timeline: number; readonly lsn: string }
  /** Where the lake is once the job is committed. */
  readonly position: StatePosition
  readonly units: number
  readonly relations: number
  readonly unchanged: number
  readonly gone: number
  readonly databases: number
  readonly heapBytes: number
  /** A sentence for each part of the cluster as a whole that is lost. */
  readonly damage: readonly string[]
  readonly records: readonly PieceRef[]
  /** What planning asked of the store until the plan was written. */
  readonly used?: StoreUse
}

const entry = { tree: oneOf(STATE_TREES), key: matching(/^[\x21-\x7e]{1,200}$/, 'a key') }
const CHANGE = v.strictObject({
  relation: v.strictObject(entry), info: v.looseObject({}),
  layer: v.exactOptional(v.strictObject({ lsn: lsnText, smallest: unsigned32, length: unsigned32 })),
  files: v.array(v.strictObject({ unit: count, at: count, blocks: blockSet })), overflow: OVERFLOW, database: v.nullable(text), isKnown: flag,
})
const RECORDS: Schema<PlanRecord[]> = v.array(v.variant('kind', [
  v.strictObject({ kind: v.literal('unit'), unit: v.strictObject({ unit: count, task: PIECE_REF, blocks: count, what: shortText }) }),
  v.strictObject({ kind: v.literal('relation'), number: count, change: CHANGE }),
  v.strictObject({ kind: v.literal('edit'), edit: v.strictObject({ ...entry, value: v.exactOptional(v.unknown()) }) }),
  v.strictObject({ kind: v.literal('catalog'), key: entry.key, value: v.looseObject({}) }),
  v.strictObject({ kind: v.literal('notread'), notRead: NOT_READ }),
])) as unknown as Schema<PlanRecord[]>

const PLAN: Schema<JobPlan> = v.strictObject({
  ltap: shortText, source: shortText, base: v.strictObject({ sequence: sequenceNumber, timeline: unsigned32, lsn: lsnText }),
  position: v.strictObject({ timeline: unsigned32, lsn: lsnText, time: v.exactOptional(integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)) }),
  units: count, relations: count, unchanged: count, gone: count, databases: count, heapBytes: count, damage: v.array(text), records: v.array(PIECE_REF),
  used: v.exactOptional(STORE_USE_ENTRY),
})

/** So many bytes of JSON a reader takes of one object or piece: it takes no more memory for what a stranger wrote. */
const TEXT_MAX = 64 << 20

export function encodePlan(plan: JobPlan, compressor: Compressor): Uint8Array {
  return encodeStateText(JSON.stringify(plan), compressor)
}

/**
 * @param ltap version of this program: what another one planned may mean something else
 * @throws CorruptionError job.plan with the member; UnsupportedError job.version
 */
export function decodePlan(bytes: Uint8Array, { key, bytes: length, crc }: PlanReference, compressor: Compressor, ltap: string): JobPlan {
  const persisted: Persisted = { code: 'job.plan', name: `the plan ${key}` }
  const found = parseText(checkedText(bytes, { length, crc }, persisted, compressor), persisted)
  const other = v.is(v.object({ ltap: text }), found) && found.ltap !== ltap ? found.ltap : undefined
  if (other === undefined) return validate(PLAN, found, persisted)
  throw new UnsupportedError('job.version',
    `the job was planned by ltap ${other}, and this is ltap ${ltap}: use the same one, or drop the job and plan it again`)
}

export function encodeRecords(records: readonly PlanRecord[], compressor: Compressor): Uint8Array {
  return encodeStateText(JSON.stringify(records.map(recordJson)), compressor)
}

function recordJson(record: PlanRecord): object {
  if (record.kind !== 'relation') return record
  const { change } = record
  return { ...record, change: { ...change, files: change.files.map(({ blocks, ...file }) => ({ ...file, blocks: blockSetText(blocks) })) } }
}

/** @throws CorruptionError job.plan with the member */
export function decodeRecords(bytes: Uint8Array, ref: PieceRef, compressor: Compressor): PlanRecord[] {
  const persisted: Persisted = { code: 'job.plan', name: `the part of a plan at byte ${ref.start} of ${ref.key}` }
  return validate(RECORDS, parseText(checkedText(bytes, ref, persisted, compressor), persisted), persisted)
}

function checkedText(bytes: Uint8Array, { length, crc }: { length: number; crc: number }, persisted: Persisted, compressor: Compressor): Uint8Array {
  if (bytes.length !== length || crc32c(bytes) !== crc) throw faulty(persisted, '', `has ${bytes.length} bytes that are not the ${length} that were written`)
  return decodeStateText(bytes, persisted, TEXT_MAX, compressor)
}
