/** A standby of a running server, fed from its pg_wal as from an archive: backups of it, and its data directory, as bases of recovery. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PostgresServer } from '../../src/server/postgres.ts'
import { copyDataDir } from '../../src/server/postgresdatadir.ts'
import { closeSessions, connect } from './oracle.ts'
import { backUp, finish, readControl, type RecoveryCase, type RecoveryOptions, type RecoveryWorkload, recoverUpTo, withServer } from './recovery.ts'
import { lsnNow } from './walfiles.ts'

/** What the base is: a backup taken while the standby replays, or its data directory after it was stopped or killed. */
export type StandbyBase = 'backup' | 'stopped' | 'killed'

const CATCH_UP_MS = 60_000

/** As withBackup, of a standby: `busy` changes the primary while the standby follows it. */
export function withStandby<T>(
  major: number, options: RecoveryOptions, kind: StandbyBase, workload: RecoveryWorkload & { busy(cluster: PostgresServer): Promise<void> },
  body: (found: RecoveryCase) => T | Promise<T>,
): Promise<T> {
  return withServer(major, options, async (primary, work) => {
    const [base, wal] = [join(work, 'base'), join(work, 'wal')]
    await workload.prepare(primary)
    const standby = await makeStandby(primary, join(work, 'standby'), options.settings)
    try {
      await standby.start()
      await takeBase(standby, base, kind, () => follow(standby, primary, workload.busy))
    } finally {
      await closeSessions(standby)
      await standby.remove()
    }
    const { tablespaces } = await workload.run(primary)
    const { whole, kinds } = await finish(primary, wal, tablespaces)
    const recovered = await recoverUpTo(whole, base, wal, options)
    return await body({ ...readControl(base), variant: options, base, wal, recovered, end: whole, kinds, consistentAt: whole })
  })
}

async function makeStandby(primary: PostgresServer, dataDir: string, settings: Record<string, string> | undefined): Promise<PostgresServer> {
  await backUp(primary, dataDir, () => Promise.resolve())
  await closeSessions(primary)
  writeFileSync(join(dataDir, 'standby.signal'), '')
  return PostgresServer.adopt({
    dataDir,
    settings: { ...settings, hot_standby: 'on', restore_command: `cp "${join(primary.dataDir, 'pg_wal')}/%f" "%p"`, wal_retrieve_retry_interval: '50ms' },
  })
}

/** The primary's changes, and then until the standby has them all. */
async function follow(standby: PostgresServer, primary: PostgresServer, busy: (cluster: PostgresServer) => Promise<void>): Promise<void> {
  await busy(primary)
  const sql = await connect(primary)
  await sql.exec('CHECKPOINT')
  const end = await lsnNow(sql)
  const follower = await connect(standby)
  const deadline = performance.now() + CATCH_UP_MS
  while (await follower.value(`SELECT pg_last_wal_replay_lsn() >= '0/0'::pg_lsn + ${end}`) !== 't') {
    if (performance.now() > deadline) throw new Error('the standby does not follow')
    await sleep(50)
  }
  await follower.close()
}

async function takeBase(standby: PostgresServer, base: string, kind: StandbyBase, following: () => Promise<void>): Promise<void> {
  if (kind === 'backup') {
    await backUp(standby, base, following)
    return
  }
  await following()
  await closeSessions(standby)
  if (kind === 'stopped') await standby.stop()
  else await standby.kill()
  await copyDataDir(standby.dataDir, base)
}
