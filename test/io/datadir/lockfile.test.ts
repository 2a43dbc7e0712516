/** postmaster.pid of real servers: live, crashed, copied, and with a number that is another program's by now. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCluster } from '../../../src/io/cluster.ts'
import { attachedTo, startOf } from '../../../src/io/disk/processes.ts'
import { ltap } from '../../cli/streams.ts'
import { withFolder } from '../../support/lakes.ts'
import { closeSessions, majors, withCluster } from '../../support/oracle.ts'

const LIVE = /datadir.running: a server runs here \(process \d+\); stop it/

describe.each(majors().slice(-1))('lock file of Postgres %i', (major) => {
  test('is believed only of a server that works here', async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      const { dataDir } = server
      const file = join(dataDir, 'postmaster.pid')
      const open = (): unknown => openCluster(dataDir)
      const live = readFileSync(file, 'utf8')
      const named = (pid: number | string): string => live.replace(/^\d+/, String(pid))
      const copy = join(folder, 'copy')

      expect(open).toThrow(LIVE)
      expect(open).toThrow(new RegExp(`process ${server.pid}`))
      // As from outside of the container where it is process 1, or after a backup tool brought an old file back.
      for (const other of [named(1), named(2 ** 22 + 7), named(process.pid), `${process.pid}\n`]) {
        writeFileSync(file, other)
        expect(open).toThrow(LIVE)
      }
      writeFileSync(file, '')
      expect(open).toThrow(/datadir.running: postmaster.pid names no process; .*copy the folder, without this file/)
      writeFileSync(file, live)
      expect(Math.abs(startOf(server.pid!)! - Number(live.split('\n')[2]))).toBeLessThan(60)
      const [key, id] = live.split('\n')[6]!.trim().split(/\s+/).map(Number)
      expect(attachedTo({ key: key!, id: id! })).toBeGreaterThan(0)

      cpSync(dataDir, copy, { recursive: true })
      expect(() => openCluster(copy)).toThrow(/datadir.running: this is a copy of .*, whose server runs .*delete postmaster.pid in it and replay its WAL/)
      const refused = await ltap(['replay', copy, '--out', join(folder, 'out')])
      expect({ code: refused.code, stderr: refused.stderr }).toMatchObject({ code: 3, stderr: expect.stringMatching(/this is a copy of/) })

      // A backend that does not notice at once that its postmaster was killed.
      const backend = Number(await sql.value('select pg_backend_pid()'))
      process.kill(backend, 'SIGSTOP')
      try {
        process.kill(server.pid!, 'SIGKILL')
        await expect.poll(() => openError(dataDir), { timeout: 240_000 }).toMatch(new RegExp(`process ${backend}\\)`))
      } finally {
        process.kill(backend, 'SIGCONT')
      }
      await closeSessions(server).catch(() => {})
      await server.kill()

      for (const path of [dataDir, copy]) {
        expect(() => openCluster(path))
          .toThrow(/datadir.state: the server was not shut down cleanly \(pg_control: in production; process \d+ of postmaster.pid is gone\)/)
      }
      writeFileSync(file, named(1))
      expect(open).toThrow(/pg_control: in production; process 1 of postmaster.pid is another program now/)
      const replayed = await ltap(['replay', dataDir, '--out', join(folder, 'replayed')])
      expect({ code: replayed.code, stderr: replayed.stderr.replace(/^replay: .*\n/gm, '') }).toEqual({ code: 0, stderr: '' })
      expect(() => openCluster(join(folder, 'replayed'))).not.toThrow()

      rmSync(file)
      await server.start()
      await server.stop()
      await withCluster(major, {}, async (other) => {
        // Its number was given to another server, of another folder.
        for (const pid of [1, process.pid, other.pid!, -other.pid!, 2 ** 22 + 7]) {
          writeFileSync(file, named(pid))
          expect(open, String(pid)).not.toThrow()
        }
        // Of the other server's folder, copied here.
        writeFileSync(file, readFileSync(join(other.dataDir, 'postmaster.pid')))
        expect(open).toThrow(/this is a copy of/)
      })
    }))
  })
})

function openError(path: string): string {
  try {
    openCluster(path)
    return ''
  } catch (error) {
    return String(error)
  }
}
