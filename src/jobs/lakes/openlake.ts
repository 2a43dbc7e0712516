import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { Lake } from '../../engine/lake.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import { type LakePoint, snapshotAt } from '../../engine/lakepoint.ts'
import { isStoreUrl, openObjectStore } from '../../io/objectstore/openobjectstore.ts'
import type { S3Options } from '../../io/objectstore/s3settings.ts'
import { systemClock } from '../../io/process/clock.ts'
import { systemRandom } from '../../io/process/systemrandom.ts'
import { FORMAT_KEY, MAIN_BRANCH } from '../../lake/state/names.ts'
import { readManifest } from '../lake.ts'

/**
 * The lake of format 2 that a URL names, or a folder that has one; undefined for any other folder, such as a lake of format 1.
 * @throws EnvironmentError lake.missing for a store without a lake, store.*; CorruptionError, UnsupportedError lake.format
 */
export async function openLake(place: string, options: S3Options = {}): Promise<Lake | undefined> {
  if (!isStoreUrl(place) && !existsSync(join(place, FORMAT_KEY))) return undefined
  return Lake.open({ store: await openLakeStore(place, options), clock: systemClock, random: systemRandom })
}

/**
 * The lake of layers at a place; a lake of format 1 is refused.
 * @throws EnvironmentError lake.missing, store.*; UnsupportedError lake.format; CorruptionError lake.*
 */
export async function openLayeredLake(place: string, options: S3Options = {}): Promise<Lake> {
  const lake = await openLake(place, options)
  if (lake !== undefined) return lake
  readManifest(place)
  throw new UnsupportedError('lake.format', 'a lake of format 1 has one state, no layers and no branches: ltap.json says what it has', { file: place })
}

/** The objects of a lake that is there, or is to be. @throws EnvironmentError store.*; UnsupportedError path.scheme */
export async function openLakeStore(place: string, options: S3Options = {}): Promise<ObjectStore> {
  // A path that begins like a scheme, `c:x`, is a path nevertheless.
  const isPath = !isStoreUrl(place) && /^[A-Za-z][A-Za-z0-9+.-]*:/.test(place)
  return await openObjectStore(isPath ? `./${place}` : place, options)
}

/** @throws EnvironmentError lake.no-branch for any branch of a lake of format 1, which has none */
export function refuseBranch(place: string, branch: string | undefined): void {
  if (branch === undefined) return
  throw new EnvironmentError('lake.no-branch', `${place} has no branch ${branch}: it is a lake of format 1, which has no branches`)
}

/** A state of a branch, default `main`. @throws EnvironmentError lake.no-branch, lake.no-state, lake.no-tag, lake.empty */
export async function openState(lake: Lake, point: LakePoint = 'newest', branch: string = MAIN_BRANCH): Promise<Snapshot> {
  const snapshot = await snapshotAt(lake, branch, point)
  if (snapshot.state.sequence > 0) return snapshot
  throw new EnvironmentError('lake.empty', `the lake in ${lake.ports.store.url} has no state yet: ltap transcode writes one`)
}
