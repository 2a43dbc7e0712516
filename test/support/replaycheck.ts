/** `replayCluster` into a page store on disk against real recovery, as the quick and the long tests check it. */
import { join } from 'node:path'
import { expect } from 'vitest'
import { withFolder } from './lakes.ts'
import { type RecoveryCase, type ServerVariant, withBackup, withCrash, withRecovery } from './recovery.ts'
import { compareReplayed, folderContent, replayCase } from './replayed.ts'
import { type StandbyBase, withStandby } from './standby.ts'
import { prepareWalWorkload, runWalWorkload } from './walworkload.ts'
import { EAGER_SETTINGS, prepareCrash, runUntilCrash } from './walworkloadcrash.ts'
import { concurrently } from './walworkloadsessions.ts'

const CHECKED: ServerVariant = { checksums: true, walLogHints: false, walCompression: 'pglz', fullPageWrites: true, walLevel: 'replica' }
const BARE: ServerVariant = { checksums: false, walLogHints: false, walCompression: 'off', fullPageWrites: false, walLevel: 'replica' }

export function checkCleanCopy(major: number): Promise<void> {
  return withRecovery(major, CHECKED, { prepare: prepareWalWorkload, run: (cluster) => runWalWorkload(cluster, { xids: 1000 }) }, inFolder)
}

export function checkCrashed(major: number): Promise<void> {
  return withCrash(major, { ...BARE, settings: EAGER_SETTINGS }, { prepare: prepareCrash, run: (cluster) => runUntilCrash(cluster) }, inFolder)
}

export function checkBusyBackup(major: number): Promise<void> {
  return withBackup(major, { ...CHECKED, settings: EAGER_SETTINGS }, {
    prepare: prepareCrash, busy: (cluster) => concurrently(cluster, 1, false), run: (cluster) => runUntilCrash(cluster),
  }, inFolder)
}

/** Checks a replay of a standby's backup or data directory; standby.signal, pg_control and backup_label say that it is one. */
export function checkStandby(major: number, kind: StandbyBase): Promise<void> {
  return withStandby(major, { ...CHECKED, settings: EAGER_SETTINGS }, kind, {
    prepare: prepareCrash, busy: (cluster) => concurrently(cluster, 1, false), run: (cluster) => runUntilCrash(cluster),
  }, async (found) => {
    const { minRecoveryPoint, redo } = found.control
    expect(minRecoveryPoint).toBeGreaterThan(redo)
    const target = { lsn: Number(minRecoveryPoint) - 8 }
    await withFolder((folder) => expect(replayCase(found, join(folder, 'out'), { target })).rejects.toThrow(/replay.inconsistent/))
    await inFolder(found)
  })
}

function inFolder(found: RecoveryCase): Promise<void> {
  return withFolder((folder) => check(found, folder))
}

/** @param folder empty */
async function check(found: RecoveryCase, folder: string): Promise<void> {
  const out = join(folder, 'out')
  const report = await replayCase(found, out)
  const { differences, ...counts } = compareReplayed(found, out)
  console.log(`Postgres ${found.major}: ${report.records} records`, JSON.stringify(counts), report.end)
  expect(differences.join('\n')).toBe('')
  expect(counts.relations).toBeGreaterThan(500)
  expect(counts.checksums > 1000).toBe(found.variant.checksums)
  await checkInterrupted(found, folder, folderContent(out))
}

/** The same end with little memory and broken off again and again. */
async function checkInterrupted(found: RecoveryCase, folder: string, expected: Map<string, Buffer>): Promise<void> {
  const out = join(folder, 'interrupted')
  let runs = 0
  for (let ended = false; !ended; runs++) {
    expect(runs).toBeLessThan(20)
    let calls = 0
    // Later each time: there may be nothing to make durable for long.
    const onProgress = (): void => {
      if (++calls === 2 + 2 * runs) throw new Error('broken off')
    }
    const report = await replayCase(found, out, { cacheBytes: 8 << 20, onProgress }).catch((error: Error) => {
      expect(error.message).toBe('broken off')
    })
    ended = report !== undefined
  }
  expect(runs).toBeGreaterThan(2)
  const content = folderContent(out)
  expect([...content.keys()].sort()).toEqual([...expected.keys()].sort())
  expect([...content].filter(([name, bytes]) => !bytes.equals(expected.get(name)!)).map(([name]) => name)).toEqual([])
}
