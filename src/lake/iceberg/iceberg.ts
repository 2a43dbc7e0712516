import { assert, UnsupportedError } from '../../common/errors.ts'
import { equalJson } from '../../common/equaljson.ts'
import type { ObjectNames, PublishedFile, TableSnapshot } from '../publishedtable.ts'
import type { StagedObject } from '../state/stage.ts'
import { deleteFiles, type OpenDeletes } from './deletes.ts'
import { type SnapshotWindow, snapshotsInWindow, withSnapshots } from './expire.ts'
import { dataFile, deleteFile, type EntryDeletes, type EntryFile, type FormatVersion, type TableSchema } from './manifest.ts'
import { encodeManifestList, type ManifestFile } from './manifestlist.ts'
import { type GoneEntry, type LiveEntry, type ManifestContext, type ManifestPlan, planManifests } from './manifestplan.ts'
import { currentObjects, currentSnapshot, type DataFileRecord, type IcebergRecord, type IcebergSnapshot } from './record.ts'
import { boundedTypes, greatestId, schemaFields } from './schema.ts'
import { fileChanges, operationOf, snapshotId, summaryOf } from './snapshot.ts'

export interface IcebergOptions extends SnapshotWindow {
  readonly formatVersion: FormatVersion
  readonly ltapVersion: string
}

export interface NextIceberg {
  readonly record: IcebergRecord
  /** To be put before the record is committed, which is before its metadata file is put. */
  readonly objects: readonly StagedObject[]
}

/** A file of the new snapshot before its entries have a manifest. */
type OpenFile = Omit<DataFileRecord, 'manifest' | 'deletes'> & {
  readonly published: PublishedFile
  readonly known: DataFileRecord | undefined
  readonly deletes?: OpenDeletes
}

/** What all steps of one publication share. */
interface Publication {
  readonly table: TableSnapshot
  readonly previous: IcebergRecord | undefined
  readonly options: IcebergOptions
  readonly names: ObjectNames
  readonly snapshot: number
  readonly sequence: number
  readonly version: number
  readonly schema: TableSchema
}

/**
 * The next Iceberg snapshot of a table: its record, and the objects that it needs. Where a reader would see no difference, the record is the previous
 * one. A record of a lake at another URL begins again: every object names others by their URIs, and its snapshots are gone.
 * @param previous of the same table
 * @throws UnsupportedError iceberg.version for a table that was published in version 3 and shall be in version 2
 */
export function nextIceberg(previous: IcebergRecord | undefined, table: TableSnapshot, names: ObjectNames, options: IcebergOptions): NextIceberg {
  if (previous && previous.formatVersion > options.formatVersion) {
    throw new UnsupportedError('iceberg.version', `a table of Iceberg version ${previous.formatVersion} cannot become one of version ${options.formatVersion}`)
  }
  assert(!previous || previous.uuid === table.uuid, 'the Iceberg record of another table')
  assert(!previous || table.publishedMs > currentSnapshot(previous).ms, 'a snapshot that is not behind the one before')
  const known = previous && previous.root === table.root && previous.folder === table.folder ? previous : undefined
  const version = (previous?.version ?? 0) + 1
  const snapshot = snapshotId(table, version, new Set(previous?.snapshots.map(({ id }) => id)))
  const sequence = (previous?.lastSequence ?? 0) + 1
  const publication: Publication = { table, previous, options, names, snapshot, sequence, version, schema: schemaOf(table, previous) }
  const { files, objects } = openFiles(publication, known)
  if (known && isSame(publication, known, files)) return { record: known, objects: [] }
  return finish(publication, known, files, objects)
}

/** A schema equal to a known one has its id. */
function schemaOf({ columns }: TableSnapshot, previous: IcebergRecord | undefined): TableSchema {
  const fields = schemaFields(columns)
  return previous?.schemas.find((schema) => equalJson(schema.fields, fields)) ?? { id: previous ? previous.lastSchemaId + 1 : 0, fields }
}

function propertiesOf({ namespace, name }: TableSnapshot): Record<string, string> {
  // Java refuses to expire snapshots and to remove files of a table with gc.enabled=false: they are the database's.
  return { 'gc.enabled': 'false', 'write.metadata.delete-after-commit.enabled': 'false', 'ltap.namespace': namespace, 'ltap.table': name }
}

