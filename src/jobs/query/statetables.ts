import { join } from 'node:path'
import { forEachAtMost } from '../../common/atonce.ts'
import { EnvironmentError, isPositioned } from '../../common/errors.ts'
import { DESCRIPTOR_KEY, type FileDescriptor, parseFileDescriptor, schemaContext } from '../../columnar/filedescriptor.ts'
import { relationSchema, type SchemaContext } from '../../columnar/schema.ts'
import type { Lake } from '../../engine/lake.ts'
import { readRowsNotShown } from '../../engine/outcomes.ts'
import { ObjectFiles } from '../../io/objectstore/objectfiles.ts'
import { rowsOfBlocks } from '../../lake/blockindex.ts'
import type { LayeredRelation, LayerGroup } from '../../lake/layeredviews.ts'
import { isPacked, type PackedFile, storedBytes } from '../../lake/layer.ts'
import type { LakeRelation } from '../../lake/manifest.ts'
import type { TableDescription } from '../../lake/relationinfo.ts'
import { readFooter } from '../../parquet/footer.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import type { ColumnType } from '../../vector/columntype.ts'
import { checkFileDescriptor, lakeRelationName } from '../lake.ts'
import { readTail } from '../lakefile.ts'
import { CACHE_BYTES, type OpenLakeOptions } from '../lakes/fetchedobjects.ts'
import { type FileOfRelation, filesOf, readBlockIndex, readDescription } from '../lakes/layerfiles.ts'
import type { StateManifest } from '../lakes/statemanifest.ts'
import { type NotShownRows, writeNotShown } from './notshownlist.ts'
import { PackedTables } from './packedtable.ts'

const FETCHES_AT_ONCE = 4

export interface OpenedFile {
  readonly rows: NotShownRows
  readonly descriptor: FileDescriptor
}

/** The tables of a state of a lake of format 2, as views need them: columns of those that are listed, files of those that are read. */
export class StateTables {
  readonly layered: Map<LakeRelation, LayeredRelation> = new Map<LakeRelation, LayeredRelation>()
  /** Every file that views read. */
  readonly paths: string[] = []
  private readonly lake: Lake
  private readonly state: StateManifest
  private readonly scratch: string
  private readonly objects: ObjectFiles
  private readonly cacheBytes: number
  private fetchedBytes = 0
  private lists = 0
  private unpacked = 0
  private readonly packed: PackedTables

  /** @param scratch a folder of this query alone */
  constructor(lake: Lake, state: StateManifest, scratch: string, { cacheBytes = CACHE_BYTES }: OpenLakeOptions) {
    this.lake = lake
    this.state = state
    this.scratch = scratch
    this.cacheBytes = cacheBytes
    this.packed = new PackedTables(lake.ports.store, state)
    this.objects = new ObjectFiles(lake.ports.store, join(scratch, 'objects'), cacheBytes)
  }

  /**
   * @param listed get their columns @param read their files too
   * @throws EnvironmentError store.*, query.cache; CorruptionError lake.* for an object that is not what was written
   */
  async prepare(listed: readonly LakeRelation[], read: readonly LakeRelation[]): Promise<void> {
    const toRead = new Set(read)
    await forEachAtMost(FETCHES_AT_ONCE, new Set([...listed, ...read]), async (relation) => {
      try {
        await this.describe(relation, toRead.has(relation))
      } catch (error) {
        throw isPositioned(error) ? error.at({ relation: lakeRelationName(relation) }) : error
      }
    })
  }

  private async describe(relation: LakeRelation, isRead: boolean): Promise<void> {
    const description = await readDescription(this.lake.ports.store, await this.state.description(relation))
    const { names, types, ids } = shownColumns(description, this.state.manifest)
    relation.columns = names
    if (description.virtualColumns.length > 0) relation.virtualColumns = description.virtualColumns
    this.layered.set(relation, isRead ? { types, ...await this.files(relation, ids, description) } : { types, groups: undefined, notShown: undefined })
  }

