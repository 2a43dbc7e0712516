import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { listDir } from '../io/disk/files.ts'
import { stopIfEnding } from '../io/process/interruption.ts'
import { localFolder } from '../io/objectstore/openobjectstore.ts'
import { replayCluster } from '../jobs/replay/replaycluster.ts'
import type { WalPlace } from '../io/walsource/inventory.ts'
import { ScratchFolder } from '../io/disk/scratchfolder.ts'
import type { ReplayTarget } from '../replay/replay.ts'
import { withWalProgress } from './jobprogress.ts'
import type { Output } from './output.ts'
import { addTargetOptions, type TargetOptions } from './replaytarget.ts'

export interface ReplayFirstOptions extends TargetOptions {
  work?: string
  cache?: string
}

/** The options of verbs that can replay WAL into a folder of their own before they begin. */
export function addReplayFirstOptions(command: Command): Command {
  return addTargetOptions(command)
    .option('--work <dir>', 'with --wal or --to: folder for the replayed files, kept (default: one beside the lake, deleted at the end)')
}

/**
 * Runs `body` on the data directory itself, or, with --wal, --to or --timeline, on what it was then.
 * @param fallback the target if there is no --to @param body gets the folder to read, and where the WAL is that was replayed
 */
export async function replayFirst<T>(
  output: Output, pgdata: string, lake: string, options: ReplayFirstOptions, fallback: ReplayTarget,
  body: (pgdata: string, wal?: WalPlace) => Promise<T>,
): Promise<T> {
  const { wal, to, timeline, cache, work = cache } = options
  if (wal === undefined && to === undefined && timeline === undefined && work === undefined) return body(pgdata)
  const scratch = work === undefined ? new ScratchFolder(join(dirname(resolve(lake)), '.ltap-replay-'), output.notice) : undefined
  const folder = work ?? join(scratch!.path, 'files')
  let place: WalPlace | undefined
  try {
    await withWalProgress(output, 'replay', (onProgress) => replayCluster({
      source: pgdata, out: folder, target: to ?? fallback, onProgress, onWal: (found) => void (place = found),
      ...(wal === undefined ? {} : { wal }), ...(timeline === undefined ? {} : { timeline }),
    }))
    return await body(folder, place)
  } finally {
    await stopIfEnding()
    if (scratch) removeScratch(scratch)
  }
}

/** Replayed files lie beside a lake in a folder, and in the folder for temporary files if it is in an object store. */
export function folderBeside(lake: string): string {
  return localFolder(lake) ?? join(tmpdir(), 'lake')
}

/** All but the record that stopped a replay, and its pages: the error names them. */
function removeScratch(scratch: ScratchFolder): void {
  const folder = join(scratch.path, 'files')
  const failed = listDir(join(folder, 'ltap')).filter((name) => name.startsWith('failed-'))
  if (failed.length === 0) return scratch.remove()
  scratch.keep()
  for (const name of listDir(folder)) if (name !== 'ltap') rmSync(join(folder, name), { recursive: true })
  for (const name of listDir(join(folder, 'ltap'))) if (!failed.includes(name)) rmSync(join(folder, 'ltap', name), { recursive: true })
}
