/** Options of the library that nobody gives are those of the command line: with paths alone, both do the same. */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DirectoryObjectStore } from '../../src/io/objectstore/directoryobjectstore.ts'
import { materializeInto } from '../../src/jobs/materialize/materializeinto.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { isPacked } from '../../src/lake/layer.ts'
import { ltap } from '../cli/streams.ts'
import { heapFile, whilePage } from '../support/badinput.ts'
import { withFolder } from '../support/lakes.ts'
import { layeredDifferences, NewestState, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'

/** Paths and bytes of all files. */
function contents(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(files.map(({ parentPath, name }) => [join(parentPath, name).slice(folder.length), readFileSync(join(parentPath, name), 'latin1')]))
}

/** Bytes of Parquet files by relation and block: names of objects are new in each lake. */
async function parquetOf(lake: string): Promise<Map<string, string>> {
  const state = await NewestState.read(lake)
  const found = new Map<string, string>()
  for (const relation of state.manifest.relations) {
    for (const { file } of relation.relkind === 'p' ? [] : await state.files(relation)) {
      if (isPacked(file)) continue
      const name = `${relation.database}.${relation.schema}.${relation.name} ${file.blocks.runs[0]!.first}`
      found.set(name, readFileSync(join(lake, file.key), 'latin1'))
    }
  }
  return found
}

function differing(left: Map<string, string>, right: Map<string, string>): string[] {
  return [...new Set([...left.keys(), ...right.keys()])].filter((path) => left.get(path) !== right.get(path))
}

/** What the command line prints with --json. */
async function printed(...argv: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await ltap([...argv, '--json'])
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

/** The library's refusal is the command line's. */
async function sameRefusal(job: Promise<unknown>, ...argv: string[]): Promise<string> {
  const error = await job.then(() => undefined, (reason: unknown) => reason as { code: string; reason: string })
  const { code, stderr } = await ltap(argv)
  expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining(`${error!.code}: `) as string })
  expect(stderr).toContain(error!.reason)
  return error!.code
}

test('materializeInto, verifyLake and rebuildLake with paths alone', () => withFolder((folder) => withCluster(Math.max(...majors()), {}, async (server, sql) => {
  // Less to transcode.
  for (const name of ['template0', 'template1']) await sql.script(`ALTER DATABASE ${name} IS_TEMPLATE false; DROP DATABASE ${name}`)
  await sql.script(`
    CREATE TABLE t (id uuid, at time, v text, n numeric); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
    INSERT INTO t SELECT md5(i::text)::uuid, '12:00', repeat(md5(i::text), i), i / 7.0 FROM generate_series(1, 300) i; DELETE FROM t WHERE n < 10; CHECKPOINT`)
  await closeSessions(server)
  await server.stop()
  const pgdata = server.dataDir
  const [lake, cliLake, other] = ['lake', 'cli', 'other'].map((name) => join(folder, name)) as [string, string, string]
  await materializeInto({ pgdata, lake })
  await printed('transcode', pgdata, '--lake', cliLake)
  expect(differing(await parquetOf(lake), await parquetOf(cliLake))).toEqual([])
  expect((await parquetOf(lake)).size).toBeGreaterThan(3)
  const read = (folderOf: string): ReturnType<typeof readLayeredLake> => readLayeredLake(new DirectoryObjectStore(folderOf))
  expect(layeredDifferences(await read(lake), await read(cliLake))).toEqual([])
  // A planted fault: another default.
  await materializeInto({ pgdata, lake: other, compression: 'snappy', filter: { databases: ['postgres'], tables: ['public.t'] } })
  expect(differing(await parquetOf(lake), await parquetOf(other)).filter((path) => path.includes('public.t '))).toHaveLength(1)

  expect(await verifyLake({ lake, pgdata })).toEqual(await printed('verify', pgdata, '--lake', lake))
  expect(await verifyLake({ lake })).toEqual(await printed('verify', '--lake', lake))

  const [copy, cliCopy] = [join(folder, 'copy'), join(folder, 'clicopy')]
  for (const made of [copy, cliCopy]) {
    await server.copyDataDir(made)
    rmSync(heapFile(made, 'postgres', 'public.t'))
  }
  expect(await rebuildLake({ lake, pgdata: copy })).toEqual(await printed('rebuild', '--lake', lake, '--pgdata', cliCopy))
  expect(differing(contents(join(copy, 'base')), contents(join(cliCopy, 'base')))).toEqual([])
  expect(await sameRefusal(rebuildLake({ lake, pgdata }), 'rebuild', '--lake', lake, '--pgdata', pgdata)).toBe('rebuild.source')

  await whilePage(heapFile(pgdata, 'postgres', 'public.t'), 0, (page) => page.fill(0xff, 12, 18), async () => {
    const again = join(folder, 'again')
    expect(await sameRefusal(materializeInto({ pgdata, lake: again }), 'transcode', pgdata, '--lake', again)).toMatch(/^page\./)
  })
})))
