import { join } from 'node:path'
import { listDir } from '../../io/disk/files.ts'
import { refuseAround, refuseInside } from '../../io/disk/localpath.ts'
import { localFolder } from '../../io/objectstore/openobjectstore.ts'
import { openLakeStore } from '../lakes/openlake.ts'
import { materializeLake, type MaterializeLakeOptions, type MaterializeReport } from './materializelake.ts'

export interface MaterializeIntoOptions extends Omit<MaterializeLakeOptions, 'store'> {
  /** Folder of the lake, or its URL. */
  lake: string
}

/**
 * As {@link materializeLake}, of a lake that is named by its folder or its URL.
 * @throws as {@link materializeLake}; EnvironmentError path.inside for a lake in the files that are read, or around them; UnsupportedError path.scheme
 */
export async function materializeInto({ lake, ...options }: MaterializeIntoOptions): Promise<MaterializeReport> {
  const folder = localFolder(lake)
  if (folder !== undefined) for (const source of new Set([options.pgdata, options.source ?? options.pgdata])) refuseNested(folder, source)
  return await materializeLake({ ...options, store: await openLakeStore(lake, options.storeOptions) })
}

/** @param source a data directory, or a backup */
function refuseNested(folder: string, source: string): void {
  const tablespaces = join(source, 'pg_tblspc')
  for (const read of [source, ...listDir(tablespaces).map((name) => join(tablespaces, name))]) {
    refuseInside(folder, read)
    refuseAround(folder, read)
  }
}
