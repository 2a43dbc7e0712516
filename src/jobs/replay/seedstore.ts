import { refuseInside, refuseScheme } from '../../io/disk/localpath.ts'
import type { ReplayProgress } from '../../replay/replay.ts'
import { startReplay } from './startreplay.ts'

export interface SeedStoreOptions {
  /** Data directory of a server that does not run, plain base backup, or folder of pg_basebackup's tar files. Not changed. */
  source: string
  /** A new folder for the page store. */
  out: string
  /** Folder of WAL: of a server that crashed, or for a backup in whose time another checkpoint came; default: what came with the source. */
  wal?: string
}

/**
 * Makes a page store of a copy and applies no WAL: for a service whose WAL comes from elsewhere, as to a {@link ReplayThread}. No file of WAL is needed,
 * unless the source leaves open where it begins or ends. A store that is there already stays as it is.
 * @returns where replay begins: the WAL is wanted from its `lsn` on, and pages may be read once its `consistency` is reached
 * @throws EnvironmentError replay.*, wal.*, datadir.*, backup.*, pagestore.*, file.*; CorruptionError; UnsupportedError
 */
export async function seedStore({ source, out, wal }: SeedStoreOptions): Promise<ReplayProgress> {
  for (const path of [source, out, wal ?? '']) refuseScheme(path)
  refuseInside(out, source)
  const { store, progress } = await startReplay({ source, out, wal, timeline: undefined, cacheBytes: undefined, walComesLater: true })
  store.close()
  return structuredClone(progress)
}
