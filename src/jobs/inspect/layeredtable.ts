import { forEachAtMost } from '../../common/atonce.ts'
import { CorruptionError } from '../../common/errors.ts'
import { formatWalPosition } from '../../common/ids.ts'
import type { LaneCounts } from '../../columnar/lanes.ts'
import { addLaneCounts, newLaneCounts } from '../../columnar/lanes.ts'
import type { Lake } from '../../engine/lake.ts'
import { readRowsNotShown } from '../../engine/outcomes.ts'
import { isPacked, type LayerFile, storedBytes } from '../../lake/layer.ts'
import type { Layer } from '../../lake/layerorder.ts'
import type { LakeRelation } from '../../lake/manifest.ts'
import { isUserTable } from '../../lake/viewnames.ts'
import { lakeRelationName } from '../lake.ts'
import { type FileOfRelation, filesOf, readBlockIndex } from '../lakes/layerfiles.ts'
import type { StateManifest } from '../lakes/statemanifest.ts'
import { type ColumnBytes, columnsOf } from './tablecolumns.ts'

/** A relation with pages in the newest state. */
export interface LayeredTable {
  database: string | null
  schema: string
  name: string
  relkind: string
  oid: number
  /** Its length. */
  blocks: number
  layers: number
  /** The layers, the oldest first. */
  layerList: LayerSummary[]
  /** Files that have current blocks, and all of its layers. */
  currentFiles: number
  files: number
  /** Size of all its files and of the objects beside them. */
  bytes: number
  /**
   * Rows of the files, structure rows too, and those of them that no reader of the newest state sees; null of tables that are the server's own, and if it
   * cannot be read.
   */
  rows: number
  rowsNotShown: number | null
  /** How values and tuples of files with current blocks travelled: counts that are not 0. */
  lanes: Partial<LaneCounts>
  /** By size; null unless they were asked for, of a table in packs, of one that is the server's own, and if they cannot be read. */
  columns: ColumnBytes[] | null
}

/** A layer of a relation. */
export interface LayerSummary {
  lsn: string
  /** Blocks that it has; what it says of others is that they are gone. */
  blocks: number
  files: number
  bytes: number
  /** How many of the files lie in packs. */
  packed: number
}

export interface TableWishes {
  /** Number of files whose footers are read at most, those of the largest tables first. */
  columnFiles: number
}

const READS_AT_ONCE = 8

/**
 * The largest first. What is wrong with one of them does not cost the others.
 * @param damaged gets a sentence for each that cannot be read as a whole
 * @returns how many files of user tables have columns that were not looked at, too
 */
export async function layeredTables(
  lake: Lake, state: StateManifest, { columnFiles }: TableWishes, damaged: string[],
): Promise<{ tables: LayeredTable[]; columnFilesLeft: number }> {
  const tables: LayeredTable[] = []
  const columned: { table: LayeredTable; relation: LakeRelation }[] = []
  await forEachAtMost(READS_AT_ONCE, state.stored(), async (relation) => {
    const table = await tableOf(lake, state, relation, damaged)
    tables.push(table)
    if (table.rowsNotShown !== null && table.currentFiles > 0) columned.push({ table, relation })
  })
  let left = columnFiles
  let columnFilesLeft = 0
  await forEachAtMost(READS_AT_ONCE, columned.sort((a, b) => largestFirst(a.table, b.table)), async ({ table, relation }) => {
    if (table.currentFiles > left) {
      columnFilesLeft += table.currentFiles
      return
    }
    left -= table.currentFiles
    await unlessDamaged(damaged, relation, async () => {
      const files = filesOf((await state.relation(relation))!, state.manifest.systemIdentifier).filter(isCurrent).map(({ file }) => file)
      table.columns = (await columnsOf(lake.ports.store, files))?.sort((a, b) => b.compressed - a.compressed) ?? null
    })
  })
  return { tables: tables.sort(largestFirst), columnFilesLeft }
}

function largestFirst(a: LayeredTable, b: LayeredTable): number {
  return b.bytes - a.bytes || a.oid - b.oid
}

async function tableOf(lake: Lake, state: StateManifest, relation: LakeRelation, damaged: string[]): Promise<LayeredTable> {
  const { database, schema, name, relkind, oid, forks: { main: blocks = 0 } } = relation
  const found = (await state.relation(relation))!
  const files = filesOf(found, state.manifest.systemIdentifier)
  let rowsNotShown: number | null = null
  if (isUserTable(relation)) await unlessDamaged(damaged, relation, async () => void (rowsNotShown = await notShown(lake, state, relation, files)))
  const lanes = newLaneCounts()
  for (const { file } of files.filter(isCurrent)) addLaneCounts(lanes, file.lanes)
  return {
    database, schema, name, relkind, oid, blocks, layers: found.layers.length, layerList: found.layers.map(layerSummary),
    currentFiles: files.filter(isCurrent).length, files: files.length,
    bytes: sum(files, ({ file }) => storedBytes(file)), rows: sum(files, ({ file }) => file.rows), rowsNotShown,
    lanes: Object.fromEntries(Object.entries(lanes).filter(([, count]) => count > 0)), columns: null,
  }
}

async function notShown(lake: Lake, { snapshot }: StateManifest, { visible }: LakeRelation, files: readonly FileOfRelation[]): Promise<number> {
  let count = 0
  for (const { file, current } of files) {
    const { index } = await readBlockIndex(lake.ports.store, file)
    count += (await readRowsNotShown(snapshot, { index, current }, visible)).size
  }
  return count
}

function layerSummary({ lsn, files }: Layer<LayerFile>): LayerSummary {
  return {
    lsn: formatWalPosition(lsn), blocks: sum(files, ({ blocks }) => blocks.size), files: files.length, bytes: sum(files, storedBytes),
    packed: files.filter(isPacked).length,
  }
}

async function unlessDamaged(damaged: string[], relation: LakeRelation, body: () => Promise<void>): Promise<void> {
  try {
    await body()
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    damaged.push(error.at({ relation: lakeRelationName(relation) }).message)
  }
}

function isCurrent({ current }: FileOfRelation): boolean {
  return current.size > 0
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