function isSame({ table, options, schema }: Publication, known: IcebergRecord, files: readonly OpenFile[]): boolean {
  return options.formatVersion === known.formatVersion && schema.id === known.currentSchema && equalJson(propertiesOf(table), known.properties)
    && files.length === known.files.length && files.every((file) => file.known !== undefined && file.known.deletes?.key === file.deletes?.key)
}

/** Files with rows that a reader sees, and the delete files that are new. */
function openFiles(
  { table, snapshot, sequence, names, options }: Publication, known: IcebergRecord | undefined,
): { files: OpenFile[]; objects: readonly StagedObject[] } {
  const before = new Map(known?.files.map((file) => [file.key, file]))
  const shown = table.files.filter(({ hidden, rows }) => hidden.size < rows)
  const isUpgrade = known?.formatVersion !== options.formatVersion
  const { formatVersion, ltapVersion } = options
  const { deletes, objects } = deleteFiles(shown, { before: isUpgrade ? new Map() : before, table, names, formatVersion, ltapVersion, snapshot, sequence })
  const files = shown.map((published): OpenFile => {
    const { key, bytes, rows } = published
    const old = before.get(key)
    const own = deletes.get(key)
    return {
      key, bytes, rows, sequence: old?.sequence ?? sequence, snapshot: old?.snapshot ?? snapshot, published, known: old,
      ...(old?.firstRow !== undefined && { firstRow: old.firstRow }), ...(own && { deletes: own }),
    }
  })
  return { files, objects }
}

function finish(publication: Publication, known: IcebergRecord | undefined, open: readonly OpenFile[], deleteObjects: readonly StagedObject[]): NextIceberg {
  const { table, previous, options, snapshot, sequence, version, schema } = publication
  const data = dataManifests(publication, known, open)
  const deletes = deleteManifests(publication, known, open)
  const manifests = [...data.manifests, ...deletes.manifests]
  const files = placed(open, data, deletes)
  const list = `${table.folder}/metadata/${publication.names.name()}.list.avro`
  const firstRow = options.formatVersion === 3 ? known?.nextRowId ?? 0 : undefined
  const parent = known && currentSnapshot(known).id
  const listed = { id: snapshot, sequence, ...(parent !== undefined && { parent }), ...(firstRow !== undefined && { firstRow }) }
  const changes = fileChanges(known?.files ?? [], files, table)
  const added: IcebergSnapshot = {
    ...listed, version, ms: table.publishedMs, list, schema: schema.id, timeline: table.timeline, lsn: table.lsn,
    operation: operationOf(changes, table.kind === 'merge', options.formatVersion), summary: summaryOf(files, changes, table, options.ltapVersion),
    ...(firstRow !== undefined && { addedRows: data.nextRowId! - firstRow }),
  }
  const record: IcebergRecord = {
    root: table.root, folder: table.folder, uuid: table.uuid, formatVersion: options.formatVersion, version,
    updatedMs: Math.max(table.publishedMs, previous?.updatedMs ?? 0),
    lastSequence: sequence, lastColumnId: Math.max(previous?.lastColumnId ?? 0, greatestId(table.columns)),
    lastSchemaId: Math.max(previous?.lastSchemaId ?? 0, schema.id), currentSchema: schema.id,
    schemas: previous?.schemas.includes(schema) ? previous.schemas : [...previous?.schemas ?? [], schema], properties: propertiesOf(table),
    snapshots: [...(known?.snapshots ?? []), added], ...(data.nextRowId !== undefined && { nextRowId: data.nextRowId }), manifests, files,
    left: leftObjects(known, { manifests, files }),
  }
  const listObject = { key: list, bytes: encodeManifestList(table.root, manifests, listed, options.formatVersion) }
  const objects = [...deleteObjects, ...data.objects, ...deletes.objects, listObject]
  return { record: withSnapshots(record, snapshotsInWindow(record.snapshots, options, table.publishedMs)), objects }
}

