import { join } from 'node:path'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { listDir } from '../../io/disk/files.ts'
import { refuseAround, refuseInside } from '../../io/disk/localpath.ts'
import { localFolder } from '../../io/objectstore/openobjectstore.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { keepThreadPoolAwake } from '../../io/process/threadpool.ts'
import { openLakeStore } from '../lakes/openlake.ts'
import { materialized, type MaterializeReport } from './materializelake.ts'
import type { MaterializeLakeOptions } from './materializeoptions.ts'
import { WrittenFolder } from './writtenfolder.ts'

export interface MaterializeIntoOptions extends Omit<MaterializeLakeOptions, 'store'> {
  /** Folder of the lake, or its URL. */
  lake: string
}

/**
 * As {@link materializeLake}, of a lake that is named by its folder or its URL. A job that fails leaves a folder as it was.
 * @throws as {@link materializeLake}; EnvironmentError path.inside for a lake in the files that are read, or around them, folder.locked, lake.no-folder,
 * lake.exists for a folder with a lake of format 1; UnsupportedError path.scheme
 */
export async function materializeInto(options: MaterializeIntoOptions): Promise<MaterializeReport> {
  const store = await openStoreBeside(options)
  const path = localFolder(options.lake)
  if (path === undefined) return await materialized({ ...options, store })
  const folder = new WrittenFolder(path, options.onNotice)
  const done = keepThreadPoolAwake()
  try {
    const report = await materialized({ ...options, store }, folder)
    folder.finish()
    return report
  } catch (error) {
    await stopIfEnding()
    await folder.abandon()
    throw error
  } finally {
    done()
  }
}

/** The objects of a lake for a data directory. @throws EnvironmentError path.inside for a lake in the files that are read, or around them */
export async function openStoreBeside({ lake, pgdata, source = pgdata, storeOptions }: MaterializeIntoOptions): Promise<ObjectStore> {
  const folder = localFolder(lake)
  if (folder !== undefined) for (const read of new Set([pgdata, source])) refuseNested(folder, read)
  return await openLakeStore(lake, storeOptions)
}

/** @param source a data directory, or a backup */
function refuseNested(folder: string, source: string): void {
  const tablespaces = join(source, 'pg_tblspc')
  for (const read of [source, ...listDir(tablespaces).map((name) => join(tablespaces, name))]) {
    refuseInside(folder, read)
    refuseAround(folder, read)
  }
}
