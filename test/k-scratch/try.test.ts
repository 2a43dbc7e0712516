import { expect, test } from 'vitest'
import { writeFileSync } from 'node:fs'
import { connect, majors, withCluster } from '../support/oracle.ts'
import { pgDump } from '../support/pgdump.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo } from '../support/zoo.ts'
test.each(majors())('%i', async (major) => {
  await withCluster(major, {}, async (cluster, sql) => {
    await loadZoo(major, sql)
    const { databases, prepared } = await runWorkload(cluster)
    for (const gid of prepared) await sql.exec(`COMMIT PREPARED '${gid}'`).catch((e) => console.log(gid, String(e)))
    for (const d of [...databases, 'template1']) {
      const t = performance.now()
      const locked = d === 'postgres'
      const s = await pgDump(cluster, d).catch((e) => String(e))
      console.log(major, d, s.length, Math.round(performance.now() - t), s.slice(0, 300))
      writeFileSync(`/tmp/k/${major}-${d}.sql`, s, 'latin1')
    }
  })
})
