import * as v from 'valibot'
import { count, integer, type Persisted, type Schema, validate } from '../../common/validate.ts'
import { PIECE_REF, type PieceRef, shortText } from '../state/page.ts'
import { IDENTITY, type JobIdentity, parseLine } from './identity.ts'

/** Columns, by attnum, that get an `_overflow` child, of one relation of a job: a value in another of its files needs it. */
export interface RelationOverflow {
  /** Number of the relation in the job. */
  readonly relation: number
  readonly overflow: readonly number[]
}

/** Work for one process: files of a layer to write. A line of JSON. */
export interface Unit extends JobIdentity {
  readonly unit: number
  /** The data directory, where the job was planned. */
  readonly source: string
  /** The piece of an object of the job that says what is to be written (unittask.ts). */
  readonly task: PieceRef
  readonly blocks: number
  /** Names of relations, for people. */
  readonly what: string
  /** What was learnt since the plan was made. */
  readonly overflow?: readonly RelationOverflow[]
}

/** What a job knows of a unit before it is done. */
export type PlannedUnit = Pick<Unit, 'unit' | 'task' | 'blocks' | 'what'>

export const OVERFLOW: Schema<readonly number[]> = v.array(integer(1, 1600))
const UNIT: Schema<Unit> = v.strictObject({
  ...IDENTITY, unit: count, source: shortText, task: PIECE_REF, blocks: count, what: shortText,
  overflow: v.exactOptional(v.array(v.strictObject({ relation: count, overflow: OVERFLOW }))),
})

export function unitLine(unit: Unit): string {
  return JSON.stringify(unit)
}

/**
 * @param ltap version of this program @param name what messages call the line
 * @throws CorruptionError job.unit with the member; UnsupportedError job.version, job.unit for a member that this ltap does not know
 */
export function parseUnit(line: string, ltap: string, name: string): Unit {
  const persisted: Persisted = { code: 'job.unit', name }
  return validate(UNIT, parseLine(line, ltap, persisted), persisted)
}