  private async files(
    relation: LakeRelation, ids: ReadonlyMap<number, string>, description: TableDescription,
  ): Promise<Pick<LayeredRelation, 'groups' | 'notShown'>> {
    const found = await this.state.relation(relation)
    const files = (found === undefined ? [] : filesOf(found, this.state.manifest.systemIdentifier)).filter(({ current }) => current.size > 0)
    this.claim(files)
    const opened = await Promise.all(files.map(async (file) => this.open(file, relation, description)))
    const notShown = opened.flatMap(({ rows }) => (rows.superseded.size + rows.hidden.size > 0 ? [rows] : []))
    return { groups: groupsOf(opened, ids), notShown: notShown.length > 0 ? await this.list(notShown) : undefined }
  }

  /** All files of a query are there at the same time. */
  private claim(files: readonly FileOfRelation[]): void {
    if (!this.objects.fetches) return
    this.fetchedBytes += files.reduce((sum, { file }) => sum + storedBytes(file), 0)
    if (this.fetchedBytes <= this.cacheBytes) return
    throw new EnvironmentError('query.cache',
      `the tables of this query have ${this.fetchedBytes} bytes or more, and at most ${this.cacheBytes} are fetched: allow more with --cache-size`)
  }

  private async open(wanted: FileOfRelation, relation: LakeRelation, description: TableDescription): Promise<OpenedFile> {
    const { file, current, expected } = wanted
    const { index } = await readBlockIndex(this.lake.ports.store, file)
    const all = await readRowsNotShown(this.state.snapshot, { index, current }, relation.visible)
    const shown = rowsOfBlocks(index, current)
    const { path, bytes } = isPacked(file) ? await this.unpack({ ...wanted, file }, relation, description)
      : { ...await this.objects.open(file), bytes: file.bytes }
    this.paths.push(path)
    const descriptor = parseFileDescriptor(readFooter(readTail(path, bytes)).metadata.get(DESCRIPTOR_KEY))
    checkFileDescriptor(descriptor, expected)
    return { rows: { path, superseded: all.subtract(shown), hidden: all.intersect(shown) }, descriptor }
  }

  /** A Parquet file of this query alone. */
  private async unpack(
    wanted: FileOfRelation & { file: PackedFile }, relation: LakeRelation, description: TableDescription,
  ): Promise<{ path: string; bytes: number }> {
    const path = join(this.scratch, `packed${this.unpacked++}.parquet`)
    return { path, bytes: await this.packed.write(path, relation, description, wanted) }
  }

  private async list(rows: readonly NotShownRows[]): Promise<string> {
    const path = join(this.scratch, `notshown${this.lists++}.parquet`)
    await writeNotShown(path, rows)
    this.paths.push(path)
    return path
  }
}

/** The columns of views: as views of format 1 call them, by their names in Postgres now, whatever they were called when they were written. */
export function shownColumns(
  { encoding, desc, overflow, fields }: TableDescription, { major, profile }: Pick<SchemaContext, 'major' | 'profile'>,
): { names: string[]; types: ReadonlyMap<string, ColumnType>; ids: ReadonlyMap<number, string> } {
  const { columns } = relationSchema({ major, profile, encoding, desc, overflow, displayScales: {}, pageFlags: 0 })
  return {
    names: columns.map(({ name }) => name), types: new Map(columns.map(({ name, type }) => [name, type])),
    ids: new Map(columns.map(({ name }, i) => [fields.columns[i]!.id, name])),
  }
}

/** Files with the same columns are read at once. */
export function groupsOf(opened: readonly OpenedFile[], ids: ReadonlyMap<number, string>): LayerGroup[] {
  const groups = new Map<string, LayerGroup & { paths: string[] }>()
  for (const { rows: { path, superseded, hidden }, descriptor } of opened) {
    const { columns, overflow, fields } = relationSchema(schemaContext(descriptor))
    const isHoled = superseded.size + hidden.size > 0
    const id = JSON.stringify([isHoled, fields])
    const known = groups.get(id)
    if (known) {
      known.paths.push(path)
      continue
    }
    const named = (list: typeof columns, offset: number): Map<string, LakeField> => new Map(list.flatMap((field): [string, LakeField][] => {
      const shown = ids.get(field.id - offset)
      return shown === undefined ? [] : [[shown, field]]
    }))
    groups.set(id, {
      paths: [path], isHoled, fields, columns: named(columns, 0), overflow: named(overflow?.children ?? [], overflow?.id ?? 0),
    })
  }
  return [...groups.values()]
}
