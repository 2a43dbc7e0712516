import { expect, test } from 'vitest'
import { closeSessions, connect, majors, withCluster } from './oracle.ts'

/** A server does not start whose WAL has another system identifier than its pg_control. */
test.each(majors())('copies of one template on Postgres %i run, each with a system identifier of its own', async (major) => {
  const identifiers: (string | null)[] = []
  for (let i = 0; i < 2; i++) {
    await withCluster(major, {}, async (cluster, sql) => {
      identifiers.push(await sql.value('SELECT system_identifier FROM pg_control_system()'))
      await closeSessions(cluster)
      await cluster.kill()
      await cluster.start()
      expect(await (await connect(cluster)).value('SELECT system_identifier FROM pg_control_system()')).toBe(identifiers[i])
    })
  }
  expect(identifiers[0]).toMatch(/^\d+$/)
  expect(new Set(identifiers).size).toBe(2)
})
