import * as v from 'valibot'
import type { LaneCounts } from '../../columnar/lanes.ts'
import { count, integer, type Persisted, type Schema, text, unsigned32, validate } from '../../common/validate.ts'
import { LANES, type ObjectReference } from '../layer.ts'
import { STORE_USE_ENTRY, type StoreUse } from '../state/madeby.ts'
import { objectKey, parseText, shortText } from '../state/page.ts'
import { IDENTITY, type JobIdentity, parseLine } from './identity.ts'
import { OVERFLOW } from './unit.ts'

/** A file of a layer that a worker wrote. */
export interface FileResult {
  /** What the state says of the file (layer.ts). */
  readonly file: unknown
  readonly rows: number
  readonly bytes: number
  readonly hiddenRows: number
  readonly lanes: Partial<LaneCounts>
  readonly damaged: readonly { readonly block: number; readonly error: string }[]
  /** Full xids of transactions that rows of the file depend on. */
  readonly unresolved: readonly number[]
  readonly losses: readonly string[]
  /** Attnums whose columns have an `_overflow` child in the file. */
  readonly overflow: readonly number[]
}

/** With `carry`: the disk does not give a block of the relation, so it is not read. */
export interface UnreadableResult {
  /** The error's message. */
  readonly unreadable: string
}

/** The results of a unit's files, in their order. */
export type UnitResults = readonly (FileResult | UnreadableResult)[]

/** What became of a unit: one attempt. A line of JSON. */
export interface UnitResult extends JobIdentity {
  readonly unit: number
  readonly files?: UnitResults
  /** Packs that it wrote. */
  readonly packs?: readonly ObjectReference[]
  /** Where they are if a line has no room for them. */
  readonly object?: ObjectReference
  /** What the worker asked of the store since the line before. */
  readonly used?: StoreUse
  /** Why the unit could not be done. */
  readonly error?: { readonly code: string; readonly message: string }
}

const FILES: Schema<UnitResults> = v.array(v.union([
  v.strictObject({
    file: v.looseObject({}), rows: count, bytes: count, hiddenRows: count, lanes: LANES, damaged: v.array(v.strictObject({ block: unsigned32, error: text })),
    unresolved: v.array(count), losses: v.array(text), overflow: OVERFLOW,
  }),
  v.strictObject({ unreadable: text }),
], 'what was written of a file'))
const OBJECT = v.strictObject({ key: objectKey, bytes: integer(1, Number.MAX_SAFE_INTEGER), crc: unsigned32 })
const RESULT: Schema<UnitResult> = v.strictObject({
  ...IDENTITY, unit: count, files: v.exactOptional(FILES),
  packs: v.exactOptional(v.array(OBJECT)), object: v.exactOptional(OBJECT),
  used: v.exactOptional(STORE_USE_ENTRY), error: v.exactOptional(v.strictObject({ code: shortText, message: text })),
})

/**
 * @param ltap version of this program @param name what messages call the line
 * @throws CorruptionError job.result with the member; UnsupportedError job.version, job.result for a member that this ltap does not know
 */
export function parseResult(line: string, ltap: string, name: string): UnitResult {
  const persisted: Persisted = { code: 'job.result', name }
  return validate(RESULT, parseLine(line, ltap, persisted), persisted)
}

/** @param bytes of the object that has them @throws CorruptionError job.result with the member */
export function parseFiles(bytes: Uint8Array, name: string): UnitResults {
  const persisted: Persisted = { code: 'job.result', name }
  return validate(FILES, parseText(bytes, persisted), persisted)
}
