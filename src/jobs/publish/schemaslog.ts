import { typeText } from '../../catalog/typetext.ts'
import { parseLsn, walPosition } from '../../common/ids.ts'
import type { Lake } from '../../engine/lake.ts'
import type { LogFile, LogRecord, LogValue, ShapeOf } from '../../lake/publishedlog.ts'
import type { TableDescription } from '../../lake/relationinfo.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import { readDescription } from '../lakes/layerfiles.ts'
import type { Candidate } from './candidates.ts'
import { jsonHash } from './jsonhash.ts'
import type { LogAddition, LogSource } from './logsource.ts'

/** Characters of a hash: two shapes of one table that have the same ones are not to be expected in 2^72 tries. */
const HASH_LENGTH = 12

/** Rows of `ltap.schemas`: the columns of each table, at the first published state and at each one where they, or its name, are others; and its end. */
export class SchemasLog implements LogSource {
  private readonly lake: Lake
  private readonly state: StateRoot
  private readonly tables: ReadonlyMap<string, { table: Candidate; shape: ShapeOf }>

  constructor(lake: Lake, state: StateRoot, candidates: readonly Candidate[]) {
    this.lake = lake
    this.state = state
    this.tables = new Map([...candidates].sort((a, b) => a.dbOid - b.dbOid || a.oid - b.oid).map((table) => {
      const { dbOid, oid, database, schema, name, description } = table
      const names = [database, schema, name] as const
      return [`${dbOid}/${oid}`, { table, shape: { hash: jsonHash([names, description.sha256]).slice(0, HASH_LENGTH), names } }]
    }))
  }

  get content(): string {
    return jsonHash([...this.tables].map(([key, { shape }]) => [key, shape.hash]))
  }

  async since(before: LogRecord | undefined): Promise<LogAddition> {
    const were = before?.shapes ?? {}
    const { lsn, time, timeline } = this.state
    const at = [walPosition(parseLsn(lsn)!), time ?? null, timeline]
    const rows: LogValue[][] = []
    for (const [key, { table, shape }] of this.tables) {
      if (were[key]?.hash === shape.hash) continue
      const names = [...shape.names, table.oid, true]
      const columns = shapeRows(await readDescription(this.lake.ports.store, table.description))
      rows.push(...(columns.length > 0 ? columns : [NO_COLUMN]).map((column) => [...at, ...names, ...column]))
    }
    for (const [key, { names }] of Object.entries(were)) {
      if (!this.tables.has(key)) rows.push([...at, ...names, Number(key.split('/')[1]), false, ...NO_COLUMN])
    }
    return { files: rows.length > 0 ? [rows] : [], next: { shapes: Object.fromEntries([...this.tables].map(([key, { shape }]) => [key, shape])) } }
  }

  /** Earlier shapes are in no state: those of now are said again. */
  withoutLost({ shapes = {} }: LogRecord, left: readonly LogFile[]): LogRecord {
    return { files: left, shapes: Object.fromEntries(Object.entries(shapes).map(([key, { names }]) => [key, { hash: NO_HASH, names }])) }
  }
}

const NO_HASH = ''
const NO_COLUMN: readonly LogValue[] = [null, null, null, null, null]

/** In the order of the columns of `ltap.schemas`, from `attnum` on; a virtual column has no field. */
function shapeRows({ desc: { attributes, types }, fields }: TableDescription): LogValue[][] {
  const known = new Map(types.map((type) => [type.oid, type]))
  const fieldOf = new Map(fields.columns.map((field) => [field.attnum, field]))
  return attributes.filter(({ dropped }) => !dropped).map(({ attnum, name, type }): LogValue[] => {
    const field = fieldOf.get(attnum)
    return [attnum, name, typeText(type, known), field?.id ?? null, field?.name ?? null]
  })
}
