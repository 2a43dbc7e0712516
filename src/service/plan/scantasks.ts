import type { ManifestedFile } from '../../lake/iceberg/manifestreader.ts'
import type { SnapshotFiles } from './manifests.ts'

/** `ScanTasks` of the REST specification. Residual filters are left out: the client filters by its own. */
export interface ScanTasks {
  readonly 'file-scan-tasks': readonly object[]
  readonly 'delete-files'?: readonly object[]
}

/**
 * Tasks of data files, and the delete files that they name by index.
 * @param stats ids of the columns whose counts are told
 */
export function scanTasks(files: readonly ManifestedFile[], { deletes }: Pick<SnapshotFiles, 'deletes'>, stats: ReadonlySet<number>): ScanTasks {
  const deleteFiles: object[] = []
  const tasks = files.map((file): object => {
    const own = deletes.get(file.path)
    if (own !== undefined) deleteFiles.push(deleteFile(own))
    return { 'data-file': dataFile(file, stats), ...(own && { 'delete-file-references': [deleteFiles.length - 1] }) }
  })
  return { 'file-scan-tasks': tasks, ...(deleteFiles.length > 0 && { 'delete-files': deleteFiles }) }
}

function contentFile({ path, format, bytes, rows }: ManifestedFile): object {
  return { 'spec-id': 0, partition: [], 'file-path': path, 'file-format': format, 'file-size-in-bytes': bytes, 'record-count': rows }
}

function dataFile(file: ManifestedFile, stats: ReadonlySet<number>): object {
  const { firstRow, metrics: { values, nulls, nans } } = file
  return {
    content: 'data', ...contentFile(file), ...(firstRow !== undefined && { 'first-row-id': firstRow }),
    // Bounds are left out: the specification and Java's client write them in different forms.
    ...counts('value-counts', values, stats), ...counts('null-value-counts', nulls, stats), ...counts('nan-value-counts', nans, stats),
  }
}

function counts(name: string, known: ReadonlyMap<number, number>, stats: ReadonlySet<number>): object {
  const keys = [...stats].filter((id) => known.has(id))
  return keys.length === 0 ? {} : { [name]: { keys, values: keys.map((id) => known.get(id)!) } }
}

function deleteFile(file: ManifestedFile): object {
  const { of, blob } = file
  return {
    content: 'position-deletes', ...contentFile(file), 'referenced-data-file': of,
    ...(blob && { 'content-offset': blob.offset, 'content-size-in-bytes': blob.length }),
  }
}
