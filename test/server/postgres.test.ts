import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { EnvironmentError } from '../../src/common/errors.ts'
import { PostgresServer, findPostgres } from '../../src/server/postgres.ts'
import { compileChild } from '../support/compiledchild.ts'
import { closeSessions, connect, majors, withAdopted, withCluster } from '../support/oracle.ts'

const scratch = mkdtempSync(join(tmpdir(), 'ltap-test-'))
chmodSync(scratch, 0o755)
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe.each(majors())('Postgres %i', major => {
  it('boots, runs SQL, restarts and survives a crash', async () => {
    await withCluster(major, {}, async (cluster, sql) => {
      expect(await sql.value('SHOW server_version_num')).toMatch(new RegExp(`^${major}00`))
      expect(await sql.value('SHOW listen_addresses')).toBe('')
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

const [newest] = majors().slice(-1)

describe.runIf(newest !== undefined)('a cluster', () => {
  it('is copied with its tablespaces, and the copy is independent', async () => {
    const copy = join(scratch, 'copy')
    await withCluster(newest!, {}, async (cluster, sql) => {
      await sql.exec(`CREATE TABLESPACE side LOCATION '${await cluster.makeDir('side')}'`)
      await sql.exec('CREATE TABLE t TABLESPACE side AS SELECT generate_series(1, 100) AS a')
      await expect(cluster.copyDataDir(copy)).rejects.toThrow(EnvironmentError)
      await closeSessions(cluster)
      await cluster.kill()
      await cluster.copyDataDir(copy)
      await withAdopted(copy, async (_cluster, copied) => {
        expect(await copied.value('SELECT count(*) FROM t')).toBe('100')
        await copied.exec('TRUNCATE t')
      })
      await cluster.start()
      expect(await (await connect(cluster)).value('SELECT count(*) FROM t')).toBe('100')
    })
    expect(existsSync(join(copy, 'PG_VERSION'))).toBe(true)
  })

  it.runIf(process.platform === 'linux')('is killed even if a process of it is stuck', async () => {
    await withCluster(newest!, {}, async (cluster, sql) => {
      const pid = Number(await sql.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"))
      process.kill(pid, 'SIGSTOP')
      await cluster.kill()
      // Its end of the pipe is closed: it is gone.
      expect(cluster.isRunning).toBe(false)
    })
  })

  it('leaves nothing behind', async () => {
    const parentDir = mkdtempSync(join(scratch, 'parent-'))
    chmodSync(parentDir, 0o755)
    const cluster = await PostgresServer.create({ parentDir })
    await cluster.start()
    const { pid } = cluster
    await cluster.remove()
    expect(readdirSync(parentDir)).toEqual([])
    expect(isAlive(pid)).toBe(false)
  })

  it('keeps its socket path short below a deep folder', async () => {
    const parentDir = join(mkdtempSync(join(scratch, 'deep-')), 'x'.repeat(90))
    mkdirSync(parentDir)
    chmodSync(dirname(parentDir), 0o755)
    const cluster = await PostgresServer.create({ parentDir })
    await cluster.start()
    expect(await (await connect(cluster)).value('SELECT 1')).toBe('1')
    await closeSessions(cluster)
    await cluster.remove()
    expect(existsSync(cluster.socketDir)).toBe(false)
  })

  it('runs from a package whose install script was skipped, even where the server user cannot reach it', async () => {
    const root = mkdtempSync(join(scratch, 'package-'))
    const installed = dirname(findPostgres(newest)?.binDir ?? '')
    cpSync(installed, join(root, 'native'), { recursive: true, filter: path => !lstatSync(path).isSymbolicLink() })
    const cluster = await PostgresServer.create({ major: newest!, binDir: join(root, 'native', 'bin') })
    await cluster.start()
    await cluster.remove()
  })

  it('comes from the folder that LTAP_POSTGRES_<major> names', async () => {
    const installed = findPostgres(newest)!
    try {
      vi.stubEnv(`LTAP_POSTGRES_${newest}`, scratch)
      expect(findPostgres(newest)).toEqual({ major: newest, binDir: scratch })
      await expect(PostgresServer.create({ major: newest! })).rejects.toThrow(`postgres.binaries: cannot run the programs in ${scratch}: `)
      vi.stubEnv(`LTAP_POSTGRES_${newest}`, installed.binDir)
      const cluster = await PostgresServer.create({ major: newest! })
      await cluster.remove()
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it('says in one line why it does not work', async () => {
    const oneLine = (pattern: RegExp) =>
      expect.objectContaining({ name: 'EnvironmentError', message: expect.stringMatching(pattern) as string })
    await expect(PostgresServer.create({ major: 9 })).rejects.toEqual(oneLine(/^postgres\.binaries: no programs of Postgres 9 for .*$/))
    await expect(PostgresServer.create({ initdbArgs: ['--wrong'] })).rejects.toEqual(oneLine(/^postgres\.initdb: .*unrecognized.*$/))
    await expect(PostgresServer.adopt({ dataDir: scratch })).rejects.toEqual(oneLine(/^postgres\.datadir: .*PG_VERSION$/))
    const cluster = await PostgresServer.create({ settings: { work_mem: 'much' } })
    await expect(cluster.start()).rejects.toEqual(oneLine(/^postgres\.server: Postgres \d+: the server did not start: .*"work_mem".*$/))
    await cluster.remove()
    expect(existsSync(cluster.dataDir)).toBe(false)
  })
})

describe.runIf(newest !== undefined)('a process that ends', () => {
  it.each([['SIGTERM', null], ['SIGINT', null], [null, 0]] as const)('by %s takes its server along', async (signal, code) => {
    const { child, pid, dataDir } = await startInChild()
    expect(isAlive(pid)).toBe(true)
    const ended = new Promise(resolve => child.once('exit', (exitCode, exitSignal) => resolve([exitCode, exitSignal])))
    if (signal === null) child.stdin?.end()
    else child.kill(signal)
    expect(await ended).toEqual([code, signal])
    await expect.poll(() => isAlive(pid), { timeout: 240_000 }).toBe(false)
    if (signal !== null) expect(existsSync(dirname(dataDir))).toBe(false)
    else rmSync(dirname(dataDir), { recursive: true, force: true })
  })
})

/** Runs the harness in a plain Node process, that exits when its stdin ends. */
async function startInChild(): Promise<{ child: ChildProcess; pid: number; dataDir: string }> {
  const main = compileChild(mkdtempSync(join(scratch, 'child-')), ['src/server/postgres.ts'], `
    import { PostgresServer } from './src/server/postgres.js'
    const cluster = await PostgresServer.create()
    await cluster.start()
    console.log(JSON.stringify({ pid: cluster.pid, dataDir: cluster.dataDir }))
    process.stdin.on('end', () => process.exit(0)).resume()`)
  const child = spawn(process.execPath, [main], { cwd: new URL('../../', import.meta.url), stdio: ['pipe', 'pipe', 'inherit'] })
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))
    child.once('exit', (code) => reject(new Error(`the child ended with ${code} before its server ran`)))
  })
  return { child, ...(JSON.parse(line) as { pid: number; dataDir: string }) }
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0)
  } catch {
    return false
  }
}