/** @param isData whether it is the context of the manifests of data files */
function contextOf({ table, options, snapshot, sequence, schema, names }: Publication, known: IcebergRecord | undefined, isData: boolean): ManifestContext {
  const { formatVersion } = options
  return {
    content: isData ? 'data' : 'deletes', formatVersion, schema, snapshot, sequence, previous: known?.manifests ?? [],
    newKey: () => `${table.folder}/metadata/${names.name()}.manifest.avro`, ...(isData && formatVersion === 3 && { nextRowId: known?.nextRowId ?? 0 }),
  }
}

function dataManifests(publication: Publication, known: IcebergRecord | undefined, open: readonly OpenFile[]): ManifestPlan {
  const { table: { root, columns } } = publication
  const types = boundedTypes(columns)
  const live = open.map((file): LiveEntry => ({
    sequence: file.sequence, snapshot: file.snapshot, rows: file.rows, ...(file.known && { manifest: file.known.manifest }),
    ...(file.firstRow !== undefined && { firstRow: file.firstRow }),
    file: (firstRow) => dataFile(entryOf(root, file, firstRow), file.published.columns, types),
  }))
  const stays = new Set(open.map(({ key }) => key))
  const gone = (known?.files ?? []).filter(({ key }) => !stays.has(key)).map(({ key, bytes, rows, sequence, manifest, firstRow }): GoneEntry => ({
    sequence, rows, manifest, file: () => dataFile(entryOf(root, { key, bytes, rows }, firstRow)),
  }))
  return planManifests(contextOf(publication, known, true), live, gone)
}

function entryOf(root: string, { key, bytes, rows }: Pick<DataFileRecord, 'key' | 'bytes' | 'rows'>, firstRow: number | undefined): EntryFile {
  return { path: `${root}/${key}`, bytes, rows, ...(firstRow !== undefined && { firstRow }) }
}

function deleteManifests(publication: Publication, known: IcebergRecord | undefined, open: readonly OpenFile[]): ManifestPlan {
  const { root } = publication.table
  const deletesOf = (deletes: OpenDeletes, of: string): EntryDeletes => ({
    ...entryOf(root, deletes, undefined), of: `${root}/${of}`, ...(deletes.blob && { blob: deletes.blob }),
  })
  const live = open.flatMap(({ key, deletes }): LiveEntry[] => deletes ? [{
    sequence: deletes.sequence, snapshot: deletes.snapshot, rows: deletes.rows, ...(deletes.manifest !== undefined && { manifest: deletes.manifest }),
    file: () => deleteFile(deletesOf(deletes, key)),
  }] : [])
  const kept = new Map(open.map(({ key, deletes }) => [key, deletes]))
  const gone = (known?.files ?? []).flatMap(({ key, deletes }): GoneEntry[] => {
    if (deletes === undefined || kept.get(key)?.manifest !== undefined) return []
    return [{ sequence: deletes.sequence, rows: deletes.rows, manifest: deletes.manifest, file: () => deleteFile(deletesOf(deletes, key)) }]
  })
  return planManifests(contextOf(publication, known, false), live, gone)
}

/** The files with the places of their entries. */
function placed(open: readonly OpenFile[], data: ManifestPlan, deletes: ManifestPlan): DataFileRecord[] {
  let next = 0
  return open.map(({ published: _published, known: _known, deletes: own, ...file }, i): DataFileRecord => {
    const firstRow = data.places[i]!.firstRow
    const placedFile = { ...file, manifest: data.places[i]!.manifest, ...(firstRow !== undefined && { firstRow }) }
    return own ? { ...placedFile, deletes: { ...own, manifest: data.manifests.length + deletes.places[next++]!.manifest } } : placedFile
  })
}

/** What the snapshot before had and the new one has not, beside what left earlier. */
function leftObjects(known: IcebergRecord | undefined, next: { manifests: readonly ManifestFile[]; files: readonly DataFileRecord[] }): IcebergRecord['left'] {
  if (!known) return []
  const has = new Set(currentObjects(next))
  const keys = [...new Set(currentObjects(known))].filter((key) => !has.has(key))
  return keys.length === 0 ? known.left : [...known.left, { sequence: currentSnapshot(known).sequence, keys }]
}
