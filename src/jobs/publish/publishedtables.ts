import { UnsupportedError } from '../../common/errors.ts'
import type { Lake } from '../../engine/lake.ts'
import { readRowsNotShown } from '../../engine/outcomes.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import type { ClusterInfo } from '../../lake/clusterinfo.ts'
import { isPacked } from '../../lake/layer.ts'
import { publishedColumns } from '../../lake/publishedcolumns.ts'
import type { PublishedColumn, PublishedFile } from '../../lake/publishedtable.ts'
import type { TableDescription } from '../../lake/relationinfo.ts'
import { openRows } from '../../lake/rowsnotshown.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import { filesOf, readBlockIndex, readDescription } from '../lakes/layerfiles.ts'
import type { Candidate } from './candidates.ts'
import { jsonHash } from './jsonhash.ts'
import { RowsDigest } from './rowsdigest.ts'

/** What a table has in a state, for any format. */
export interface TableContent {
  columns: readonly PublishedColumn[]
  files: readonly PublishedFile[]
  /** Rows depend on transactions that have not ended. */
  open: boolean
  /** SHA-256 in base64url of the row versions that a reader sees, whatever files they are in. */
  rows: string
}

/**
 * Files and columns of a table in a state.
 * @throws CorruptionError lake.* for a damaged entry, description or block index; UnsupportedError lake.status, publish.pack, publish.fields;
 * EnvironmentError store.*
 */
export async function tableContent(lake: Lake, snapshot: Snapshot, { major }: Pick<ClusterInfo, 'major'>, table: Candidate): Promise<TableContent> {
  const { ports: { store }, format: { profile } } = lake
  const own = await readDescription(store, table.description)
  const overflow = new Set(own.overflow)
  const files: PublishedFile[] = []
  let open = false
  const rows: string[] = [table.description.sha256]
  for (const key of table.parts) {
    const [value] = await snapshot.get([{ tree: 'layers', key }])
    const relation = parseStateRelation(key, value)
    const { schema, name, oid, description } = relation.info
    const part = oid === table.oid ? own : await readDescription(store, description)
    for (const attnum of overflowIn(own, part, `${schema}.${name}`)) overflow.add(attnum)
    const found = await publishedFiles(lake, snapshot, relation)
    files.push(...found.files)
    open ||= found.open
    rows.push(description.sha256, found.rows)
  }
  const { encoding, desc, fields } = own
  const context = { major, profile, encoding, desc, overflow: [...overflow].sort((a, b) => a - b), displayScales: {}, pageFlags: 0 }
  return { columns: publishedColumns(context, fields), files, open, rows: jsonHash(rows) }
}

/**
 * Attnums of the table's columns that have a child of `_overflow` in files of one of its parts.
 * @throws UnsupportedError publish.fields if a column has another field id there: readers would not find it
 */
function overflowIn(own: TableDescription, part: TableDescription, name: string): number[] {
  const there = new Map(part.fields.columns.map((field) => [field.column, field]))
  return own.fields.columns.flatMap(({ attnum, column, id }) => {
    const field = there.get(column)
    if (field?.id === id) return part.overflow.includes(field.attnum) ? [attnum] : []
    throw new UnsupportedError('publish.fields',
      `${name} belongs to several tables, and has the column ${column} under another number than this one: it is published alone, and this one is not`)
  })
}

async function publishedFiles(lake: Lake, snapshot: Snapshot, relation: StateRelation): Promise<Omit<TableContent, 'columns'>> {
  const { ports: { store }, format: { systemIdentifier } } = lake
  const files: PublishedFile[] = []
  let open = false
  const rows = new RowsDigest()
  for (const { file, current } of filesOf(relation, systemIdentifier)) {
    if (current.size === 0) continue
    if (isPacked(file)) throw new UnsupportedError('publish.pack', 'its pages are in a pack: transcode with --pack-below 0 to publish it')
    const { index } = await readBlockIndex(store, file)
    const hidden = await readRowsNotShown(snapshot, { index, current }, relation.info.visible)
    open ||= openRows({ index, current }).length > 0
    rows.add(index, current, hidden)
    if (hidden.size < file.rows) files.push({ key: file.key, bytes: file.bytes, rows: file.rows, columns: file.columns, hidden })
  }
  return { files, open, rows: rows.digest() }
}
