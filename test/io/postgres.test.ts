import { describe, expect, it } from 'vitest'
import { connect, majors, withCluster } from '../support/oracle.ts'

describe.each(majors())('Postgres %i', major => {
  it('boots, runs SQL, restarts and survives a crash', { timeout: 60_000 }, async () => {
    await withCluster(major, {}, async (cluster, sql) => {
      expect(await sql.value('SHOW server_version_num')).toMatch(new RegExp(`^${major}00`))
      await sql.exec("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, NULL)")
      await cluster.stop()
      expect(cluster.isRunning).toBe(false)
      await cluster.start()
      const again = await connect(cluster)
      expect((await again.copyOut('t')).toString()).toBe('1\tx\n2\t\\N\n')
      await again.exec("INSERT INTO t VALUES (3, '3')")
      await cluster.kill()
      expect(cluster.isRunning).toBe(false)
      await cluster.start()
      expect(await (await connect(cluster)).value('SELECT count(*) FROM t')).toBe('3')
    })
  })
})
