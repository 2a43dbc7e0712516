/** A copy of a data directory becomes a server on a timeline of its own. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { connect, type Session } from './oracle.ts'

/** By one of the two ways to end archive recovery. @param server does not run yet */
export async function promote(server: PostgresServer, dataDir: string, signal: 'standby.signal' | 'recovery.signal'): Promise<Session> {
  writeFileSync(join(dataDir, signal), '')
  const started = server.start({ restore_command: '/bin/false', hot_standby: 'on' })
  for (let attempt = 0; signal === 'standby.signal' && attempt < 500; attempt++) {
    const session = await connect(server).catch(() => undefined)
    const promoted = await session?.value('SELECT pg_promote()').catch(() => undefined)
    if (promoted === 't') break
    await sleep(20)
  }
  await started
  const session = await connect(server)
  for (let attempt = 0; await session.value('SELECT pg_is_in_recovery()') !== 'f'; attempt++) {
    if (attempt === 500) throw new Error('recovery does not end')
    await sleep(20)
  }
  return session
}
