import { it } from 'vitest'
import { majors, withCluster } from '../support/oracle.ts'
import { runWorkload } from '../support/workload.ts'
it.each(majors())('%i', { timeout: 100000 }, async major => {
  await withCluster(major, {}, async (c, sql) => {
    const t0 = Date.now()
    const u = await runWorkload(c)
    console.log(major, Date.now() - t0, JSON.stringify(u))
    await sql.exec('CREATE EXTENSION pageinspect')
    for (const t of ['multi', 'multi_frozen', 'speculative', 'prepared', 'running', 'pruned'])
      console.log(t, (await sql.rows(`select lp,lp_flags,t_xmin,t_xmax,t_ctid,to_hex(t_infomask2),to_hex(t_infomask) from heap_page_items(get_raw_page('mvcc.${t}', 0)) limit 70`)).map(r => r.join(' ')).join('\n'))
  })
})
